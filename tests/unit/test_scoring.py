"""The scoring job: its files, its refusals, and references read once."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from coordinator.domain.handoff import Handoff, HandoffItem
from coordinator.errors import BadInput
from coordinator.metrics import (
    ItemStatistics,
    Metric,
    MetricSpec,
    load_metric,
    parse_metrics,
    read_scores,
)
from coordinator.scoring import ScoringJob, read_translations, score_files
from tests.corpora import damaged, sentences

REFS = [line.replace("\n", " ") for line in sentences(1, 30)]
HYPS = damaged(REFS, 1)


def item(name: str = "one", **properties: str) -> HandoffItem:
    return HandoffItem(item=name, attempt=1, properties=properties)


def job(**options: Any) -> ScoringJob:
    handoff = Handoff(
        batch="b", dispatch="d", step="score", job="scoring", output_root="/o",
        options=options, items=(item(),),
    )  # fmt: skip
    return ScoringJob(handoff)


def jsonl(lines: list[str], **more: str) -> bytes:
    records = ({"line": i, "translation": line} | more for i, line in enumerate(lines, 1))
    return b"".join(json.dumps(r, ensure_ascii=False).encode() + b"\n" for r in records)


def put(folder: Path, hyps: list[str], refs: list[str], name: str = "") -> dict[str, Path]:
    """Files called as a worker calls them: without a suffix."""
    paths = {"translations": folder / f"in-t{name}", "reference": folder / f"in-r{name}"}
    paths["translations"].write_bytes(jsonl(hyps))
    paths["reference"].write_text("".join(f"{line}\n" for line in refs), "utf-8", newline="")
    return paths


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


def test_what_it_leaves(tmp_path: Path, out: Path) -> None:
    inputs = put(tmp_path, HYPS, REFS)
    languages = {"mt:source_language": "deu", "mt:target_language": "fra"}
    done = job().run(item(**languages), inputs, out)
    scores = read_scores((out / "scores.json").read_bytes())
    assert (scores.item, scores.source_language, scores.target_language) == ("one", "deu", "fra")
    assert scores.reference_sha256 == hashlib.sha256(inputs["reference"].read_bytes()).hexdigest()
    translations = inputs["translations"].read_bytes()
    assert scores.hypotheses_sha256 == hashlib.sha256(translations).hexdigest()
    assert list(scores.metrics) == ["bleu", "chrf", "chrf++"]
    assert done.facts["scores"] == scores.by_metric()
    assert done.facts["sentences"] == scores.sentences == 30
    assert done.facts["seconds"] > 0
    assert sorted(path.name for path in out.iterdir()) == ["scores.json", "statistics.json"]


def test_prepared_references_are_kept_where_the_pipeline_says(tmp_path: Path, out: Path) -> None:
    inputs, kept = put(tmp_path, HYPS, REFS), tmp_path / "node"
    wanted = job().run(item(), inputs, out).facts["scores"]
    for _ in range(2):
        assert job(prepared=str(kept)).run(item(), inputs, out).facts["scores"] == wanted
        assert len(list(kept.iterdir())) == 3  # one for each metric


def test_what_is_told_beside_the_scores(tmp_path: Path, out: Path) -> None:
    languages = {"mt:source_language": "deu", "mt:target_language": "fra"}
    inputs = put(tmp_path, REFS, REFS)
    source = {"source": inputs["reference"]}
    facts = job().run(item(**languages), inputs | source, out).facts
    assert facts["languages"] == ["deu", "fra"]
    assert facts["suspicious"]["copied"] == 0  # the reference is the source, too
    scores = read_scores((out / "scores.json").read_bytes())
    assert scores.source_sha256 == scores.reference_sha256
    statistics = (out / "statistics.json").read_bytes()
    assert scores.statistics_sha256 == hashlib.sha256(statistics).hexdigest()


def test_suspicious_translations_are_told(tmp_path: Path, out: Path) -> None:
    sources = [f"the {number}th line, which nobody has translated" for number in range(20)]
    references = [f"die {number}. Zeile, die keiner übersetzt hat" for number in range(20)]
    inputs = put(tmp_path, sources, references)
    inputs["source"] = tmp_path / "in-s"
    inputs["source"].write_text("".join(f"{line}\n" for line in sources), "utf-8")
    done = job(metrics=["chrf"]).run(item(), inputs, out)
    said = "100 % of the translations are copies of the source"
    assert done.message == said
    assert done.facts["suspicious"]["flags"] == [said]
    found = read_scores((out / "scores.json").read_bytes()).suspicious
    assert found is not None and found.copied == 20
    inputs["source"].write_text("one line\n")
    with pytest.raises(BadInput, match="1 source sentences for 20 reference sentences"):
        job().run(item("deu-fra"), inputs, out)


def test_scores_are_full_floats_and_sacrebleus(tmp_path: Path, out: Path) -> None:
    job().run(item(), put(tmp_path, HYPS, REFS), out)
    written = json.loads((out / "scores.json").read_bytes())["metrics"]
    oracles = {"bleu": BLEU(), "chrf": CHRF(), "chrf++": CHRF(word_order=2)}
    for name, oracle in oracles.items():
        assert written[name]["score"] == oracle.corpus_score(HYPS, [REFS]).score
        assert written[name]["signature"] == str(oracle.get_signature())


def test_statistics_give_the_scores_again(tmp_path: Path, out: Path) -> None:
    job(metrics=["ter", "chrf++"]).run(item(), put(tmp_path, HYPS, REFS), out)
    scores = read_scores((out / "scores.json").read_bytes())
    kept = ItemStatistics.model_validate_json((out / "statistics.json").read_bytes())
    for spec in parse_metrics(["ter", "chrf++"]):
        rows = kept.metrics[spec.name]
        result = scores.metrics[spec.name]
        assert len(rows) == 30
        assert load_metric(spec).score(np.array(rows)) == result.score
        assert [sum(column) for column in zip(*rows, strict=True)] == list(result.statistics)


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    inputs = put(tmp_path, HYPS, REFS)
    written = []
    for name in ("a", "b"):
        folder = tmp_path / name
        folder.mkdir()
        job().run(item(), inputs, folder)
        written.append([path.read_bytes() for path in sorted(folder.iterdir())])
    assert written[0] == written[1]


def test_references_are_prepared_once(
    tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where each item has a copy of its own; and a changed one is never mistaken."""
    prepared = []

    def counted(spec: MetricSpec) -> Metric:
        metric = load_metric(spec)
        prepare = metric.prepare

        def noted(references: Any) -> Any:
            prepared.append(metric.name)
            return prepare(references)

        monkeypatch.setattr(metric, "prepare", noted)
        return metric

    monkeypatch.setattr("coordinator.scoring.scorer.load_metric", counted)
    scoring = job()
    for number in range(3):
        scoring.run(item(), put(tmp_path, damaged(REFS, number), REFS, str(number)), out)
    assert prepared == ["bleu", "chrf", "chrf++"]
    done = scoring.run(item(), put(tmp_path, REFS[::-1], REFS[::-1]), out)
    assert done.facts["scores"]["chrf"] == 100.0
    assert len(prepared) == 6


