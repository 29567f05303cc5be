"""Items that ended well, with translations that look like none."""

from collections.abc import Iterable, Mapping

from pydantic import ValidationError

from coordinator.domain.csv_text import csv_text
from coordinator.metrics import Suspicious, suspicious_rows
from coordinator.reports.history import ItemReport, Standing

Suspicions = Mapping[str, Suspicious]  # item -> what is suspicious about it


def suspicions_of(reports: Iterable[ItemReport]) -> Suspicions:
    """Those of the items that succeeded, as their scoring told; what is not in form is left out."""
    found = {
        report.item: _read(report.deciding.outcome.facts.get("suspicious"))
        for report in reports
        if report.standing is Standing.SUCCEEDED
        and report.deciding is not None
        and report.deciding.outcome is not None
    }
    return {item: signs for item, signs in found.items() if signs is not None and signs.flags}


def suspicious_csv(found: Suspicions, limited: str = "") -> str:
    """One row per item: its counts of lines, and the sentences that say what is wrong."""
    return csv_text(suspicious_rows(found), limited)


def _read(fact: object) -> Suspicious | None:
    try:
        return Suspicious.model_validate(fact)
    except ValidationError:
        return None
