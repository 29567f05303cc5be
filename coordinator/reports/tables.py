"""The tables of a report as CSV (RFC 4180), safe to open in a spreadsheet."""

from collections.abc import Iterable, Mapping, Sequence

from coordinator.domain.csv_text import Cell, csv_text
from coordinator.metrics import Average, score_rows
from coordinator.reports.dispatches import Attempt
from coordinator.reports.explain import Message
from coordinator.reports.history import ItemReport, Standing

Scores = Mapping[str, Mapping[str, float]]  # item -> metric -> score

_COLUMNS = (
    "item",
    "state",
    "kind",
    "attempts",
    "step",
    "attempt",
    "dispatch",
    "node",
    "seconds",
    "reason",
    "file",
    "line",
)


def scores_of(reports: Iterable[ItemReport]) -> Scores:
    """The scores of the items that succeeded; what is no number is left out."""
    return {
        report.item: _numbers(report.deciding.outcome.facts.get("scores"))
        for report in reports
        if report.standing is Standing.SUCCEEDED
        and report.deciding is not None
        and report.deciding.outcome is not None
    }


def summary_csv(
    reports: Sequence[ItemReport],
    messages: Mapping[str, Message],
    skipped: Mapping[str, str],
    scores: Scores,
    limited: str = "",
) -> str:
    """One row per item of the run list.

    Args:
        reports: sorted as the rows shall be.
        messages: item -> why it failed.
        skipped: item -> why it was left out at the start.
        scores: of the items that succeeded.
        limited: what was left out of the batch.
    """
    metrics = _metrics(scores)
    rows: list[list[Cell]] = [[*_COLUMNS, *(f"score_{metric}" for metric in metrics)]]
    for report in reports:
        values = scores.get(report.item, {})
        row = _row(report, messages.get(report.item), skipped.get(report.item, ""))
        rows.append([*row, *(values.get(metric) for metric in metrics)])
    return csv_text(rows, limited)


def scores_csv(scores: Scores, averages: Mapping[str, Average], limited: str = "") -> str:
    """Item by metric, with full floats; the last row holds the averages."""
    return csv_text(score_rows(scores, averages), limited)


def _row(report: ItemReport, message: Message | None, skipped: str) -> list[Cell]:
    attempt = report.deciding
    if attempt is None:
        reason = f"skipped: {skipped}" if skipped else None
        cells: dict[str, Cell] = {"reason": reason}
    else:
        cells = {
            "kind": report.kind,
            "step": attempt.step,
            "attempt": attempt.number,
            "dispatch": attempt.folder.name,
            "node": attempt.node,
            "seconds": _seconds(attempt),
            "reason": message.message if message else attempt.reason,
            "file": message.file if message else None,
            "line": message.line if message else None,
        }
    cells |= {"item": report.item, "state": report.standing, "attempts": report.attempts}
    return [cells.get(column) for column in _COLUMNS]


def _seconds(attempt: Attempt) -> float | None:
    outcome = attempt.outcome
    return None if outcome is None else round(outcome.ended_at - outcome.started_at, 3)


def _numbers(facts: object) -> dict[str, float]:
    """Metric -> score, of what should be a mapping of numbers."""
    if not isinstance(facts, dict):
        return {}
    return {str(name): float(value) for name, value in facts.items() if _is_score(value)}


def _is_score(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < 1e300  # neither NaN nor infinite, nor an integer beyond floats


def _metrics(scores: Scores) -> list[str]:
    return sorted({metric for values in scores.values() for metric in values})