def refused(scoring: ScoringJob, inputs: Mapping[str, Path], out: Path) -> str:
    with pytest.raises(BadInput) as caught:
        scoring.run(item("deu-fra"), inputs, out)
    assert not list(out.iterdir())
    return str(caught.value)


@pytest.mark.parametrize(("hyps", "refs"), [(2, 1), (1, 2), (0, 3)])
def test_line_counts(hyps: int, refs: int, tmp_path: Path, out: Path) -> None:
    inputs = put(tmp_path, ["same words here now"] * hyps, ["same words here now"] * refs)
    said = refused(job(), inputs, out)
    assert said.startswith(f"deu-fra: {hyps} translations for {refs} reference sentences")


@pytest.mark.parametrize("data", [b"", b"\n", b"\n \n\t\n", b"\xef\xbb\xbf"])
def test_an_empty_reference(data: bytes, tmp_path: Path, out: Path) -> None:
    inputs = put(tmp_path, ["", "", ""], [])
    inputs["reference"].write_bytes(data)
    assert refused(job(), inputs, out).startswith("deu-fra: reference: the text is empty")


def test_a_reference_that_is_not_utf8(tmp_path: Path, out: Path) -> None:
    inputs = put(tmp_path, ["a", "b"], ["a", "b"])
    inputs["reference"].write_bytes(b"a\n\xff\n")
    assert refused(job(), inputs, out).startswith("deu-fra: reference: line 2 is not UTF-8")


