"""How a batch stands, from its ledger: counts that add up, and failures grouped by their reason."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from coordinator.commands.record import BatchRecord
from coordinator.domain.alike import normalised
from coordinator.domain.states import FINISHED_ITEMS, FailureKind, ItemState
from coordinator.engine import gate_of
from coordinator.errors import ExitCode
from coordinator.ledger import ItemRow, Ledger


@dataclass(frozen=True)
class FailureGroup:
    """Items that failed alike."""

    kind: FailureKind
    count: int
    example: str  # an item
    reason: str  # of the example


@dataclass(frozen=True)
class Results:
    """Items by state; the counts and the skipped ones add up to the item list."""

    batch: str
    counts: dict[ItemState, int]
    skipped: int
    failures: tuple[FailureGroup, ...]
    output: str
    limited: str = ""  # what was left out of it, in words
    canary: str = ""  # why its canaries keep it from going on, and what would help

    @property
    def total(self) -> int:
        return sum(self.counts.values()) + self.skipped

    @property
    def is_finished(self) -> bool:
        return all(state in FINISHED_ITEMS for state, count in self.counts.items() if count)

    @property
    def exit_code(self) -> ExitCode:
        if not self.is_finished:
            return ExitCode.STOPPED_EARLY
        good = self.counts.get(ItemState.SUCCEEDED, 0) + self.counts.get(ItemState.NO_DATA, 0)
        return ExitCode.OK if good == self.total else ExitCode.SOME_FAILED

    def to_json(self) -> dict[str, Any]:
        return {
            "batch": self.batch,
            "total": self.total,
            "counts": {str(s): self.counts.get(s, 0) for s in ItemState if s != ItemState.SKIPPED},
            "skipped": self.skipped,
            "finished": self.is_finished,
            "failures": [
                {"kind": g.kind, "count": g.count, "example": g.example, "reason": g.reason}
                for g in self.failures
            ],
            "output": self.output,
            "limited": self.limited,
            "canary": self.canary,
        }


def results_of(ledger: Ledger, record: BatchRecord, *, with_failures: bool = True) -> Results:
    """How the batch stands; the groups of failures only if asked for."""
    failed = ledger.items(ItemState.FAILED, ItemState.STOPPED) if with_failures else ()
    return Results(
        batch=record.batch,
        counts={state: n for state, n in ledger.tally().items.items() if n},
        skipped=len(record.skipped),
        failures=tuple(_grouped(failed)),
        output=f"{record.output_root.rstrip('/')}/{record.batch}",
        limited=record.limited,
        canary=gate_of(ledger, record.batch, record.canary).failed,
    )


def _grouped(failed: Iterable[ItemRow]) -> list[FailureGroup]:
    counts: Counter[tuple[FailureKind, str]] = Counter()
    examples: dict[tuple[FailureKind, str], ItemRow] = {}
    for item in failed:
        kind = item.kind or FailureKind.UNKNOWN
        group = (kind, normalised(item.reason, item.id))
        counts[group] += 1
        examples.setdefault(group, item)
    return [
        FailureGroup(group[0], count, examples[group].id, examples[group].reason)
        for group, count in counts.most_common()
    ]
