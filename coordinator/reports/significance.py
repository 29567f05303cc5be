"""Which differences between two batches are more than chance, direction by direction."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from coordinator.errors import BadInput
from coordinator.metrics import (
    ItemScores,
    Statistics,
    effect_size,
    false_discoveries,
    lower_is_better,
    paired_test,
    summed,
)
from coordinator.metrics.significance import Method
from coordinator.metrics.stored import formula_of

LEVEL = 0.05


@dataclass(frozen=True)
class ScoredItem:
    """What a batch has of one item."""

    scores: ItemScores
    statistics: Mapping[str, Statistics]


@dataclass(frozen=True)
class Difference:
    """One metric of one item in both batches.

    Attributes:
        a, b: the scores.
        p_value: of this test by itself.
        adjusted: raised for the number of items of this metric (`false_discoveries`).
        effect: how large it is against how much it varies from sentence to sentence, above 0 where
            B is better (`effect_size`); None where nothing varies.
    """

    item: str
    metric: str
    a: float
    b: float
    p_value: float
    adjusted: float = 1.0
    effect: float | None = None

    @property
    def verdict(self) -> str:
        """`better` or `worse`, of B, where the adjusted p-value is small; else `unclear`."""
        if self.adjusted >= LEVEL or self.a == self.b:
            return "unclear"
        return "better" if (self.b > self.a) != lower_is_better(self.metric) else "worse"


@dataclass(frozen=True)
class Untested:
    """An item that cannot be tested, and why."""

    item: str
    reason: str


def differences_of(
    item: str,
    a: ScoredItem,
    b: ScoredItem,
    test: Method,
    *,
    seed: int | None,
    samples: int | None = None,
) -> list[Difference]:
    """A test for each metric that both have, the same settings in both.

    Args:
        item: its id.
        a: what one batch has of it.
        b: what the other has.
        test: which one.
        seed: of the generator; None = another one each time.
        samples: resamples or trials; None = sacrebleu's defaults.

    Raises:
        BadInput: the two were not scored against the same references, or their files do not fit.
    """
    if a.scores.reference_sha256 != b.scores.reference_sha256:
        raise BadInput("scored against different references")
    told = signatures_of(a.scores, b.scores)
    alike = [name for name, (ours, theirs) in told.items() if ours == theirs]
    found = (_tested(item, name, a, b, test, seed, samples) for name in alike)
    return [difference for difference in found if difference is not None]


def signatures_of(a: ItemScores, b: ItemScores) -> dict[str, tuple[str, str]]:
    """Metric -> its signature in A and in B, of the metrics that both have."""
    shared = [name for name in a.metrics if name in b.metrics]
    return {name: (a.metrics[name].signature, b.metrics[name].signature) for name in shared}


def adjusted(tests: Iterable[Difference]) -> list[Difference]:
    """The same tests, each with its p-value adjusted among those of its metric."""
    by_metric: dict[str, list[Difference]] = {}
    for each in tests:
        by_metric.setdefault(each.metric, []).append(each)
    return [each for same in by_metric.values() for each in _adjusted(same)]


def _adjusted(tests: Sequence[Difference]) -> Iterable[Difference]:
    raised = false_discoveries(each.p_value for each in tests)
    for each, p_value in zip(tests, raised, strict=True):
        yield replace(each, adjusted=p_value)


def _tested(
    item: str,
    name: str,
    a: ScoredItem,
    b: ScoredItem,
    test: Method,
    seed: int | None,
    samples: int | None,
) -> Difference | None:
    """None where the metric is not one whose formula is known here."""
    rows_a, rows_b = (_rows(name, each) for each in (a, b))
    formula = formula_of(name, rows_a)
    if formula is None:
        return None
    result = paired_test(test, formula, rows_a, rows_b, samples=samples, seed=seed)
    return Difference(
        item,
        name,
        result.baseline.score,
        result.system.score,
        result.p_value,
        effect=_towards_better(name, effect_size(formula, rows_a, rows_b)),
    )


def _towards_better(metric: str, effect: float | None) -> float | None:
    return -effect if effect is not None and lower_is_better(metric) else effect


def _rows(name: str, scored: ScoredItem) -> Statistics:
    """Raises BadInput: these are not the statistics that the scores are of."""
    if name not in scored.statistics:
        raise BadInput(f"statistics.json has no {name}", hint="score the item again")
    rows, result = scored.statistics[name], scored.scores.metrics[name]
    if len(rows) != scored.scores.sentences or tuple(summed(rows)) != result.statistics:
        raise BadInput("scores.json and statistics.json are not of one scoring")
    return rows
