"""Driving a batch to its end, or to where it is told to stop."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from coordinator.bootstrap import batch_folder, make_cluster, make_key_shelf, set_up_log
from coordinator.clock import Clock
from coordinator.cluster import Cluster
from coordinator.commands.credentials import KeyKeeper
from coordinator.commands.record import BatchRecord, record_of
from coordinator.commands.results import Results, results_of
from coordinator.domain.paths import BatchKeys
from coordinator.engine import Driver, Recovery, Snapshot, Wish
from coordinator.errors import ClusterError, CredentialsError, ExitCode
from coordinator.ledger import ControlDesk, Ledger, driver_lock
from coordinator.settings import Settings
from coordinator.storage import Storage, open_storage

OnTick = Callable[[Snapshot], None]
OnSignal = Callable[[str], None]

_DRAINING = "stopping: what runs is waited for; Ctrl-C again leaves at once, jobs run on"
_LEAVING = "leaving: the jobs run on"


@dataclass(frozen=True)
class Driven:
    """How a run of the driver ended."""

    record: BatchRecord
    results: Results
    recovery: Recovery
    interrupted_by: int = 0  # the signal that ended it early; 0 = none
    halted: str = ""  # why it ended early, where no signal did

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
        BatchBusy: another process drives it.
        LedgerError: the ledger cannot be written; what is committed is safe.
    """
    folder = batch_folder(settings, name)
    ledger = Ledger.open(folder, clock)
    try:
        with driver_lock(folder, name):
            ControlDesk(ledger).forget_stop()
            prepare(ledger)
            return _drive(settings, ledger, clock, watch)
    finally:
        ledger.close()


def _drive(settings: Settings, ledger: Ledger, clock: Clock, watch: Watch) -> Driven:
    record = record_of(ledger)
    set_up_log(record.logs.coordinator_log)
    cluster = make_cluster(settings, record.venue, clock.wake, listen=True)
    keys = _keeper(settings, record, clock, watch.on_signal)
    try:
        storage = open_storage(record.output_root)
        keys.start(lambda: storage.size(BatchKeys(record.batch).record))
        cluster.prepare(is_known=bool(ledger.out()))
        keys.look()  # not before: now it is certain that the jobs which may read them are ours
        _leave_word(record, ledger, storage)
        driver = Driver(record.to_batch(), ledger, cluster, storage, clock, keys=keys)
        with _signals(driver, watch.on_signal) as signals:
            recovery = driver.recover()
            watch.on_recovery(recovery)
            driver.run(watch.on_tick)
        results = results_of(ledger, record)
        if results.is_finished and not record.keep_jobs:
            _dismantle(cluster)
    finally:
        cluster.close()
    if results.is_finished:
        with suppress(ClusterError, CredentialsError):  # `purge` does it again
            keys.finish()
    ended_by = signals.first if not results.is_finished else 0
    halted = driver.halted if not results.is_finished else ""
    return Driven(record, results, recovery, ended_by, halted)


def _keeper(
    settings: Settings, record: BatchRecord, clock: Clock, say: Callable[[str], None]
) -> KeyKeeper:
    folder, is_remote = batch_folder(settings, record.batch), record.output_root.startswith("s3:")
    shelf = make_key_shelf(settings, record.venue)
    return KeyKeeper(record.batch, folder, clock, say, shelf, needed=is_remote)


def _dismantle(cluster: Cluster) -> None:
    """Leave nothing of a finished batch on the cluster; `purge` does it again where this fails."""
    with suppress(ClusterError, CredentialsError):
        cluster.dismantle()


def _leave_word(record: BatchRecord, ledger: Ledger, storage: Storage) -> None:
    """Put the record beside the outputs and into the log tree; a crash may have come before."""
    key = BatchKeys(record.batch).record
    if storage.size(key) is None:
        storage.write(key, record.to_bytes())
    logs = open_storage(record.logs.folder.as_uri())
    logs.write("items.txt", "".join(f"{item}\n" for item in ledger.item_ids()).encode())
    logs.write("batch.json", record.to_bytes())


@dataclass
class _Signals:
    driver: Driver
    say: OnSignal
    first: int = 0
    seen: list[int] = field(default_factory=list)

    def handle(self, number: int, _frame: Any) -> None:
        self.first = self.first or number
        drains = number == signal.SIGINT and not self.seen
        self.seen.append(number)
        self.driver.wish(Wish.DRAIN if drains else Wish.LEAVE)
        with suppress(RuntimeError):  # the signal came amid a write; the next look says it again
            self.say(_DRAINING if drains else _LEAVING)


@contextmanager
def _signals(driver: Driver, say: OnSignal) -> Iterator[_Signals]:
    state = _Signals(driver, say)
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    old = {number: signal.signal(number, state.handle) for number in numbers}
    try:
        yield state
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
