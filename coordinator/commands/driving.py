"""Driving a batch to its end, or to where it is told to stop."""

import json
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from coordinator.bootstrap import batch_folder, make_cluster, make_key_shelf, set_up_log
from coordinator.clock import Clock
from coordinator.cluster import Cluster, StillHeld
from coordinator.commands.credentials import KeyKeeper
from coordinator.commands.departure import ANSWER_SECONDS, departure
from coordinator.commands.item_list import keep_item_list
from coordinator.commands.notifying import Notifier, notifying
from coordinator.commands.record import BatchRecord, record_of
from coordinator.commands.results import Results, results_of
from coordinator.commands.saving import LedgerSaver
from coordinator.domain.paths import REDONE_FILE, BatchKeys
from coordinator.domain.states import FINISHED_ITEMS
from coordinator.engine import Driver, Recovery, Snapshot, Wish
from coordinator.errors import (
    ClusterError,
    CredentialsError,
    ExitCode,
    LedgerError,
    ObjectMissing,
    StorageError,
)
from coordinator.ledger import ControlDesk, Ledger, RedoDesk, driver_lock, refuse_damage
from coordinator.settings import Settings
from coordinator.storage import Storage, open_storage

OnTick = Callable[[Snapshot], None]
OnSignal = Callable[[str], None]

_DRAINING = "stopping: what runs is waited for; Ctrl-C again leaves at once, jobs run on"
_LEAVING = "leaving: the jobs run on"

# Seconds that a tick has left when it is time to leave: at Ctrl-C a person waits for it.
_LAST_TICK: dict[int, float] = {
    signal.SIGINT: ANSWER_SECONDS,
    signal.SIGTERM: 5.0,
    signal.SIGHUP: 5.0,
}
_FAREWELL = 10.0  # for what comes after it: saving the ledger, letting go of the lock


@dataclass(frozen=True)
class Driven:
    """How a run of the driver ended."""

    record: BatchRecord
    results: Results
    recovery: Recovery
    interrupted_by: int = 0  # the signal that ended it early; 0 = none
    halted: str = ""  # why it ended early, where no signal did
    is_lost: bool = False  # another host may drive it

    @property
    def is_settled(self) -> bool:
        """Whether to start it again would change nothing: it is finished, or was stopped."""
        stopped = bool(self.halted) and not self.is_lost
        return self.results.is_finished or (stopped and not self.interrupted_by)

    @property
    def why_early(self) -> str:
        """Why it ended before the batch did; "" = it did not."""
        if self.results.is_finished:
            return ""
        by = f"ended by {signal.Signals(self.interrupted_by).name}" if self.interrupted_by else ""
        return self.halted or by or "nothing more is to be begun"

    @property
    def exit_code(self) -> ExitCode:
        if self.interrupted_by == signal.SIGINT:
            return ExitCode.INTERRUPTED
        if self.interrupted_by:
            return ExitCode.STOPPED_EARLY
        return self.results.exit_code


@dataclass(frozen=True)
class Watch:
    """Whoever looks on."""

    on_tick: OnTick = lambda _snapshot: None
    on_signal: OnSignal = lambda _message: None
    on_recovery: Callable[[Recovery], None] = lambda _recovery: None
    on_left: Callable[[str], None] = lambda _batch: None  # what hung was not waited for


def drive(
    settings: Settings,
    name: str,
    clock: Clock,
    watch: Watch,
    prepare: Callable[[Ledger], None] = lambda _ledger: None,
) -> Driven:
    """Drive the batch `name` until it is finished or a signal ends it.

    `prepare` may change the ledger first, once it is certain that nobody else drives the batch.

    Raises:
        BatchBusy: another process drives it, on this host or another.
        Superseded: it has gone on from another host since this ledger was written.
        LedgerError: the ledger cannot be written; what is committed is safe.
    """
    folder = batch_folder(settings, name)
    ledger = Ledger.open(folder, clock)
    try:
        with driver_lock(folder, name):
            refuse_damage(ledger)
            ControlDesk(ledger).forget_stop()
            ControlDesk(ledger).carry_out()  # what is asked of items that ended is not of new tries
            prepare(ledger)
            return _drive(settings, ledger, clock, watch)
    finally:
        ledger.close()


