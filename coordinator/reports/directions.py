"""Scores by language: a matrix for each metric, and averages over groups of languages."""

import re
from collections.abc import Iterable, Sequence

from coordinator.domain.csv_text import csv_text
from coordinator.metrics import group_averages, group_rows, matrix, read_languages
from coordinator.reports.history import ItemReport, Standing
from coordinator.reports.lists import AVERAGES, MATRIX
from coordinator.reports.tables import Scores

_METRIC = re.compile(r"\w[\w.+-]{0,99}", re.ASCII)  # one that can be in a file's name
_LONGEST = 64  # characters of a language's code

Directions = dict[str, tuple[str, str]]  # item -> source and target language; "" = not known


def directions_of(reports: Iterable[ItemReport]) -> Directions:
    """The languages of all items that should have scores, as their scoring told.

    Those of an item that has not been scored are not known here.
    """
    scorable = [report for report in reports if report.standing is not Standing.EARLY_EXIT]
    return {report.item: _languages(report) for report in scorable}


def language_files(
    scores: Scores, directions: Directions, metrics: Sequence[str], limited: str = ""
) -> dict[str, str]:
    """File name -> content; none where nothing is known of any item's languages."""
    if not any(map(all, directions.values())):
        return {}
    groups = group_averages(scores, directions, metrics, read_languages())
    named = [metric for metric in metrics if _METRIC.fullmatch(metric)]
    matrices = {
        MATRIX.format(name): csv_text(matrix(scores, directions, name), limited) for name in named
    }
    return matrices | {AVERAGES: csv_text(group_rows(groups), limited)}


def _languages(report: ItemReport) -> tuple[str, str]:
    attempt = report.deciding
    if attempt is None or attempt.outcome is None:
        return "", ""
    match attempt.outcome.facts.get("languages"):
        case [str(source), str(target)] if max(len(source), len(target)) <= _LONGEST:
            return source, target
    return "", ""
