"""What a report says, for people and for programs."""

import shlex
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from coordinator.domain.states import FailureKind
from coordinator.metrics import Average
from coordinator.reports.groups import ErrorGroup
from coordinator.reports.history import Progress
from coordinator.reports.kinds import next_lines
from coordinator.reports.lists import kind_list
from coordinator.reports.tree import Note

FORMAT = 1


@dataclass(frozen=True)
class Counts:
    """How many items of the run list stand where; the parts add up to `run_list`."""

    run_list: int
    succeeded: int
    early_exit: int
    failed: int
    still_running: int
    not_run: int

    @property
    def total(self) -> int:
        parts = (self.succeeded, self.early_exit, self.failed, self.still_running, self.not_run)
        return sum(parts)


@dataclass(frozen=True)
class Summary:
    """A report in numbers, with the place of each list.

    Attributes:
        limited: what was left out of the batch, in words; "" = nothing.
        run_list_source: where the run list comes from, in words.
        run_list_complete: False where items that left no logs are unknown.
        repeated: lines of the run list that named an item again.
        kinds: failures by kind; the parts add up to `counts.failed`.
        progress: how far what is still running is; the parts add up to `counts.still_running`.
        silent: failures without an outcome and without a reason; part of `failed`.
        not_stored: failures whose work was done: the store did not take it; part of `failed`.
        skipped: items left out when the batch was submitted; part of `not_run`.
        outside: items that left logs and are not on the run list; in no other number.
        groups: failures by distinct error; the parts add up to `counts.failed`.
        notes: what in the log folder could not be used.
        files: the names of what was written to `report_dir`, sorted.
        averages: metric -> mean over the run list without early exits.
        suspicious: items that succeeded with suspicious translations -> what is wrong with them.
        failed: kind -> its failed items, sorted.
        is_foreign: whether another batch system ran it, which has to run it again.
        page_problem: why there is no `report.html` though one was wanted; "" = nothing.
    """

    batch: str
    log_dir: str
    report_dir: str
    run_list_source: str
    run_list_complete: bool
    repeated: int
    counts: Counts
    kinds: Mapping[FailureKind, int]
    progress: Mapping[Progress, int]
    silent: int
    not_stored: int
    skipped: int
    outside: int
    groups: tuple[ErrorGroup, ...]
    notes: tuple[Note, ...]
    files: tuple[str, ...]
    averages: Mapping[str, Average]
    suspicious: Mapping[str, tuple[str, ...]]
    next_commands: tuple[str, ...]
    failed: Mapping[FailureKind, tuple[str, ...]] = field(repr=False)
    limited: str = ""
    is_foreign: bool = False
    page_problem: str = ""

    @property
    def commands(self) -> dict[FailureKind, str]:
        """Of each kind that occurs, the command that runs it again; the most frequent first."""
        return dict(zip(_most_frequent(self.failed), self.next_commands, strict=True))

    @property
    def advice(self) -> tuple[str, ...]:
        """The next commands for a person, who is told what to mend before it runs again."""
        return tuple(line for kind in self.commands for line in self.advice_on(kind))

    def advice_on(self, kind: FailureKind) -> tuple[str, ...]:
        again = self.commands[kind]
        return (again,) if self.is_foreign else next_lines(self.batch, kind, again)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON without the item lists, which are files beside it."""
        return {
            "format": FORMAT,
            "batch": self.batch,
            "limited": self.limited,
            "log_dir": self.log_dir,
            "report_dir": self.report_dir,
            "run_list": {
                "source": self.run_list_source,
                "complete": self.run_list_complete,
                "repeated": self.repeated,
            },
            "counts": asdict(self.counts),
            "kinds": {str(kind): count for kind, count in self.kinds.items()},
            "progress": {str(progress): count for progress, count in self.progress.items()},
            "silent": self.silent,
            "not_stored": self.not_stored,
            "skipped": self.skipped,
            "outside_run_list": self.outside,
            "groups": [group.to_json() for group in self.groups],
            "notes": [asdict(note) for note in self.notes],
            "files": list(self.files),
            "averages": {metric: asdict(a) for metric, a in self.averages.items()},
            "suspicious": len(self.suspicious),
            "next_commands": list(self.next_commands),
        }


def next_commands(
    batch: str,
    failed: Mapping[FailureKind, tuple[str, ...]],
    read: Collection[FailureKind],
    report_dir: str,
    *,
    is_foreign: bool = False,
) -> tuple[str, ...]:
    """One command for each kind that occurs, the most frequent first.

    Kinds that were `read` from last words are in no ledger: there the list tells which items.
    What ran in another system is run again there: a command prints which items.
    """
    kinds = _most_frequent(failed)
    if is_foreign:
        return tuple(show_list(report_dir, kind_list(kind)) for kind in kinds)
    return tuple(
        f"coordinator resubmit {shlex.quote(batch)} {_chosen(kind, read, report_dir)}"
        for kind in kinds
    )


def _most_frequent(failed: Mapping[FailureKind, Collection[str]]) -> list[FailureKind]:
    """The kinds that occur, the most frequent first."""
    return sorted(failed, key=lambda kind: -len(failed[kind]))


def show_list(report_dir: str, name: str) -> str:
    """The command that prints a list of the report."""
    return f"cat {shlex.quote(f'{report_dir}/{name}')}"


def _chosen(kind: FailureKind, read: Collection[FailureKind], report_dir: str) -> str:
    if kind not in read:
        return f"--kind {kind}"
    return f"--item_list {shlex.quote(f'{report_dir}/{kind_list(kind)}')}"
