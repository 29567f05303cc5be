"""What the page says of scores: averages, distribution, the lowest, and signatures."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from coordinator.domain.shown import for_terminal
from coordinator.reports.rows import Row

LOWEST = 50
MOST_LANGUAGES = 150
_BINS = 30


@dataclass(frozen=True)
class Low:
    """One of the lowest scores."""

    item: str
    source: str
    target: str
    score: float
    suspicious: str


@dataclass(frozen=True)
class Metric:
    """One metric over the whole batch.

    Attributes:
        average: as the report has it, in words.
        bins: (from, to, items).
        lowest: lowest first.
        signatures: how it was computed; more than one means that scores do not compare.
    """

    name: str
    items: int
    average: str
    bins: tuple[tuple[float, float, int], ...]
    lowest: tuple[Low, ...]
    signatures: tuple[str, ...]


def metric_of(name: str, rows: Iterable[Row], average: str, signatures: Sequence[str]) -> Metric:
    scored = [(row["scores"][name], row) for row in rows if name in row["scores"]]
    scored.sort(key=lambda pair: (pair[0], pair[1]["item"]))
    lowest = tuple(_low(score, row) for score, row in scored[:LOWEST])
    values = [score for score, _ in scored]
    return Metric(name, len(scored), average, tuple(_bins(values)), lowest, tuple(signatures))


def cells_of(rows: Iterable[Row], metrics: Sequence[str]) -> list[dict[str, Any]]:
    """Source by target: means of all items, and how many of them went wrong."""
    found: defaultdict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        if row["source_language"] and row["target_language"]:
            found[row["source_language"], row["target_language"]].append(row)
    return [
        {
            "source": for_terminal(source),
            "target": for_terminal(target),
            "failed": sum(row["kind"] is not None for row in members),
            "scores": [_mean(members, metric) for metric in metrics],
        }
        for (source, target), members in sorted(found.items())
    ]


def _mean(rows: Iterable[Row], metric: str) -> float | None:
    values = [row["scores"][metric] for row in rows if metric in row["scores"]]
    return round(sum(values) / len(values), 3) if values else None


def _low(score: float, row: Row) -> Low:
    languages: Mapping[str, str] = {end: row[f"{end}_language"] or "" for end in _ENDS}
    return Low(
        row["item"], languages["source"], languages["target"], score, row["suspicious"] or ""
    )


_ENDS = ("source", "target")


def _bins(values: Sequence[float]) -> list[tuple[float, float, int]]:
    """Equal parts of the range; one where all are equal. `values` are sorted."""
    if not values:
        return []
    low, high = values[0], values[-1]
    if high - low < 1e-9:
        return [(low - 0.5, high + 0.5, len(values))]
    width = (high - low) / _BINS
    counts = [0] * _BINS
    for value in values:
        counts[min(int((value - low) / width), _BINS - 1)] += 1
    return [
        (round(low + n * width, 3), round(low + (n + 1) * width, 3), count)
        for n, count in enumerate(counts)
    ]