def test_missing_inputs(tmp_path: Path, out: Path) -> None:
    inputs = put(tmp_path, ["a"], ["a"])
    assert "no input `reference`" in refused(job(), {"translations": inputs["translations"]}, out)
    inputs["translations"].unlink()
    assert "No such file" in refused(job(), inputs, out)


def test_metrics_that_cannot_be_meant() -> None:
    with pytest.raises(BadInput, match="step score.*did you mean bleu"):
        job(metrics=["belu"])


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b'{"line": 1, "translation": "a"}\n{"line": 2, "transl', "line 2: not JSON"),
        (b'{"line": 1, "translation": "a"}\n\n', "line 2: not JSON"),
        (b'["a"]\n', "line 1: not a JSON object"),
        (b'{"line": 2, "translation": "a"}\n', "line 1 [line]: not numbered 1"),
        (b'{"line": true, "translation": "a"}\n', "not numbered 1"),
        (b'{"line": 1.0, "translation": "a"}\n', "not numbered 1"),
        (b'{"translation": "a"}\n', "no number"),
        (b'{"line": 1, "translation": null}\n', "line 1 [translation]: no text"),
        (b'{"line": 1}\n', "no text"),
        (b'{"line": 1, "translation": "\\ud83d"}\n', "half a surrogate pair"),
        (b"[" * 100_000, "line 1: not JSON"),
        (b"\xff\n", "line 1 is not UTF-8"),
    ],
)
def test_translations_that_cannot_be_used(data: bytes, said: str) -> None:
    with pytest.raises(BadInput) as caught:
        read_translations(data)
    assert said in str(caught.value)


def test_a_lost_line_does_not_fill_the_screen() -> None:
    """All below it are misnumbered."""
    data = b"".join(jsonl(["x"] * 1000).splitlines(keepends=True)[1:])
    with pytest.raises(BadInput, match=r"^999 of 999 lines cannot be used.*and 989 more") as caught:
        read_translations(data)
    assert len(caught.value.problems) == 10


def test_translations_come_back_as_they_were() -> None:
    odd = ["", "a\u2028b", "c\rd", "e\nf", 'quo"te', "\x85", "🙂", "nul\0"]
    assert read_translations(jsonl(odd, model="m")) == odd


def test_alone_on_two_files(tmp_path: Path) -> None:
    """Without a batch; plain text and JSON lines give the same numbers."""
    specs = parse_metrics(["bleu", {"name": "chrf", "whitespace": True}])
    (tmp_path / "h.jsonl").write_bytes(jsonl(HYPS))
    plain = [line.replace("\n", " ") for line in HYPS]
    for name, lines in (("h.txt", plain), ("r.txt", REFS)):
        (tmp_path / name).write_text("".join(f"{x}\n" for x in lines), "utf-8", newline="")
    found = [score_files(tmp_path / h, tmp_path / "r.txt", specs) for h in ("h.jsonl", "h.txt")]
    assert found[0].scores.by_metric() == found[1].scores.by_metric()
    assert found[1].scores.item == "h.txt"
    assert score_files(tmp_path / "h.txt", tmp_path / "r.txt", specs, item="i").scores.item == "i"


def test_alone_says_which_file(tmp_path: Path) -> None:
    (tmp_path / "h.txt").write_text("a\nb\n")
    (tmp_path / "r.txt").write_text("a\n")
    with pytest.raises(BadInput, match=r"^h\.txt: 2 translations for 1 reference sentences"):
        score_files(tmp_path / "h.txt", tmp_path / "r.txt", parse_metrics(["bleu"]))
    with pytest.raises(BadInput, match=r"gone\.txt cannot be read: No such file"):
        score_files(tmp_path / "gone.txt", tmp_path / "r.txt", parse_metrics(["bleu"]))


def test_a_scores_file_that_is_none() -> None:
    for data in (b"", b"{}", b'{"format": 2}', b"[1]"):
        with pytest.raises(BadInput, match=r"scores\.json cannot be read"):
            read_scores(data)
