"""Scores of single sentences and of groups of them, on request."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from coordinator.commands.score import ScoreRequest, score
from coordinator.errors import BadInput
from coordinator.scoring import read_tags
from tests.corpora import damaged, sentences

REFS = [" ".join(line.split()) + " end" for line in sentences(2, 20)]
HYPS = {
    item: [" ".join(line.split()) for line in damaged(REFS, seed)]
    for seed, item in enumerate(["aaa-bbb", "aaa-ccc"])
}
TAGS = ["news", "news\tshort", "", "wiki"] * 5


@pytest.fixture
def request_of(tmp_path: Path) -> Any:
    """A request to score two directions."""
    for folder in ("predictions", "references"):
        (tmp_path / folder).mkdir()
    for item, lines in HYPS.items():
        write(tmp_path / "predictions" / f"{item}.txt", lines)
        write(tmp_path / "references" / f"{item[4:]}.txt", REFS)
    write(tmp_path / "tags.txt", TAGS)

    def make(**options: Any) -> ScoreRequest:
        folders = tmp_path / "predictions", tmp_path / "references"
        return ScoreRequest(*folders, "bleu,chrf", tmp_path / "scores", 1, **options)

    return make


def write(path: Path, lines: list[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines))


def parts(request: ScoreRequest, item: str) -> Any:
    return json.loads((request.output / "items" / item / "parts.json").read_bytes())


def test_scores_by_tag(request_of: Any, tmp_path: Path) -> None:
    request = request_of(tags=tmp_path / "tags.txt")
    assert not score(request).summary.problems
    for item, hyps in HYPS.items():
        found = parts(request, item)
        assert "sentences" not in found
        assert list(found["tags"]["bleu"]) == ["news", "short", "wiki"]
        for name, oracle in (("bleu", BLEU()), ("chrf", CHRF())):
            some = [n for n in range(20) if "news" in TAGS[n]]
            expected = oracle.corpus_score([hyps[n] for n in some], [[REFS[n] for n in some]])
            assert found["tags"][name]["news"] == {"sentences": 10, "score": expected.score}
    with (request.output / "summary" / "tags.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["item", "metric", "tag", "sentences", "score"]
    assert [row[:4] for row in rows[1:4]] == [
        ["aaa-bbb", "bleu", "news", "10"],
        ["aaa-bbb", "bleu", "short", "5"],
        ["aaa-bbb", "bleu", "wiki", "5"],
    ]
    assert len(rows) == 1 + 2 * 2 * 3
    assert float(rows[1][4]) == parts(request, "aaa-bbb")["tags"]["bleu"]["news"]["score"]


def test_scores_of_sentences(request_of: Any) -> None:
    request = request_of(sentence_scores=True)
    score(request)
    found = parts(request, "aaa-bbb")["sentences"]
    for name, oracle in (("bleu", BLEU(effective_order=True)), ("chrf", CHRF())):
        pairs = zip(HYPS["aaa-bbb"], REFS, strict=True)
        assert found[name] == [oracle.sentence_score(hyp, [ref]).score for hyp, ref in pairs]
    assert not (request.output / "summary" / "tags.csv").exists()


def test_asked_for_later_they_come_from_what_is_there(request_of: Any, tmp_path: Path) -> None:
    score(request_of())
    assert list((tmp_path / "scores").rglob("parts.json")) == []
    request = request_of(tags=tmp_path / "tags.txt")
    assert score(request).known == 2
    first = parts(request, "aaa-bbb")
    file = request.output / "items" / "aaa-bbb" / "parts.json"
    made = file.stat().st_mtime_ns
    score(request)
    assert file.stat().st_mtime_ns == made, "what is there already is kept"
    write(tmp_path / "tags.txt", ["other"] * 20)
    score(request)
    assert list(parts(request, "aaa-bbb")["tags"]["bleu"]) == ["other"]
    write(tmp_path / "tags.txt", TAGS)
    file.write_text("{cut off")
    score(request)
    assert parts(request, "aaa-bbb") == first


def test_other_translations_have_other_parts(request_of: Any, tmp_path: Path) -> None:
    request = request_of(sentence_scores=True)
    score(request)
    first = parts(request, "aaa-bbb")
    write(tmp_path / "predictions" / "aaa-bbb.txt", REFS)
    score(request)
    assert np.mean(parts(request, "aaa-bbb")["sentences"]["chrf"]) == 100
    assert np.mean(first["sentences"]["chrf"]) < 100


def test_a_line_of_tags_for_each_sentence(request_of: Any, tmp_path: Path) -> None:
    write(tmp_path / "tags.txt", TAGS[:7])
    problems = score(request_of(tags=tmp_path / "tags.txt")).summary.problems
    assert [problem.where for problem in problems] == list(HYPS)
    assert "7 lines of tags for 20 sentences" in problems[0].reason


@pytest.mark.parametrize("data", [b"", b"\n\t\n", b"\xff"])
def test_tags_that_are_none(data: bytes, request_of: Any, tmp_path: Path) -> None:
    file = tmp_path / "none.txt"
    file.write_bytes(data)
    with pytest.raises(BadInput, match="tags: "):
        read_tags(file)
    with pytest.raises(BadInput, match="tags: "):
        score(request_of(tags=file))
    assert not (tmp_path / "scores").exists(), "it is said before anything is begun"


def test_no_such_file_of_tags(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"tags: .*cannot be read"):
        read_tags(tmp_path / "missing")
