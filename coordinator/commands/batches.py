"""`ls`: every batch here, from the counts in its ledger: quick however many items there are."""

from contextlib import closing
from dataclasses import asdict, dataclass
from typing import Any

from coordinator.bootstrap import batch_folder
from coordinator.clock import Clock
from coordinator.commands.record import record_of
from coordinator.commands.status import open_ledger
from coordinator.commands.unknown import batch_names
from coordinator.commands.watching import etas, pause_of
from coordinator.domain.states import FINISHED_ITEMS, ItemState
from coordinator.errors import CoordinatorError
from coordinator.ledger import ControlDesk, Ledger, holder
from coordinator.settings import Settings


@dataclass(frozen=True)
class BatchRow:
    """One batch.

    Attributes:
        age: seconds since it was submitted.
        done: items that have ended, in whatever way.
        paused: why nothing new is started, or "".
        driven_by: "" = nobody.
        left: seconds, by the rate of the last minutes; None = not known.
    """

    batch: str
    age: float
    total: int
    done: int
    counts: dict[str, int]
    skipped: int
    failed: int
    finished: bool
    paused: str
    driven_by: str
    left: float | None
    limited: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def list_batches(settings: Settings, clock: Clock) -> list[BatchRow | tuple[str, str]]:
    """Every batch here by name; one that cannot be read as its name and the reason."""
    found: list[BatchRow | tuple[str, str]] = []
    for name in batch_names(settings):
        try:
            with closing(open_ledger(settings, name, clock)) as ledger:
                found.append(_row(settings, name, ledger, clock))
        except CoordinatorError as error:
            found.append((name, str(error)))
    return found


def _row(settings: Settings, name: str, ledger: Ledger, clock: Clock) -> BatchRow:
    record, tally = record_of(ledger), ledger.tally()
    driver = holder(batch_folder(settings, name)) or ""
    skipped = len(record.skipped)
    ended = sum(n for state, n in tally.items.items() if state in FINISHED_ITEMS)
    is_finished = ended == tally.total
    expected = etas(ledger, tally, record, clock.now()) if driver and not is_finished else None
    paused = (
        "" if is_finished else pause_of(ledger, record, tally, ControlDesk(ledger).read(), driver)
    )
    return BatchRow(
        batch=name,
        age=max(0.0, clock.now() - record.created_at),
        total=tally.total + skipped,
        done=ended + skipped,
        counts={str(s): tally.items.get(s, 0) for s in ItemState if s is not ItemState.SKIPPED},
        skipped=skipped,
        failed=tally.items.get(ItemState.FAILED, 0) + tally.items.get(ItemState.STOPPED, 0),
        finished=is_finished,
        paused=paused,
        driven_by=driver,
        left=expected[0] if expected else None,
        limited=record.limited,
    )
