"""What the dispatches of a batch used: one row each, and one for all of a step."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from coordinator.domain.csv_text import Cell, csv_text
from coordinator.domain.paths import DispatchLogs
from coordinator.domain.usage import COLUMNS, Row, Series, Use, parse_series, used
from coordinator.errors import BadInput
from coordinator.reports.tree import Tree


@dataclass(frozen=True)
class Usage:
    """What one dispatch used.

    Attributes:
        seconds: how long it was measured.
        uses: column -> mean and peak; what could not be measured is left out.
    """

    step: str
    dispatch: str
    rows: int
    seconds: float
    uses: Mapping[str, Use]


def series_of(tree: Tree, folder: Path) -> Iterator[tuple[DispatchLogs, Series]]:
    """Every series below the folder of a batch, one at a time; what is damaged is told."""
    for step in tree.entries(folder).folders:
        for dispatch in tree.entries(step).folders:
            logs = DispatchLogs(dispatch)
            is_there = logs.usage in tree.entries(dispatch).files
            series = _series(tree, logs.usage) if is_there else None
            if series and series.rows:
                yield logs, series


def usages_of(tree: Tree, folder: Path) -> list[Usage]:
    """What every dispatch used that was measured, by step and dispatch."""
    return [_usage(logs, series) for logs, series in series_of(tree, folder)]


def usage_csv(usages: Sequence[Usage], nodes: Mapping[str, str]) -> str:
    """One row a dispatch, and one with an empty `dispatch` for each step.

    Means are weighted by time. `nodes`: dispatch -> where it ran.
    """
    names = [f"{column}_{kind}" for column in COLUMNS for kind in ("mean", "max")]
    table: list[list[Cell]] = [["step", "dispatch", "node", "samples", "seconds", *names]]
    by_step: defaultdict[str, list[Usage]] = defaultdict(list)
    for usage in usages:
        by_step[usage.step].append(usage)
        table.append(_cells(usage, nodes.get(usage.dispatch, "")))
    table += [_cells(_together(members), "") for _, members in sorted(by_step.items())]
    return csv_text(table)


def _series(tree: Tree, path: Path) -> Series | None:
    data = tree.document(path)
    if data is None:
        return None
    try:
        return parse_series(data)
    except BadInput as error:
        tree.note(path, f"not used: {error.why}")
        return None


def _usage(logs: DispatchLogs, series: Series) -> Usage:
    step, dispatch = logs.folder.parent.name, logs.folder.name
    seconds = sum(row.seconds for row in series.rows)
    return Usage(step, dispatch, len(series.rows), seconds, used(series.rows))


def _together(members: Sequence[Usage]) -> Usage:
    """All dispatches of a step as one: means by time, the highest of the peaks."""
    means = used(Row(0.0, m.seconds, _values(m, peak=False)) for m in members)
    peaks = used(Row(0.0, m.seconds, _values(m, peak=True)) for m in members)
    return Usage(
        members[0].step,
        "",
        sum(m.rows for m in members),
        sum(m.seconds for m in members),
        {column: Use(use.mean, peaks[column].peak) for column, use in means.items()},
    )


def _values(usage: Usage, *, peak: bool) -> tuple[float | None, ...]:
    found = (usage.uses.get(column) for column in COLUMNS)
    return tuple(None if use is None else (use.peak if peak else use.mean) for use in found)


def _cells(usage: Usage, node: str) -> list[Cell]:
    cells: list[Cell] = [usage.step, usage.dispatch, node, usage.rows, round(usage.seconds, 3)]
    for column in COLUMNS:
        use = usage.uses.get(column)
        cells += [round(use.mean, 3), round(use.peak, 3)] if use else [None, None]
    return cells