def _drive(settings: Settings, ledger: Ledger, clock: Clock, watch: Watch) -> Driven:
    record = record_of(ledger)
    set_up_log(record.logs.coordinator_log)
    cluster = make_cluster(settings, record.venue, clock.wake, listen=True)
    reins = _Reins()
    try:
        with cluster.held(reins.lost) as still_held:
            return _Run(settings, ledger, clock, watch, cluster, reins, still_held).to_its_end()
    finally:
        cluster.close()


class _Reins:
    """Tells the driver, as soon as there is one, that the batch is no longer ours."""

    def __init__(self) -> None:
        self._driver: Driver | None = None
        self.why = ""

    def lost(self, why: str) -> None:
        self.why = why
        if self._driver:
            self._driver.leave(why)

    def hold(self, driver: Driver) -> None:
        self._driver = driver
        if self.why:
            driver.leave(self.why)


@dataclass(frozen=True)
class _Run:
    """A batch that is ours to drive, once."""

    settings: Settings
    ledger: Ledger
    clock: Clock
    watch: Watch
    cluster: Cluster
    reins: _Reins
    still_held: StillHeld

    def to_its_end(self) -> Driven:
        batch = record_of(self.ledger).batch
        with notifying(self.settings, batch, self.clock) as notifier:
            driven = self._driven(notifier)
            notifier.ended(driven.results, driven.why_early)
            return driven

    def _driven(self, notifier: Notifier) -> Driven:
        ledger, cluster, record = self.ledger, self.cluster, record_of(self.ledger)
        keys = _keeper(self.settings, record, self.clock, self.watch.on_signal)
        storage = open_storage(record.output_root)
        keys.start(lambda: storage.size(BatchKeys(record.batch).record))
        saver = LedgerSaver(ledger, storage, record.batch, self.clock, self.still_held)
        saver.start(on=record.save_ledger)
        cluster.prepare(is_known=any(dispatch.job_id for dispatch in ledger.out()))
        keys.look()  # not before: now it is certain that the jobs which may read them are ours
        _leave_word(record, ledger, storage)
        batch = record.to_batch()
        driver = Driver(batch, ledger, cluster, storage, self.clock, save=saver, keys=keys)
        self.reins.hold(driver)
        last_words = partial(self.watch.on_left, record.batch)
        with _signals(driver, self.watch.on_signal, last_words) as signals:
            recovery = driver.recover()
            self.watch.on_recovery(recovery)
            driver.run(lambda snapshot: self._look(snapshot, notifier))
            signals.farewell()
            results = results_of(ledger, record)
            self._save_at_last(saver)
            if results.is_finished and not record.keep_jobs:
                _dismantle(driver, cluster)
        if results.is_finished:
            with suppress(ClusterError, CredentialsError):  # `purge` does it again
                keys.finish()
            if results.exit_code is ExitCode.OK:
                with suppress(StorageError, CredentialsError):
                    saver.forget_addresses()
            return Driven(record, results, recovery)
        ended_by, lost = signals.first, bool(self.reins.why)
        return Driven(record, results, recovery, ended_by, driver.halted, lost)

    def _look(self, snapshot: Snapshot, notifier: Notifier) -> None:
        notifier.look(snapshot)
        self.watch.on_tick(snapshot)

    def _save_at_last(self, saver: LedgerSaver) -> None:
        """An older copy costs whoever goes on elsewhere some time, and nothing else."""
        try:
            saver.save()
        except (StorageError, CredentialsError, LedgerError, OSError) as error:
            self.watch.on_signal(f"the ledger could not be saved at the end: {error}")


