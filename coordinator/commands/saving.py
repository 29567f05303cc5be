"""The ledger in the output root: saved as the batch goes, fetched where it goes on elsewhere."""

import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

from coordinator.bootstrap import batch_folder, make_cluster
from coordinator.bootstrap.place import nomad_place
from coordinator.clock import Clock
from coordinator.cluster import StillHeld
from coordinator.commands.record import BatchRecord, as_document, record_of
from coordinator.commands.unknown import batch_names
from coordinator.domain.paths import BatchKeys
from coordinator.errors import (
    BatchMissing,
    CredentialsError,
    LedgerError,
    ObjectMissing,
    StorageError,
    StorageUnavailable,
    UsageError,
)
from coordinator.ledger import (
    FILE,
    Ledger,
    PortableLedger,
    addresses,
    driver_lock,
    put_in_place,
)
from coordinator.settings import Settings, nearest
from coordinator.storage import Storage, open_storage

SAVE_SECONDS = 30.0
_SHARE = 10.0  # a save is followed by this many times its own duration without one
_SUPERSEDED = f"{FILE}.superseded"


class Superseded(LedgerError):
    """The batch went on from another host since this ledger was written."""


class LedgerSaver:
    """Keeps a copy of a driven batch's ledger in its output root."""

    def __init__(
        self, ledger: Ledger, storage: Storage, batch: str, clock: Clock, still_held: StillHeld
    ) -> None:
        self._ledger, self._storage, self._keys = PortableLedger(ledger), storage, BatchKeys(batch)
        self._folder, self._clock, self._still_held = ledger.path.parent, clock, still_held
        self._saved: tuple[int, int] | None = None  # the version that is safe
        self._next_at = clock.monotonic()
        self._is_on = False

    def start(self, *, on: bool) -> None:
        """Make sure that no other ledger of the batch is newer; with `on`, save before all else.

        Raises:
            Superseded: another is.
            StorageError, CredentialsError: it cannot be told, or not be saved.
        """
        found, own = saved_lineage(self._storage, self._keys), self._ledger.lineage
        if found and found != own:
            raise Superseded(
                f"batch {self._keys.batch} has gone on from another host",
                why=f"{self._storage.uri} holds a newer ledger of it than this machine",
                hint=f"coordinator submit --batch_name {self._keys.batch} --resume fetches it",
            )
        self._is_on = on
        if on:
            lineage = own or self._ledger.begin_lineage(gap=False)
            self.save()
            if data := addresses.kept(self._folder):
                self._storage.write(self._keys.addresses, data)
            if not found:
                self._storage.write(self._keys.lineage, lineage.encode())

    def __call__(self) -> bool:
        """Save, if it is time; whether all that the ledger holds by now is safe."""
        if not self._is_on or self._saved == self._ledger.version():
            return True
        if self._clock.monotonic() < self._next_at:
            return False
        try:
            return self.save()
        except (StorageUnavailable, CredentialsError):
            raise
        except (StorageError, LedgerError, OSError) as error:  # nothing that the jobs need
            self._next_at = self._clock.monotonic() + SAVE_SECONDS
            structlog.get_logger().warning("ledger not saved", why=str(error))
            return False

    def save(self) -> bool:
        """Put a copy in place, whole or not at all; False where the batch may not be ours."""
        if not self._is_on or not self._still_held():
            return not self._is_on
        began, version = self._clock.monotonic(), self._ledger.version()
        with tempfile.TemporaryDirectory(prefix="ledger-") as folder:
            copy = Path(folder) / FILE
            self._ledger.backup(copy)
            if not self._still_held():
                return False
            self._storage.upload(copy, self._keys.ledger)
        took = self._clock.monotonic() - began
        self._next_at = self._clock.monotonic() + max(SAVE_SECONDS, _SHARE * took)
        self._saved = version
        return True

    def forget_addresses(self) -> None:
        """Every item has succeeded: what was secret of their addresses goes, here and there."""
        addresses.forget(self._folder)
        if self._is_on:
            self._storage.delete(f"{self._keys.addresses.rpartition('/')[0]}/")


