"""The signatures of the metrics of two batches, each named once."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

Signatures = Mapping[str, tuple[str, str]]  # metric -> in A and in B


@dataclass(frozen=True)
class Legend:
    """The signatures of one metric.

    Attributes:
        a, b: those that occur in each batch, the most frequent first.
        unlike: items that were scored with different settings; no number of this metric has them.
    """

    metric: str
    a: tuple[str, ...]
    b: tuple[str, ...]
    unlike: tuple[str, ...]


def legend_of(told: Iterable[tuple[str, Signatures]]) -> tuple[Legend, ...]:
    """An entry for each metric. `told`: each item with the signatures of the metrics of both."""
    counts: defaultdict[str, tuple[Counter[str], Counter[str]]]
    counts = defaultdict(lambda: (Counter(), Counter()))
    unlike: defaultdict[str, list[str]] = defaultdict(list)
    for item, signatures in told:
        for metric, both in signatures.items():
            for counter, signature in zip(counts[metric], both, strict=True):
                counter[signature] += 1
            if both[0] != both[1]:
                unlike[metric].append(item)
    return tuple(
        Legend(metric, _by_frequency(a), _by_frequency(b), tuple(unlike[metric]))
        for metric, (a, b) in counts.items()
    )


def _by_frequency(counted: Counter[str]) -> tuple[str, ...]:
    return tuple(name for name, _ in counted.most_common())
