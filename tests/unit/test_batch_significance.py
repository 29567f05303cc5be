"""Which differences between two batches are more than chance."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coordinator.bootstrap import make_clock
from coordinator.commands import significance as command
from coordinator.domain.paths import BatchKeys
from coordinator.errors import BadInput
from coordinator.metrics import paired_test, parse_metrics
from coordinator.metrics.stored import formula_of, read_statistics
from coordinator.reports.comparison.result import PairedTests
from coordinator.reports.significance import (
    Difference,
    ScoredItem,
    adjusted,
    differences_of,
    signatures_of,
)
from coordinator.scoring import score_files
from coordinator.settings import Settings
from coordinator.storage import open_storage
from tests.corpora import sentences

REFS = [line.replace("\n", " ").strip() + " end" for line in sentences(3, 50)]
HALF = [" ".join(line.split(" ")[::2]) for line in REFS]
METRICS = ["bleu", "chrf", "chrf++", "ter"]


def text(lines: list[str]) -> str:
    return "".join(" ".join(line.split()) + "\n" for line in lines)


def scored(folder: Path, lines: list[str], refs: list[str] = REFS, **settings: Any) -> None:
    """What scoring leaves of one item, in its folder."""
    folder.mkdir(parents=True)
    (folder / "hyps.txt").write_text(text(lines))
    (folder / "refs.txt").write_text(text(refs))
    metrics = parse_metrics([{"name": name, **settings} for name in METRICS])
    score_files(folder / "hyps.txt", folder / "refs.txt", metrics).write(folder)


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two batches of three items: much better, much the same, and one that was not scored alike."""
    root = tmp_path_factory.mktemp("outputs")
    alike = [[(REFS, HALF)[(n + odd) % 2][n] for n in range(len(REFS))] for odd in range(2)]
    items = {"a": [HALF, alike[0], HALF], "b": [REFS, alike[1], HALF]}
    for batch, systems in items.items():
        for number, lines in enumerate(systems):
            refs = REFS[::-1] if (batch, number) == ("b", 2) else REFS
            scored(root / batch / "items" / f"item-{number}", lines, refs)
    return root


def both(outputs: Path, names: str = "ab") -> tuple[command.Outputs, command.Outputs]:
    a, b = (command.Outputs(open_storage(str(outputs)), BatchKeys(name)) for name in names)
    return a, b


def run(
    outputs: Path, items: list[str], method: Any = "bootstrap", names: str = "ab"
) -> tuple[PairedTests, list[Any]]:
    said: list[Any] = []
    found = command.examine(both(outputs, names), items, method, lambda *what: said.append(what))
    assert found.tests is not None
    return found.tests, said


@pytest.mark.parametrize("method", ["bootstrap", "randomization"])
def test_each_item_and_metric_is_tested(outputs: Path, method: Any) -> None:
    found, said = run(outputs, ["item-0", "item-1", "item-2", "item-3"], method)
    assert [(test.metric, test.item) for test in found.tests] == [
        (name, f"item-{number}") for name in METRICS for number in range(2)
    ]
    assert {test.verdict for test in found.tests if test.item == "item-0"} == {"better"}
    assert {test.verdict for test in found.tests if test.item == "item-1"} == {"unclear"}
    reasons = {each.item: each.reason for each in found.untested}
    assert list(reasons) == ["item-2", "item-3"]
    assert "different references" in reasons["item-2"]
    assert [done for _, done, _ in said] == [1, 2, 3, 4]
    files = [outputs / batch / "items" / "item-1" / "statistics.json" for batch in "ab"]
    rows = [read_statistics(file.read_bytes())["chrf"] for file in files]
    formula = formula_of("chrf", rows[0])
    assert formula is not None
    expected = paired_test(method, formula, *rows)
    chrf = next(t for t in found.tests if (t.metric, t.item) == ("chrf", "item-1"))
    assert chrf.p_value == expected.p_value
    assert chrf.adjusted >= chrf.p_value


def test_effect_sizes_are_above_zero_where_b_is_better(outputs: Path) -> None:
    """TER, of which less is better, among them."""
    effects = {test.metric: test.effect for test in run(outputs, ["item-0"])[0].tests}
    assert list(effects) == METRICS
    assert all(effect is not None and effect > 0.8 for effect in effects.values())
    back = {test.metric: test.effect for test in run(outputs, ["item-0"], names="ba")[0].tests}
    assert back == {metric: -(effect or 0) for metric, effect in effects.items()}


def test_as_many_samples_as_asked_for(outputs: Path) -> None:
    found = command.examine(both(outputs), ["item-0"], "bootstrap", lambda *_: None, samples=9)
    assert found.tests is not None
    assert {test.p_value for test in found.tests.tests} == {1 / 10}, "the least of nine"


def test_signatures_are_told_without_tests_too(outputs: Path) -> None:
    items = ["item-0", "item-1", "item-2"]
    found = command.examine(both(outputs), items, None, lambda *_: None)
    assert found.tests is None
    assert found.other_references == ("item-2",)
    assert list(found.signatures) == items
    for told in found.signatures.values():
        assert list(told) == METRICS
        assert all(a == b and "version:" in a for a, b in told.values())


