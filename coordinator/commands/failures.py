"""`failures`: the distinct errors of a batch, as its logs tell them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from coordinator.bootstrap import batch_folder
from coordinator.clock import Clock
from coordinator.commands.batch_logs import logs_of
from coordinator.domain.states import ItemState
from coordinator.ledger import Ledger
from coordinator.reports.failures import Failures, Wanted, read_failures
from coordinator.reports.rules import read_rules
from coordinator.reports.tree import OnProgress
from coordinator.settings import Settings

# Told before the logs are read: which batch, where they are, how many items failed by its ledger
# (None: that is not here).
OnReading = Callable[[str, str, int | None], None]


def failures(
    settings: Settings,
    batch: str | None,
    clock: Clock,
    wanted: Wanted,
    on_reading: OnReading,
    *,
    log_dir: Path | None = None,
    rules: Path | None = None,
    on_progress: OnProgress = lambda _what, _done, _total: None,
) -> Failures:
    """What failed, from the batch's log tree alone; its ledger only says where that is.

    Args:
        settings: where logs and ledgers are.
        batch: its name; None = the only one there.
        clock: for opening the ledger.
        wanted: which failures, and how many examples of each.
        on_reading: told before the logs are read, which may take a while.
        log_dir: read these logs, wherever the batch's own are; a folder, or s3://bucket/prefix.
        rules: a table of what lines of logs mean; None = our own logs need none.
        on_progress: hears what is done: what, how many, of how many (None = nobody knows).

    Raises:
        BadInput: there are no logs, or of several batches, or the rules cannot be used.
    """
    table = read_rules(rules) if rules else None
    with logs_of(settings, batch, clock, log_dir, on_progress) as logs:
        failed = _failed(settings, logs.batch, clock) if logs.record else None
        on_reading(logs.batch, logs.address or str(logs.folder), failed)
        found = read_failures(logs.folder, logs.batch, wanted, table, on_progress)
    return replace(found, log_dir=logs.address or found.log_dir)


def _failed(settings: Settings, batch: str, clock: Clock) -> int:
    """How many items failed, by the ledger."""
    ledger = Ledger.open(batch_folder(settings, batch), clock, read_only=True)
    try:
        counts = ledger.tally().items
        return counts.get(ItemState.FAILED, 0) + counts.get(ItemState.STOPPED, 0)
    finally:
        ledger.close()
