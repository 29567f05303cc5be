"""Where the logs of a batch are: what its ledger says, unless a log tree is given."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from coordinator.bootstrap import batch_folder
from coordinator.clock import Clock
from coordinator.commands.record import BatchRecord, record_of
from coordinator.commands.remote_logs import address_of, logs_at_hand
from coordinator.errors import BatchMissing, LedgerError
from coordinator.ledger import Ledger
from coordinator.reports.batches import find_batch
from coordinator.reports.tree import OnProgress
from coordinator.settings import Settings


@dataclass(frozen=True)
class LogsFound:
    """The logs of a batch, on this machine for as long as they are read.

    Attributes:
        folder: of all logs, or of the batch's own.
        record: of the batch, if its ledger is on this machine.
        address: where the logs really are, if the folder is a copy; else "".
    """

    batch: str
    folder: Path
    record: BatchRecord | None
    address: str = ""


@contextmanager
def logs_of(
    settings: Settings,
    batch: str | None,
    clock: Clock,
    log_dir: Path | None,
    on_progress: OnProgress,
) -> Iterator[LogsFound]:
    """The logs of a batch.

    Args:
        settings: where logs and ledgers are.
        batch: its name; None = the only one there.
        clock: for opening the ledger.
        log_dir: these logs, wherever the batch's own are; a folder, or s3://bucket/prefix.
        on_progress: hears what is done: what, how many, of how many (None = nobody knows).

    Raises:
        BadInput: there are no logs, or of several batches.
    """
    with logs_at_hand(log_dir or settings.log_dir, on_progress, [batch] if batch else []) as here:
        name = batch or find_batch(here.resolve(), None).name
        known = _record_beside(settings, name, clock, log_dir)
        folder = here if log_dir or not known else Path(known.log_dir)
        yield LogsFound(name, folder, known, address_of(log_dir) if log_dir else "")


def _record_beside(
    settings: Settings, batch: str, clock: Clock, log_dir: Path | None
) -> BatchRecord | None:
    """The batch's record; whoever names logs can do without a ledger that cannot be read."""
    try:
        return known_record(settings, batch, clock)
    except LedgerError as error:
        if log_dir:
            return None
        hint = f"{error.hint}; or --log_dir {settings.log_dir} reads the logs alone"
        raise type(error)(error.what, why=error.why, hint=hint) from error


def known_record(settings: Settings, batch: str, clock: Clock) -> BatchRecord | None:
    """The batch's record, if its ledger is on this machine."""
    try:
        ledger = Ledger.open(batch_folder(settings, batch), clock, read_only=True)
    except BatchMissing:
        return None
    try:
        return record_of(ledger)
    finally:
        ledger.close()
