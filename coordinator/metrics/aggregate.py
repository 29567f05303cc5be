"""Averages over directions. What is missing makes an average incomplete, never silently better."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Average:
    """A mean over all that was expected, or the statement that there is none yet.

    Attributes:
        value: the mean, or None unless every expected score is there.
        present: how many scores there are.
        expected: how many there should be.
    """

    value: float | None
    present: int
    expected: int

    @property
    def complete(self) -> bool:
        return self.value is not None

    def __str__(self) -> str:
        """The full float, or `incomplete (n of m)`."""
        if self.value is None:
            return f"incomplete ({self.present} of {self.expected})"
        return repr(self.value)


def average(scores: Mapping[str, float | None]) -> Average:
    """The mean of `scores`: every expected item -> its score, None where there is none.

    Neither None nor NaN counts as a score. The sum is rounded once, so that the order of the
    items makes no difference. No items give no mean.
    """
    there = [score for score in scores.values() if score is not None and math.isfinite(score)]
    complete = bool(there) and len(there) == len(scores)
    value = math.fsum(there) / len(there) if complete else None
    return Average(value, len(there), len(scores))


def averages(
    scores: Mapping[str, Mapping[str, float]], expected: Collection[str]
) -> dict[str, Average]:
    """The average of every metric that occurs, over the `expected` items; others are left out.

    Args:
        scores: item -> metric -> score.
        expected: the items that should have every metric.
    """
    wanted = dict.fromkeys(expected)
    names = sorted({name for item in wanted for name in scores.get(item, {})})
    return {
        name: average({item: scores.get(item, {}).get(name) for item in wanted}) for name in names
    }
