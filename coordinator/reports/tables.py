"""The tables of a report as CSV (RFC 4180), safe to open in a spreadsheet."""

from collections.abc import Iterable, Mapping
from itertools import chain

from coordinator.domain.csv_text import csv_text
from coordinator.metrics import Average, score_rows
from coordinator.reports.history import ItemReport, Standing
from coordinator.reports.rows import Row, flat, flat_names

Scores = Mapping[str, Mapping[str, float]]  # item -> metric -> score


def scores_of(reports: Iterable[ItemReport]) -> Scores:
    """The scores of the items that succeeded; what is no number is left out."""
    return {
        report.item: _numbers(report.deciding.outcome.facts.get("scores"))
        for report in reports
        if report.standing is Standing.SUCCEEDED
        and report.deciding is not None
        and report.deciding.outcome is not None
    }


def signatures_of(reports: Iterable[ItemReport]) -> dict[str, tuple[str, ...]]:
    """Metric -> how the scores of the items that succeeded were computed; sorted."""
    found: dict[str, set[str]] = {}
    for report in reports:
        outcome = report.deciding.outcome if report.deciding else None
        told = outcome.facts.get("signatures") if outcome else None
        for metric, signature in told.items() if isinstance(told, dict) else ():
            found.setdefault(str(metric), set()).add(str(signature))
    return {metric: tuple(sorted(signatures)) for metric, signatures in found.items()}


def summary_csv(rows: Iterable[Row], scores: Scores, limited: str = "") -> str:
    """The rows, one an item. `limited`: what was left out of the batch."""
    metrics = sorted({metric for values in scores.values() for metric in values})
    return csv_text(chain([flat_names(metrics)], (flat(row, metrics) for row in rows)), limited)


def scores_csv(scores: Scores, averages: Mapping[str, Average], limited: str = "") -> str:
    """Item by metric, with full floats; the last row holds the averages."""
    return csv_text(score_rows(scores, averages), limited)


def _numbers(facts: object) -> dict[str, float]:
    """Metric -> score, of what should be a mapping of numbers."""
    if not isinstance(facts, dict):
        return {}
    return {str(name): float(value) for name, value in facts.items() if _is_score(value)}


def _is_score(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < 1e300  # neither NaN nor infinite, nor an integer beyond floats
