"""Items that ended well, with translations that look like none."""

from collections.abc import Iterable, Mapping

from pydantic import ValidationError

from coordinator.metrics import Suspicious
from coordinator.reports.history import ItemReport, Standing
from coordinator.reports.tables import Cell, csv_text

Suspicions = Mapping[str, Suspicious]  # item -> what is suspicious about it

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


def suspicious_csv(found: Suspicions) -> str:
    """One row per item: its counts of lines, and the sentences that say what is wrong."""
    rows: list[list[Cell]] = [["item", *_COUNTS, "what"]]
    for item in sorted(found):
        counts = found[item].model_dump(include=set(_COUNTS))
        what = "; ".join(found[item].flags)
        rows.append([item, *(counts[name] for name in _COUNTS), what])
    return csv_text(rows)


def _read(fact: object) -> Suspicious | None:
    try:
        return Suspicious.model_validate(fact)
    except ValidationError:
        return None
