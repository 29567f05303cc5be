"""A metric of one's own: loaded from where it is named, and blamed by name where it fails."""

from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from coordinator.errors import BadInput
from coordinator.metrics import Metric, load_metric, parse_metrics

GOOD = """
    from coordinator.metrics import TextMetric

    class Length(TextMetric):
        def __init__(self, name, unit=1):
            super().__init__(name)
            self.unit = unit

        def counts(self, hypothesis, references):
            return [len(hypothesis) // self.unit, len(references[0])]

        def score_of_sum(self, row):
            return row[0] / row[1]
"""


def load(folder: Path, source: str, target: str = "mine:Length", **more: Any) -> Metric:
    (folder / "mine.py").write_text(dedent(source))
    (spec,) = parse_metrics([{"class": target, **more}], base=folder, own=True)
    return load_metric(spec)


def scored(metric: Metric, hypotheses: list[str], *references: list[str]) -> float:
    return metric.score(metric.statistics(hypotheses, metric.prepare(references)))


def test_a_class_beside_the_registry(tmp_path: Path) -> None:
    metric = load(tmp_path, GOOD, options={"unit": 2})
    assert metric.name == "Length"
    assert scored(metric, ["abcd", "ef"], ["abc", "def"]) == 0.5
    assert load(tmp_path, GOOD).signature(1).startswith("nrefs:1|class:Length|version:1|code:")
    assert load(tmp_path, GOOD, label="len").name == "len"


def test_several_references_come_line_by_line(tmp_path: Path) -> None:
    source = GOOD.replace("len(references[0])", "sum(map(len, references))")
    assert scored(load(tmp_path, source), ["a", "b"], ["xx", "y"], ["z", "zz"]) == 2 / 6


def test_changed_code_has_another_signature_and_recipe(tmp_path: Path) -> None:
    before = load(tmp_path, GOOD)
    after = load(tmp_path, GOOD + "\n    # changed\n")
    assert before.signature() != after.signature()
    assert before.recipe != after.recipe


def test_other_options_have_another_signature_and_recipe(tmp_path: Path) -> None:
    one, two = (load(tmp_path, GOOD, options={"unit": unit}) for unit in (1, 2))
    assert '|options:{"unit": 2}|' in two.signature()
    assert one.signature() != two.signature() and one.recipe != two.recipe


def test_a_class_of_an_installed_module(tmp_path: Path) -> None:
    """It is found: only its argument is missing."""
    target = "coordinator.metrics.bleu:BleuMetric"
    (spec,) = parse_metrics([{"class": target, "label": "b"}], base=tmp_path, own=True)
    with pytest.raises(BadInput, match="missing 1 required positional argument: 'tokenizer'"):
        load_metric(spec)


def test_two_files_of_one_name_do_not_get_mixed_up(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    one = load(tmp_path, GOOD)
    two = load(other, GOOD.replace("row[0] / row[1]", "row[1] / row[0]"))
    assert (scored(one, ["ab"], ["abcd"]), scored(two, ["ab"], ["abcd"])) == (0.5, 2.0)


UNLOADABLE = {
    "syntax": ("class Length(:\n", "SyntaxError"),
    "import": ("import no_such_module\n", "No module named 'no_such_module'"),
    "raises": ("1 / 0\n", "ZeroDivisionError: division by zero"),
    "exits": ("raise SystemExit(3)\n", "SystemExit: 3"),
    "other class": ("class Width: pass\n", "not in"),
    "no metric": ("class Length: pass\n", "no class derived from Metric or TextMetric"),
    "abstract": (
        "from coordinator.metrics import TextMetric\nclass Length(TextMetric): pass\n",
        "abstract method",
    ),
}


@pytest.mark.parametrize("case", UNLOADABLE)
def test_what_cannot_be_loaded_is_told_with_class_and_reason(case: str, tmp_path: Path) -> None:
    source, reason = UNLOADABLE[case]
    with pytest.raises(BadInput) as caught:
        load(tmp_path, source)
    assert str(caught.value).startswith("the metric mine:Length cannot be loaded: ")
    assert reason in str(caught.value)
    if case in ("raises", "syntax", "exits", "import"):
        assert f"{tmp_path}/mine.py:1" in str(caught.value)


FAILING = {
    "raises": (GOOD.replace("row[0] / row[1]", "row[9]"), "failed in score: IndexError"),
    "ragged": (
        GOOD.replace("return [len(", "return [1] * len(hypothesis) or [len("),
        "failed in statistics: ValueError",
    ),
    "one number": (
        GOOD.replace("return [len(hypothesis) // self.unit, len(references[0])]", "return 1"),
        "statistics returned (2,), not 2 rows",
    ),
    "words": (GOOD.replace("row[0] / row[1]", "'good'"), "score returned str, not a number"),
    "not finite": (GOOD.replace("row[0] / row[1]", "float('nan')"), "not a finite number"),
}


@pytest.mark.parametrize("case", FAILING)
def test_what_fails_is_told_with_class_and_method(case: str, tmp_path: Path) -> None:
    source, reason = FAILING[case]
    metric = load(tmp_path, source)
    with pytest.raises(BadInput) as caught:
        scored(metric, ["abcd", "e"], ["abc", "def"])
    assert "mine:Length" in str(caught.value) and reason in str(caught.value)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"class": "os.system"}, "module:Class"),
        ({"class": "../up:Length"}, "module:Class"),
        ({"class": "a/b:Length"}, "module:Class"),
        ({"class": "mine:Length", "option": {}}, "unknown key 'option' (did you mean options?)"),
        ({"class": "mine:Length", "options": [1]}, "no mapping"),
        ({"class": "mine:bleu"}, "it would be called 'bleu'"),
    ],
)
def test_entries_that_cannot_be_meant(entry: Any, said: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput) as caught:
        parse_metrics([entry], base=tmp_path, own=True)
    assert said in str(caught.value)


def test_no_class_is_loaded_unless_a_registry_names_it(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("raise SystemExit")
    with pytest.raises(BadInput, match="name it in a registry"):
        parse_metrics([{"class": "mine:Length"}], base=tmp_path)
    parse_metrics([{"class": "mine:Length"}], base=tmp_path, own=True)  # nothing is loaded yet
