"""Which items of a report to run again."""

from collections.abc import Collection
from pathlib import Path

from coordinator.domain.states import FailureKind
from coordinator.errors import BadInput
from coordinator.reports.lists import FAILED, kind_list
from coordinator.reports.run_list import read_ids
from coordinator.reports.summary import Summary


def items_to_resubmit(report: Path | Summary, kinds: Collection[FailureKind] = ()) -> list[str]:
    """The failed items of a report (its folder, or its summary), sorted; of `kinds` only, if any.

    Raises:
        BadInput: the folder holds no report, or its lists were damaged.
    """
    if isinstance(report, Summary):
        chosen = kinds or report.failed.keys()
        return sorted(item for kind in chosen for item in report.failed.get(kind, ()))
    if not (report / FAILED).is_file():
        raise BadInput(
            f"{report} holds no report",
            why=f"there is no {FAILED} in it",
            hint="write one first: coordinator report BATCH",
        )
    lists = [report / kind_list(kind) for kind in kinds] if kinds else [report / FAILED]
    return sorted({item for path in lists if path.is_file() for item in read_ids(path)})
