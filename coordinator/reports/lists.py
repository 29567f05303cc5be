"""The files of a report: which there are, and what stands in the lists of items."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from coordinator.domain.states import FailureKind
from coordinator.reports.history import ItemReport, Progress, Standing

SUCCEEDED = "unique_success_item_names.txt"
FAILED = "unique_fail_item_names.txt"
EARLY_EXIT = "early_exit.txt"
SILENT = "silent_failures.txt"
NOT_STORED = "not_stored.txt"
STILL_RUNNING = "still_running.txt"
NOT_RUN = "not_run.txt"
RUN_LIST = "sorted-run-list.txt"
SKIPPED = "skipped.txt"
OUTSIDE = "outside_run_list.txt"
MESSAGES = "messages.json"
SUMMARY_CSV = "summary.csv"
SUMMARY_JSON = "summary.json"
SCORES = "scores.csv"
SUSPICIOUS = "suspicious.csv"
AVERAGES = "averages.csv"
USAGE = "aggregate_resource_usage.csv"
PAGE = "report.html"
MATRIX = "matrix-{}.csv"  # of a metric

LIST_OF = {
    Standing.SUCCEEDED: SUCCEEDED,
    Standing.EARLY_EXIT: EARLY_EXIT,
    Standing.FAILED: FAILED,
    Standing.STILL_RUNNING: STILL_RUNNING,
    Standing.NOT_RUN: NOT_RUN,
}


def kind_list(kind: FailureKind) -> str:
    return f"fail_{kind}.txt"


def progress_list(progress: Progress) -> str:
    return f"{progress}.txt"


# Written only where there is something to write: an older report's must not stay behind.
OCCASIONAL = frozenset(
    {
        *(NOT_STORED, SKIPPED, OUTSIDE, SCORES, SUSPICIOUS, AVERAGES, USAGE, PAGE),
        *map(kind_list, FailureKind),
        *map(progress_list, Progress),
    }
)


@dataclass(frozen=True)
class Sorting:
    """The run list, taken apart. Every tuple is sorted by code point.

    Attributes:
        reports: one for each item of the run list.
        skipped: of those that did not run, the ones left out when the batch was submitted.
        outside: items that left logs and are not on it.
        not_stored: of those that failed, the ones whose work was done: the store did not take it.
    """

    reports: tuple[ItemReport, ...]
    skipped: tuple[str, ...]
    outside: tuple[str, ...]
    not_stored: tuple[str, ...] = ()

    def standing(self, standing: Standing) -> tuple[str, ...]:
        return tuple(r.item for r in self.reports if r.standing is standing)

    @property
    def silent(self) -> tuple[str, ...]:
        return tuple(r.item for r in self.reports if r.silent)

    @property
    def progress(self) -> dict[Progress, tuple[str, ...]]:
        """How far -> the items that are still running; what occurs only, in a fixed order."""
        found = {
            progress: tuple(r.item for r in self.reports if r.progress is progress)
            for progress in Progress
        }
        return {progress: items for progress, items in found.items() if items}

    @property
    def failed(self) -> dict[FailureKind, tuple[str, ...]]:
        """Kind -> its items; kinds that occur only, in the order of their definition."""
        found: dict[FailureKind, list[str]] = {kind: [] for kind in FailureKind}
        for report in self.reports:
            if report.kind is not None:
                found[report.kind].append(report.item)
        return {kind: tuple(items) for kind, items in found.items() if items}


def item_lists(sorting: Sorting) -> Mapping[str, Iterable[str]]:
    """File name -> the items in it."""
    lists = {name: sorting.standing(standing) for standing, name in LIST_OF.items()}
    lists[SILENT] = sorting.silent
    lists[RUN_LIST] = tuple(report.item for report in sorting.reports)
    lists |= {kind_list(kind): items for kind, items in sorting.failed.items()}
    lists |= {progress_list(progress): items for progress, items in sorting.progress.items()}
    occasional = {
        NOT_STORED: sorting.not_stored,
        SKIPPED: sorting.skipped,
        OUTSIDE: sorting.outside,
    }
    return lists | {name: items for name, items in occasional.items() if items}