def _keeper(
    settings: Settings, record: BatchRecord, clock: Clock, say: Callable[[str], None]
) -> KeyKeeper:
    folder, is_remote = batch_folder(settings, record.batch), record.output_root.startswith("s3:")
    shelf = make_key_shelf(settings, record.venue)
    return KeyKeeper(record.batch, folder, clock, say, shelf, needed=is_remote)


def _dismantle(driver: Driver, cluster: Cluster) -> None:
    """Leave nothing of a finished batch on the cluster; `purge` does it again where this fails."""
    with suppress(ClusterError, StorageError, CredentialsError):
        driver.purge()
        cluster.dismantle()


def _leave_word(record: BatchRecord, ledger: Ledger, storage: Storage) -> None:
    """Put the record beside the outputs and into the log tree; a crash may have come before."""
    key = BatchKeys(record.batch).record
    keep_item_list(ledger, storage, record.batch)
    if _kept(storage, key) != record.to_bytes():  # other metrics, for instance
        storage.write(key, record.to_bytes())
    logs = open_storage(record.logs.folder.as_uri())
    _leave_lines(ledger.item_ids(), logs, "items.txt")
    is_finished = ledger.tally().items.keys() <= FINISHED_ITEMS
    if _leave_redone(ledger, record, logs) and not is_finished:
        storage.delete(BatchKeys(record.batch).summary(""))  # it is of what counts no more
    logs.write("batch.json", record.to_bytes())


def _kept(storage: Storage, key: str) -> bytes | None:
    try:
        return storage.read(key)
    except ObjectMissing:
        return None


def _leave_redone(ledger: Ledger, record: BatchRecord, logs: Storage) -> bool:
    """Tell readers of the log tree which attempts count, before any new one is there.

    Returns:
        whether any item was done again.
    """
    redone = (
        json.dumps({"item": each.item, "step": record.steps[each.step], "from": each.number})
        for each in RedoDesk(ledger).counted_from()
    )
    first = list(islice(redone, 1))
    if first or logs.size(REDONE_FILE) is not None:
        _leave_lines(chain(first, redone), logs, REDONE_FILE)
    return bool(first)


def _leave_lines(lines: Iterable[str], logs: Storage, name: str) -> None:
    try:
        with NamedTemporaryFile("w", encoding="utf-8") as listed:
            listed.writelines(f"{line}\n" for line in lines)
            listed.flush()
            logs.upload(Path(listed.name), name)
    except OSError as error:
        raise StorageError(
            f"{name} of the batch's log tree cannot be put into a temporary file",
            why=str(error),
            hint="make room in the folder for such files, or name another: TMPDIR=FOLDER",
        ) from error


@dataclass
class _Signals:
    driver: Driver
    say: OnSignal
    last_words: Callable[[], None]
    first: int = 0
    leaves: bool = False

    def handle(self, number: int, _frame: Any) -> None:
        drains = number == signal.SIGINT and not self.first
        self.first = self.first or number
        self.driver.wish(Wish.DRAIN if drains else Wish.LEAVE)
        if not drains:
            self._end_within(0.0 if self.leaves else _LAST_TICK[number])
            self.leaves = True
        with suppress(RuntimeError):  # the signal came amid a write; the next look says it again
            self.say(_DRAINING if drains else _LEAVING)

    def farewell(self) -> None:
        """The last tick is over, where it was one."""
        if self.leaves:
            self._end_within(_FAREWELL)

    def _end_within(self, seconds: float) -> None:
        by_hand = self.first == signal.SIGINT
        code = ExitCode.INTERRUPTED if by_hand else ExitCode.STOPPED_EARLY
        departure.within(seconds, code, self.last_words)


@contextmanager
def _signals(driver: Driver, say: OnSignal, last_words: Callable[[], None]) -> Iterator[_Signals]:
    state = _Signals(driver, say, last_words)
    old = {number: signal.signal(number, state.handle) for number in _LAST_TICK}
    try:
        yield state
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
