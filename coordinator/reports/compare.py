"""Two batches over the same items, metric by metric: which one is better, and is it chance?"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from coordinator.metrics import lower_is_better

Scores = Mapping[str, Mapping[str, float]]  # item -> metric -> score


@dataclass(frozen=True)
class ComparisonRow:
    """One metric over the items that both have a score of.

    Attributes:
        metric: its name.
        mean_a, mean_b: means over the common items; None where there is none.
        better, worse, equal: how often B is better than A, and so on; they add up to `common`.
        p_value: see `sign_test`. Items that share a source or target text are not independent, so
            over directions of one corpus it is too small rather than too large.
        only_a, only_b: items, in order, that only one of them has a score of.
    """

    metric: str
    mean_a: float | None
    mean_b: float | None
    better: int
    worse: int
    equal: int
    p_value: float
    only_a: tuple[str, ...] = ()
    only_b: tuple[str, ...] = ()

    @property
    def common(self) -> int:
        return self.better + self.worse + self.equal

    @property
    def difference(self) -> float | None:
        """Mean of B minus mean of A; for TER, less is better."""
        if self.mean_a is None or self.mean_b is None:
            return None
        return self.mean_b - self.mean_a


def compare_scores(a: Scores, b: Scores) -> tuple[ComparisonRow, ...]:
    """A row for each metric that A or B has, in the order in which they occur."""
    names = [name for scores in (a, b) for metrics in scores.values() for name in metrics]
    return tuple(_row(name, _column(a, name), _column(b, name)) for name in dict.fromkeys(names))


def sign_test(better: int, worse: int) -> float:
    """Two-sided exact sign test: the chance of a split at least this uneven between equals.

    Under the hypothesis that each item is as likely to be better as worse (ties left out), the
    count of better ones is binomial with p = 1/2 (Conover, Practical Nonparametric Statistics,
    section 3.4). Exact in integers up to the last division.
    """
    count = better + worse
    term, tail = 1, 0
    for k in range(min(better, worse) + 1):
        tail += term
        term = term * (count - k) // (k + 1)
    return float(min(Fraction(1), Fraction(2 * tail, 2**count)))


def _column(scores: Scores, name: str) -> dict[str, float]:
    """Item -> score; what is no number counts as missing."""
    found = {item: metrics[name] for item, metrics in scores.items() if name in metrics}
    return {item: score for item, score in found.items() if math.isfinite(score)}


def _row(name: str, a: dict[str, float], b: dict[str, float]) -> ComparisonRow:
    common = [item for item in a if item in b]
    gains = [a[i] - b[i] if lower_is_better(name) else b[i] - a[i] for i in common]
    better, worse = sum(gain > 0 for gain in gains), sum(gain < 0 for gain in gains)
    return ComparisonRow(
        metric=name,
        mean_a=_mean([a[item] for item in common]),
        mean_b=_mean([b[item] for item in common]),
        better=better,
        worse=worse,
        equal=len(common) - better - worse,
        p_value=sign_test(better, worse),
        only_a=tuple(item for item in a if item not in b),
        only_b=tuple(item for item in b if item not in a),
    )


def _mean(values: list[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None