def test_what_was_worse(outputs: Path) -> None:
    found, _ = run(outputs, ["item-0"], names="ba")
    assert {test.verdict for test in found.tests} == {"worse"}


def test_p_values_are_adjusted_within_a_metric() -> None:
    tests = [Difference(str(n), "bleu", 1.0, 2.0, p) for n, p in enumerate([0.01, 0.04, 0.9, 0.9])]
    other = Difference("0", "ter", 1.0, 2.0, 0.04)
    found = adjusted([*tests[:2], other, *tests[2:]])
    assert [test.adjusted for test in found] == [0.04, 0.08, 0.9, 0.9, 0.04]
    assert [test.verdict for test in found] == ["better", "unclear", "unclear", "unclear", "worse"]


def test_without_a_ledger_nobody_knows_the_outputs(tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path)
    with pytest.raises(BadInput, match="ledger of batch a is not on this machine"):
        command.outputs_of(settings, "a", make_clock())


def item_of(folder: Path) -> ScoredItem:
    from coordinator.metrics import read_scores

    statistics = read_statistics((folder / "statistics.json").read_bytes())
    return ScoredItem(read_scores((folder / "scores.json").read_bytes()), statistics)


def test_only_the_same_metric_can_be_compared(tmp_path: Path) -> None:
    scored(tmp_path / "a", HALF)
    scored(tmp_path / "b", HALF, label="x")
    a, b = item_of(tmp_path / "a"), item_of(tmp_path / "b")
    assert differences_of("item", a, b, "bootstrap", seed=1) == [], "no metric in common"
    changed = a.scores.metrics["bleu"].model_copy(update={"signature": "else"})
    scores = a.scores.model_copy(update={"metrics": {**a.scores.metrics, "bleu": changed}})
    tested = differences_of("item", a, ScoredItem(scores, a.statistics), "bootstrap", seed=1)
    assert [test.metric for test in tested] == METRICS[1:], "the others are what they were"
    assert signatures_of(a.scores, scores)["bleu"][1] == "else", "and it is told"


def test_statistics_of_another_scoring(tmp_path: Path) -> None:
    scored(tmp_path / "a", HALF)
    a = item_of(tmp_path / "a")
    rows = dict(a.statistics)
    rows["chrf"] = rows["chrf"][:-1]
    with pytest.raises(BadInput, match="not of one scoring"):
        differences_of("item", a, ScoredItem(a.scores, rows), "bootstrap", seed=1)
    del rows["chrf"]
    with pytest.raises(BadInput, match="has no chrf"):
        differences_of("item", a, ScoredItem(a.scores, rows), "bootstrap", seed=1)


@pytest.mark.parametrize("name", ["accuracy", "bleurt", "chrf++", "ter"])
def test_a_formula_is_for_rows_of_its_width(name: str) -> None:
    assert formula_of(name, np.ones((2, 10), dtype=np.int64)) is None


@pytest.mark.parametrize("count", [-1, 2**41])
def test_a_formula_is_for_counts(count: int) -> None:
    assert formula_of("ter", np.array([[1, count]])) is None
    assert formula_of("ter", np.array([[1, 2]])) is not None


@pytest.mark.parametrize("name", ["bleu", "bleu-intl-lc", "spbleu", "spbleu-flores"])
def test_bleu_has_one_formula_over_any_tokenizer(name: str) -> None:
    formula = formula_of(name, np.ones((2, 10), dtype=np.int64))
    assert formula is not None
    assert formula.score_of_sum([9, 9, 9, 8, 7, 6, 9, 8, 7, 6]) == pytest.approx(100)


FAULTY = {
    "cut off": b'{"format":1,"met',
    "a list": b"[]",
    "another format": b'{"format":2,"metrics":{}}',
    "no metrics": b'{"format":1}',
    "text": b'{"format":1,"metrics":{"m":[["a"]]}}',
    "ragged": b'{"format":1,"metrics":{"m":[[1],[1,2]]}}',
    "flat": b'{"format":1,"metrics":{"m":[1,2]}}',
    "no rows": b'{"format":1,"metrics":{"m":[]}}',
    "null": b'{"format":1,"metrics":{"m":[[null]]}}',
    "a number": b'{"format":1,"metrics":{"m":3}}',
    "true": b'{"format":1,"metrics":{"m":[[true]]}}',
}


@pytest.mark.parametrize("data", FAULTY.values(), ids=FAULTY)
def test_statistics_that_are_none(data: bytes) -> None:
    with pytest.raises(BadInput, match=r"statistics\.json cannot be read"):
        read_statistics(data)


def test_statistics_as_they_were_written(tmp_path: Path) -> None:
    scored(tmp_path / "a", HALF)
    data = (tmp_path / "a" / "statistics.json").read_bytes()
    found = read_statistics(data)
    assert {name: rows.tolist() for name, rows in found.items()} == json.loads(data)["metrics"]
    assert {rows.dtype for rows in found.values()} == {np.dtype(np.int64)}
