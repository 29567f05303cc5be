"""`rm`: forget a batch on this machine; its outputs only on request."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from coordinator.bootstrap import batch_folder
from coordinator.clock import Clock
from coordinator.commands.record import record_of
from coordinator.commands.status import open_ledger
from coordinator.domain.paths import BatchKeys
from coordinator.errors import UsageError
from coordinator.ledger import Ledger, driver_lock
from coordinator.settings import Settings
from coordinator.storage import open_storage


@dataclass(frozen=True)
class Removed:
    """What is gone."""

    batch: str
    folders: tuple[str, ...]
    objects: int  # in the output root
    outputs: str  # where those are, or were


def remove(settings: Settings, batch: str, clock: Clock, *, outputs: bool) -> Removed:
    """Remove ledger and local logs, and the outputs where asked for.

    Raises:
        BatchBusy: it is being driven.
        UsageError: jobs of it still run.
    """
    folder = batch_folder(settings, batch)
    ledger = open_ledger(settings, batch, clock, read_only=False)
    try:
        with driver_lock(folder, batch):
            record = record_of(ledger)
            _refuse_running(ledger, batch)
            count = (
                open_storage(record.output_root).delete(BatchKeys(batch).prefix) if outputs else 0
            )
            logs = record.logs.folder
            for path in (logs, folder):
                _remove(path)
    finally:
        ledger.close()
    outputs_at = f"{record.output_root.rstrip('/')}/{batch}"
    return Removed(batch, (str(logs), str(folder)), count, outputs_at)


def _remove(folder: Path) -> None:
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        return
    except OSError as error:
        raise UsageError(
            f"{folder} cannot be removed",
            why=str(error),
            hint="check the rights to it, then the same again",
        ) from error


def _refuse_running(ledger: Ledger, batch: str) -> None:
    if out := ledger.out():
        raise UsageError(
            f"{len(out)} jobs of {batch} are still out",
            why="removing the ledger now would lose them",
            hint=f"coordinator submit --batch_name {batch} --resume, or "
            f"coordinator purge {batch} --include-running --yes",
        )