def saved_lineage(storage: Storage, keys: BatchKeys) -> str:
    """The lineage of the ledger that is saved there; "" = none is."""
    try:
        return storage.read(keys.lineage).decode("ascii", "replace")[:64]
    except ObjectMissing:
        return ""


@dataclass(frozen=True)
class Place:
    """Where a batch goes on, and what may differ there."""

    settings: Settings
    output_root: str
    adapt: Callable[[BatchRecord], BatchRecord]  # to what the user has given


def restore(place: Place, batch: str, clock: Clock) -> None:
    """Fetch the saved ledger of a batch, and go on with it here; what was here is put aside.

    The saved one is taken under the batch's lock, and is marked as this host's before anything
    else is done: from then on, what other hosts have is older.

    Raises:
        BatchMissing: none is saved there.
        BatchBusy: the batch is being driven.
        UsageError: its jobs ran on the machine of another coordinator.
    """
    storage, keys = open_storage(place.output_root), BatchKeys(batch)
    folder = batch_folder(place.settings, batch)
    if not saved_lineage(storage, keys):
        near = nearest(batch, batch_names(place.settings))
        elsewhere = "give its --output_root; one is there if it was begun with --save_ledger"
        raise BatchMissing(
            f"no batch {batch} is known here",
            why=f"there is no ledger of it in {folder}, and none is saved in {storage.uri}",
            hint=f"{near} Else {elsewhere}" if near else elsewhere,
        )
    folder.mkdir(parents=True, exist_ok=True)
    with driver_lock(folder, batch):
        record = place.adapt(_here(_fetch(storage, keys, folder, clock), place.settings))
        _refuse_local(record)
        cluster = make_cluster(place.settings, record.venue)
        try:
            with cluster.held(lambda _why: None):
                _fetch(storage, keys, folder, clock)  # nobody writes it any more
                _fetch_addresses(storage, keys, folder)
                lineage = _adopt(folder, record, clock)
                storage.write(keys.lineage, lineage.encode())
        finally:
            cluster.close()


def _fetch(storage: Storage, keys: BatchKeys, folder: Path, clock: Clock) -> BatchRecord:
    """Put the saved ledger beside the place of the batch's own; the record in it."""
    fresh = folder / f"{FILE}.fetched"
    for old in folder.glob(f"{fresh.name}*"):
        old.unlink()
    with storage.open(keys.ledger) as source, fresh.open("wb") as target:
        while block := source.read(1 << 20):
            target.write(block)
    ledger = Ledger.at(fresh, clock)
    try:
        return record_of(ledger)
    finally:
        ledger.close()


def _fetch_addresses(storage: Storage, keys: BatchKeys, folder: Path) -> None:
    with suppress(ObjectMissing):
        addresses.put_back(folder, storage.read(keys.addresses))


def _here(record: BatchRecord, settings: Settings) -> BatchRecord:
    """The record with what is another's on every host: the log tree, and the way to Nomad."""
    nomad = record.nomad.model_copy(update={"address": nomad_place(settings).address})
    log_dir = str(settings.log_dir.absolute())
    return record.model_copy(update={"log_dir": log_dir, "nomad": nomad})


def _refuse_local(record: BatchRecord) -> None:
    if record.cluster == "local":
        raise UsageError(
            f"batch {record.batch} cannot go on here",
            why="its jobs run on the machine that it was begun on",
            hint="resume it there; only batches on Nomad can move",
        )


def _adopt(folder: Path, record: BatchRecord, clock: Clock) -> str:
    """Make the fetched ledger the batch's own; its new lineage."""
    fresh = folder / f"{FILE}.fetched"
    ledger = Ledger.at(fresh, clock)
    try:
        lineage = PortableLedger(ledger).begin_lineage(gap=True)
        ledger.set_record(as_document(record))
    finally:
        ledger.close()
    _put_aside(folder, clock)
    put_in_place(fresh, folder / FILE)
    return lineage


def _put_aside(folder: Path, clock: Clock) -> None:
    """Keep an older ledger under another name; closing it first brings all into one file."""
    if (folder / FILE).exists():
        Ledger.at(folder / FILE, clock).close()
        os.replace(folder / FILE, folder / _SUPERSEDED)
