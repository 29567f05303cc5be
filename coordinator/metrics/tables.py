"""Rows of the tables that reports and scorings share; a header comes first."""

from collections.abc import Mapping, Sequence

from coordinator.metrics.aggregate import Average
from coordinator.metrics.documents import Suspicious
from coordinator.metrics.groups import GroupAverage

Cell = str | int | float | None

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
) -> list[list[Cell]]:
    """`scores.csv`: item by metric, last the averages.

    Args:
        scores: item -> metric -> score; items without any have no row.
        means: of the metrics that there shall be, in their order.
    """
    rows: list[list[Cell]] = [["item", *means]]
    for item in sorted(item for item, values in scores.items() if values):
        rows.append([item, *(scores[item].get(metric) for metric in means)])
    last = [mean.value if mean.complete else str(mean) for mean in means.values()]
    return [*rows, ["average", *last]]


def suspicious_rows(found: Mapping[str, Suspicious]) -> list[list[Cell]]:
    """`suspicious.csv`: of each item its counts of lines, and what is wrong."""
    rows: list[list[Cell]] = [["item", *_COUNTS, "what"]]
    for item in sorted(found):
        counts = found[item].model_dump(include=set(_COUNTS))
        rows.append([item, *(counts[name] for name in _COUNTS), "; ".join(found[item].flags)])
    return rows


def group_rows(groups: Sequence[GroupAverage]) -> list[list[Cell]]:
    """`averages.csv`: one row for each group and metric."""
    header: list[Cell] = ["way", "by", "group", "metric", "average", "scored", "expected"]
    return [header, *(_group_row(group) for group in groups)]


def _group_row(group: GroupAverage) -> list[Cell]:
    mean = group.average
    shown = mean.value if mean.complete else str(mean)
    return [group.way, group.by, group.group, group.metric, shown, mean.present, mean.expected]
