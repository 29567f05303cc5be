"""Scores of parts of a text: of each sentence, and of all sentences with the same tag."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coordinator.errors import BadInput
from coordinator.metrics.metric import Metric, Statistics

MOST_TAGS = 1_000  # more are sentence numbers or the like, and no groups


@dataclass(frozen=True)
class TagScore:
    """The score of the sentences that have one tag, as of a text by themselves."""

    sentences: int
    score: float


def scores_by_tag(
    metric: Metric, statistics: Statistics, tags: Sequence[Sequence[str]]
) -> dict[str, TagScore]:
    """Tag -> its score, sorted by tag. A sentence counts for each tag it has, once.

    Args:
        metric: whose statistics these are.
        statistics: (segments, counts).
        tags: the tags of each segment; none is allowed.

    Raises:
        BadInput: not as many as segments, or far too many different ones.
    """
    return {
        tag: TagScore(len(rows), metric.score(statistics[rows]))
        for tag, rows in sorted(rows_by_tag(tags, len(statistics)).items())
    }


def rows_by_tag(tags: Sequence[Sequence[str]], segments: int) -> dict[str, NDArray[np.int64]]:
    """Tag -> the numbers of its segments, in order. Raises BadInput as `scores_by_tag`."""
    if len(tags) != segments:
        raise BadInput(
            f"{len(tags)} lines of tags for {segments} sentences",
            why="line n holds the tags of sentence n",
        )
    found: dict[str, list[int]] = {}
    for number, names in enumerate(tags):
        for name in dict.fromkeys(names):
            found.setdefault(name, []).append(number)
    if len(found) > MOST_TAGS:
        raise BadInput(
            f"{len(found):,} different tags",
            why=f"tags are for groups of sentences; at most {MOST_TAGS:,} are taken",
        )
    return {name: np.array(numbers, dtype=np.int64) for name, numbers in found.items()}
