"""What a metric is: counts of each segment, and from all of them a score and a signature."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coordinator.errors import BadInput

Statistics = NDArray[Any]  # (segments, counts); integers, but where a metric says otherwise


@dataclass(frozen=True)
class Prepared:
    """References as one metric compares with them.

    Attributes:
        segments: how many there are.
        references: how many references each segment has.
        arrays: all that the metric needs to know of them, as plain arrays (no objects), so that
            they can be kept in files and shared, memory-mapped, by many processes.
    """

    segments: int
    references: int
    arrays: Mapping[str, NDArray[Any]]

    def __len__(self) -> int:
        return self.segments


class Metric(ABC):
    """One metric, ready for use: `load_metric` makes it.

    One of your own needs `statistics`, `score` and `signature`, and `prepare` where references are
    worth preparing.

    Attributes:
        name: its key in outputs.
        tokenizer_sha256: of the tokenizer's file, or "" where it has none.
        is_of_texts: whether it compares texts, which may be suspicious; labels are not.
    """

    tokenizer_sha256 = ""
    is_of_texts = True

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def recipe(self) -> str:
        """What prepared references depend on beside their text: equal recipes may share them."""
        return f"{type(self).__module__}.{type(self).__qualname__} {self.name}"

    @abstractmethod
    def prepare(self, references: Sequence[Sequence[str]]) -> Prepared:
        """References, to be compared with many hypotheses.

        Args:
            references: one or several translations of the whole text, each with as many sentences.

        Raises:
            BadInput: none, or of different length (`check_references`).
        """

    @abstractmethod
    def statistics(self, hypotheses: Sequence[str], prepared: Prepared) -> Statistics:
        """The counts of each segment, one row of the same width for each hypothesis.

        Raises:
            BadInput: not as many hypotheses as references (`check_counts`).
        """

    @abstractmethod
    def score(self, statistics: Statistics) -> float:
        """The score of the whole text, from the rows of all its segments (at least one)."""

    def sentence_scores(self, statistics: Statistics) -> NDArray[np.float64]:
        """The score of each segment by itself."""
        return np.array([self.score(row[None]) for row in statistics], dtype=np.float64)

    @abstractmethod
    def signature(self, references: int = 1) -> str:
        """What somebody needs to know to get the same number, in sacrebleu's form."""


class SummedMetric(Metric):
    """A metric whose score is a function of the sum of its rows: what can be resampled fast."""

    def score(self, statistics: Statistics) -> float:
        return self.score_of_sum(summed(statistics))

    @abstractmethod
    def score_of_sum(self, row: Sequence[int | float]) -> float:
        """The score of the text whose rows sum up to `row`."""

    def scores_of_sums(self, rows: Statistics) -> NDArray[Any]:
        """The score of each of many texts, from their sums: (texts, counts).

        Where sacrebleu resamples, its sums are of float32, and so is its arithmetic: rows of
        float32 must be worked as sacrebleu's formula works them, if the answers are to be its own.
        """
        return np.array([self.score_of_sum(row) for row in rows.tolist()], dtype=np.float64)


def summed(statistics: Statistics) -> list[int | float]:
    """The sum of the rows, count by count.

    Floats are added one after the other, as sacrebleu does: `sum` of Python 3.12 would be better,
    and another number.
    """
    if np.issubdtype(statistics.dtype, np.integer):
        return list(statistics.sum(axis=0, dtype=np.int64).tolist())
    return list(statistics.cumsum(axis=0)[-1].tolist())


def check_counts(hypotheses: Sequence[str], prepared: Prepared) -> None:
    """Raises:
    BadInput: not as many hypotheses as references. (sacrebleu's own interface for Python would
        go by the shorter of the two, and score two against one as 100.)
    """
    if len(hypotheses) != len(prepared):
        raise BadInput(f"{len(hypotheses)} hypotheses, but {len(prepared)} references")


def check_references(references: Sequence[Sequence[str]]) -> None:
    """Raises:
    BadInput: no reference, or several of different length. (sacrebleu would go by the shortest.)
    """
    sizes = [len(reference) for reference in references]
    if len(set(sizes)) != 1:
        raise BadInput(
            f"references of {' and '.join(map(str, sizes)) or 'no'} lines",
            hint="each reference is a translation of the whole text",
        )
