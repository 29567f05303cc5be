"""`rebuild-ledger`: a new ledger from what a batch has left in its output root.

It is the ledger of a batch that was just submitted, and knows that it lacks dispatches: the next
start learns of those from their handoffs, and of what became of them from the cluster and from
what they left, before it sends anything.
"""

import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from coordinator.bootstrap import batch_folder, make_cluster
from coordinator.bootstrap.place import keep_uid
from coordinator.clock import Clock
from coordinator.commands.item_list import kept_items
from coordinator.commands.record import BatchRecord, as_document
from coordinator.commands.saving import saved_lineage
from coordinator.commands.unknown import batch_names
from coordinator.domain.handoff import read_handoff
from coordinator.domain.paths import BatchKeys, LogTree
from coordinator.engine import sort_key
from coordinator.errors import (
    BadInput,
    BatchMissing,
    LedgerError,
    ObjectMissing,
    Problem,
    UsageError,
)
from coordinator.ledger import (
    FILE,
    Ledger,
    PortableLedger,
    driver_lock,
    put_in_place,
    refuse_damage,
)
from coordinator.parallel import ordered_map
from coordinator.settings import Settings, nearest
from coordinator.storage import Storage, open_storage

_BESIDE = ("", "-wal", "-shm")  # the files of one SQLite database, the one that matters first


@dataclass(frozen=True)
class Rebuilt:
    """What a new ledger was made of."""

    batch: str
    items: int
    dispatches: int  # that were made, and will be found again
    kept: str  # where the ledger that was lies now; "" = there was none


def rebuild(settings: Settings, batch: str, output_root: str | None, clock: Clock) -> Rebuilt:
    """Make a batch a new ledger; the one that was is kept under another name.

    Raises:
        UsageError: the ledger is whole.
        BatchMissing: the output root holds no such batch.
        BadInput: what it holds cannot be used.
        BatchBusy: the batch is being driven.
    """
    folder = batch_folder(settings, batch)
    storage = open_storage(_root(settings, batch, output_root))
    record = _record(storage, batch, batch_names(settings))
    folder.mkdir(parents=True, exist_ok=True)
    with driver_lock(folder, batch):
        _refuse_whole(folder, batch, clock)
        cluster = make_cluster(settings, record.venue)
        try:
            with cluster.held(lambda _why: None):
                dispatches = _count_handoffs(storage, batch)
                kept = _put_in_place(_made(folder, storage, record, clock), folder, storage, record)
        finally:
            cluster.close()
    return Rebuilt(batch, record.items, dispatches, kept)


def _root(settings: Settings, batch: str, output_root: str | None) -> str:
    """Where the outputs are: as given, or as the log tree has it, or where they would be now."""
    if output_root:
        return output_root
    try:
        kept = (LogTree(settings.log_dir, batch).folder / "batch.json").read_bytes()
        return BatchRecord.model_validate_json(kept).output_root
    except (OSError, ValidationError):
        return settings.output_root


def _record(storage: Storage, batch: str, known: Sequence[str]) -> BatchRecord:
    key = BatchKeys(batch).record
    try:
        return BatchRecord.model_validate_json(storage.read(key))
    except ObjectMissing as error:
        raise BatchMissing(
            f"there are no outputs of {batch}",
            why=f"{storage.uri}/{key} is not there",
            hint=f"{nearest(batch, known)} --output_root says where else to look".strip(),
        ) from error
    except ValidationError as error:
        raise BadInput(
            f"{storage.uri}/{key} cannot be read",
            why=f"{error.error_count()} faults in it",
            hint="put it back from the batch.json in the log tree",
        ) from error


def _refuse_whole(folder: Path, batch: str, clock: Clock) -> None:
    """A ledger that is whole knows more than a new one would."""
    try:
        ledger = Ledger.open(folder, clock, read_only=True)
    except (BatchMissing, LedgerError):
        return
    try:
        refuse_damage(ledger)
    except LedgerError:
        return
    finally:
        ledger.close()
    raise UsageError(
        f"the ledger of {batch} is whole",
        why="a new one would know less: nothing of what was asked, and no history",
        hint=f"go on with it: coordinator submit --batch_name {batch} --resume",
    )


def _count_handoffs(storage: Storage, batch: str) -> int:
    """How many dispatches were made. Each must be readable: one unknown might run twice."""
    keys = list(storage.list(BatchKeys(batch).handoff("").removesuffix(".json")))
    found = ordered_map(lambda key: _fault_of(storage, key), keys)
    problems = [Problem(key, why) for key, why in zip(keys, found, strict=True) if why]
    if problems:
        raise BadInput(
            f"{len(problems)} handoffs of {batch} cannot be used",
            why="what they had sent is not known, and might be run twice",
            hint="put them back; or remove them, if nothing of them runs any more",
            problems=problems,
        )
    return len(keys)


def _fault_of(storage: Storage, key: str) -> str:
    try:
        handoff = read_handoff(storage.read(key))
    except (BadInput, ObjectMissing) as error:
        return str(error)
    return "" if handoff.sent else "it does not say how it was sent: it is of an older version"


def _made(folder: Path, storage: Storage, record: BatchRecord, clock: Clock) -> Ledger:
    """A ledger of the batch as it was submitted, which knows that it lacks something."""
    aside = folder / "rebuilt"
    shutil.rmtree(aside, ignore_errors=True)
    first = record.pipeline.steps[0]
    keyed = ((item, sort_key(item, first)) for item in kept_items(storage, record))
    ledger = Ledger.create(aside, clock, as_document(record), keyed)
    ledger.note("rebuilt", "from what the batch has left; its dispatches are learnt of next")
    return ledger


def _put_in_place(fresh: Ledger, folder: Path, storage: Storage, record: BatchRecord) -> str:
    """Where the ledger that was lies from now on."""
    lineage = PortableLedger(fresh).begin_lineage(gap=True)
    fresh.close()
    kept = _put_aside(folder)
    put_in_place(fresh.path, folder / FILE)
    shutil.rmtree(fresh.path.parent)
    keep_uid(folder, record.uid)
    if saved_lineage(storage, BatchKeys(record.batch)):
        storage.write(BatchKeys(record.batch).lineage, lineage.encode())
    return kept


def _put_aside(folder: Path) -> str:
    """Keep all files of the damaged ledger, under one new name."""
    kept = folder / f"{FILE}.damaged-{time.strftime('%Y%m%dT%H%M%S')}"
    there = [end for end in _BESIDE if (folder / f"{FILE}{end}").exists()]
    for end in there:
        os.replace(folder / f"{FILE}{end}", f"{kept}{end}")
    return str(kept) if there else ""
