"""`status` and `ls`: where batches stand, read from their ledgers; nothing is changed."""

from dataclasses import dataclass
from typing import Any

from coordinator.bootstrap import batch_folder
from coordinator.clock import Clock
from coordinator.commands.record import BatchRecord, record_of
from coordinator.commands.results import Results, results_of
from coordinator.domain.states import ItemState
from coordinator.errors import BadInput, BatchMissing, CoordinatorError
from coordinator.ledger import FILE, ItemRow, Ledger, holder
from coordinator.settings import Settings, nearest


@dataclass(frozen=True)
class Status:
    """One batch."""

    record: BatchRecord
    results: Results
    driven_by: str | None
    paused: bool
    failed: tuple[ItemRow, ...]

    def to_json(self) -> dict[str, Any]:
        failed = [{"item": i.id, "kind": i.kind, "reason": i.reason} for i in self.failed]
        return {
            **self.results.to_json(),
            "driven_by": self.driven_by,
            "paused": self.paused,
            "failed_items": failed,
        }


def open_ledger(settings: Settings, batch: str, clock: Clock, *, read_only: bool = True) -> Ledger:
    """The batch's ledger.

    Raises:
        BatchMissing: with the nearest names that are known.
    """
    try:
        return Ledger.open(batch_folder(settings, batch), clock, read_only=read_only)
    except BatchMissing as error:
        known = batch_names(settings)
        hint = nearest(batch, known) or f"coordinator ls lists those that are ({len(known)})"
        raise BatchMissing(error.what, why=error.why, hint=hint) from error


def batch_names(settings: Settings) -> list[str]:
    """The batches whose ledgers are on this machine."""
    if not settings.state_dir.is_dir():
        return []
    return sorted(path.parent.name for path in settings.state_dir.glob(f"*/{FILE}"))


def status(settings: Settings, batch: str, clock: Clock) -> Status:
    ledger = open_ledger(settings, batch, clock)
    try:
        record = record_of(ledger)
        return Status(
            record=record,
            results=results_of(ledger, record),
            driven_by=holder(batch_folder(settings, batch)),
            paused=ledger.was_paused(),
            failed=tuple(ledger.items(ItemState.FAILED, ItemState.STOPPED)),
        )
    finally:
        ledger.close()


def item_history(settings: Settings, batch: str, item: str, clock: Clock) -> list[dict[str, Any]]:
    """Every attempt of one item.

    Raises:
        BadInput: no such item, with the nearest ones.
    """
    ledger = open_ledger(settings, batch, clock)
    try:
        attempts = ledger.history(item)
        if not attempts:
            hint = nearest(item, ledger.item_ids())
            raise BadInput(f"batch {batch} has no item {item!r}", hint=hint)
        steps = record_of(ledger).steps
    finally:
        ledger.close()
    return [_attempt(row, steps) for row in attempts]


def list_batches(settings: Settings, clock: Clock) -> list[Status | tuple[str, str]]:
    """Every batch here; one that cannot be read as its name and the reason."""
    found: list[Status | tuple[str, str]] = []
    for name in batch_names(settings):
        try:
            found.append(status(settings, name, clock))
        except CoordinatorError as error:
            found.append((name, str(error)))
    return found


def _attempt(row: dict[str, Any], steps: tuple[str, ...]) -> dict[str, Any]:
    return {
        "step": steps[row["step"]],
        "attempt": row["number"],
        "state": row["state"],
        "kind": row["kind"],
        "reason": row["reason"],
        "dispatch": row["dispatch_name"],
        "job_id": row["job_id"],
    }
