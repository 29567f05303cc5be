"""Scores of the parts of a text, on request: each sentence, and the sentences that share a tag.

They come from `statistics.json` alone, so they can be asked for after the text was scored.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

from coordinator.domain.text import read_lines
from coordinator.errors import BadInput
from coordinator.metrics import ItemScores, Metric, Statistics, scores_by_tag
from coordinator.metrics.stored import read_statistics
from coordinator.scoring.files import about, read_file

PARTS = "parts.json"

TagScores = Mapping[str, Mapping[str, Mapping[str, Any]]]  # metric -> tag -> sentences, score


@dataclass(frozen=True)
class Tags:
    """The tags of each sentence, and the hash of the file that they came from."""

    lines: Sequence[Sequence[str]]
    sha256: str


def read_tags(path: Path) -> Tags:
    """The tags in a text file: line n holds those of sentence n, with tabs between them.

    Raises:
        BadInput: the file cannot be read, or holds no tag.
    """
    with about("tags"):
        data = read_file(path, "check --tags")
        lines = [_tags(line) for line in read_lines(data)]
        if not any(lines):
            raise BadInput(f"{path} holds no tags", hint="one line for each sentence")
        return Tags(lines, hashlib.sha256(data).hexdigest())


def _tags(line: str) -> list[str]:
    return [tag.strip() for tag in line.split("\t") if tag.strip()]


class Parts:
    """What is wanted of each text's parts.

    Args:
        tags: None = no groups.
        sentences: whether each sentence's score is wanted.
    """

    def __init__(self, tags: Tags | None, *, sentences: bool) -> None:
        self._tags, self._sentences = tags, sentences

    def of(self, scores: ItemScores, metrics: Sequence[Metric], statistics: bytes) -> bytes:
        """The bytes of `parts.json`.

        Args:
            scores: of the whole text.
            metrics: those that it was scored with.
            statistics: the bytes of its `statistics.json`.

        Raises:
            BadInput: not as many lines of tags as sentences.
        """
        with about(scores.item):
            rows = read_statistics(statistics)
            found = self._header(scores)
            if self._tags:
                found["tags"] = {m.name: self._by_tag(m, rows[m.name]) for m in metrics}
            if self._sentences:
                found["sentences"] = {m.name: m.sentence_scores(rows[m.name]) for m in metrics}
        return orjson.dumps(found, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE)

    def known(self, scores: ItemScores, content: bytes) -> bytes | None:
        """`content`, if it is what `of` would give, as far as its inputs tell."""
        try:
            found = orjson.loads(content)
        except orjson.JSONDecodeError:
            return None
        header = self._header(scores)
        same = isinstance(found, dict) and header.items() <= {**found}.items()
        return content if same and ("sentences" in found) == self._sentences else None

    def _header(self, scores: ItemScores) -> dict[str, Any]:
        tags = self._tags.sha256 if self._tags else ""
        whole = scores.statistics_sha256
        return {"format": 1, "item": scores.item, "statistics_sha256": whole, "tags_sha256": tags}

    def _by_tag(self, metric: Metric, rows: Statistics) -> dict[str, dict[str, Any]]:
        tags = self._tags.lines if self._tags else ()
        return {tag: asdict(score) for tag, score in scores_by_tag(metric, rows, tags).items()}


def tag_scores(content: bytes) -> TagScores:
    """Metric -> tag -> its sentences and score, from the bytes of `parts.json`."""
    found: TagScores = orjson.loads(content).get("tags", {})
    return found


def tag_rows(found: Mapping[str, TagScores]) -> list[list[str | int | float]]:
    """`tags.csv`: item, metric and tag with their score; a header first.

    Args:
        found: item -> metric -> tag -> score.
    """
    rows: list[list[str | int | float]] = [["item", "metric", "tag", "sentences", "score"]]
    for item, metrics in sorted(found.items()):
        for metric, tags in metrics.items():
            rows += [[item, metric, t, s["sentences"], s["score"]] for t, s in tags.items()]
    return rows
