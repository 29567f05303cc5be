"""Rows of the tables that reports and scorings share; a header comes first."""

from collections.abc import Mapping

from coordinator.metrics.aggregate import Average
from coordinator.metrics.documents import Suspicious

_COUNTS = (
    "sentences",
    "empty",
    "copied",
    "repeated",
    "loops",
    "wrong_script",
    "far_lengths",
    "length_ratio",
)


def score_rows(
    scores: Mapping[str, Mapping[str, float]], means: Mapping[str, Average]
) -> list[list[str | float | None]]:
    """`scores.csv`: item by metric, last the averages.

    Args:
        scores: item -> metric -> score; items without any have no row.
        means: of the metrics that there shall be, in their order.
    """
    rows: list[list[str | float | None]] = [["item", *means]]
    for item in sorted(item for item, values in scores.items() if values):
        rows.append([item, *(scores[item].get(metric) for metric in means)])
    last = [mean.value if mean.complete else str(mean) for mean in means.values()]
    return [*rows, ["average", *last]]


def suspicious_rows(found: Mapping[str, Suspicious]) -> list[list[str | int | float | None]]:
    """`suspicious.csv`: of each item its counts of lines, and what is wrong."""
    rows: list[list[str | int | float | None]] = [["item", *_COUNTS, "what"]]
    for item in sorted(found):
        counts = found[item].model_dump(include=set(_COUNTS))
        rows.append([item, *(counts[name] for name in _COUNTS), "; ".join(found[item].flags)])
    return rows
