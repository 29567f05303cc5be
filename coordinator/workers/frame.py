"""The frame around every job: fetch, work, upload, and the outcome last.

Each item succeeds or fails alone. `begun.json` is written before an item is worked on, so that
only what was in hand is charged when the process dies.
"""

import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from coordinator.domain.handoff import Handoff, HandoffItem, read_handoff
from coordinator.domain.states import FailureKind
from coordinator.domain.work import Done, Job, PackJob, Parcel
from coordinator.errors import (
    CoordinatorError,
    CredentialsError,
    StorageError,
    WorkerExit,
    WorkInterrupted,
)
from coordinator.storage import Storage, fetching, open_storage
from coordinator.workers.curves import Curves
from coordinator.workers.desk import Desk
from coordinator.workers.discretion import learn_addresses, learn_own
from coordinator.workers.failures import exit_of, kind_of
from coordinator.workers.jobs import make_job
from coordinator.workers.logs import WorkerLog
from coordinator.workers.monitor import ItemFacts, monitored
from coordinator.workers.pack import PackRun
from coordinator.workers.stop import StopFlag, stop_flag


def run_worker(output_root: str, handoff_key: str) -> int:
    """Work off one dispatch; the process's exit code.

    Never raises for what is wrong with the work: that is in the outcomes and in the log.
    """
    learn_own()
    try:
        with stop_flag() as stop:
            storage = open_storage(output_root)
            handoff = read_handoff(storage.read(handoff_key))
            fetching.allow(handoff.reach)
            learn_addresses(handoff)
            with monitored(handoff, storage) as facts, Curves(handoff, storage) as curves:
                return Frame(handoff, storage, stop, facts, curves).run()
    except CoordinatorError as error:
        WorkerLog().error("dispatch failed", error=str(error), hint=error.hint)
        return exit_of(kind_of(error))


class Frame:
    """Runs the items of one handoff."""

    def __init__(
        self,
        handoff: Handoff,
        storage: Storage,
        stop: StopFlag,
        measured: ItemFacts,
        curves: Curves,
    ) -> None:
        self._handoff, self._stop = handoff, stop
        self._desk = Desk(handoff, storage, stop, measured, curves)
        self._log = WorkerLog(dispatch=handoff.dispatch, step=handoff.step)

    def run(self) -> int:
        try:
            began = time.monotonic()
            job = make_job(self._handoff, self._stop.is_set)
        except Exception as error:
            return self._fail(self._handoff.items, error)
        self._desk.load_seconds = load_seconds = round(time.monotonic() - began, 3)
        self._log.info("ready", job=self._handoff.job, load_s=load_seconds)
        if self._handoff.limited:
            self._log.warning("limited", what=self._handoff.limited)
        if isinstance(job, PackJob):
            return self._run_pack(job)
        exits = [self._run_item(job, item) for item in self._handoff.items]
        return next((code for code in exits if code), WorkerExit.OK)

    def _run_pack(self, job: PackJob) -> int:
        """What was not begun when nothing can be worked on any more comes again, uncharged."""
        pack = PackRun(self._desk, self._stop)
        try:
            return pack.run(job, self._handoff.items)
        except WorkInterrupted:
            if self._stop.is_set():
                pack.hand_back()
            raise
        except (StorageError, CredentialsError):
            raise
        except Exception as error:
            self._stop.refuse_if_set()
            return self._fail(pack.in_hand, error)

    def _run_item(self, job: Job, item: HandoffItem) -> int:
        """Work on one item and leave its outcome."""
        self._stop.refuse_if_set()
        if self._desk.was_done(item):
            return WorkerExit.OK
        began = self._desk.begin(item)
        with tempfile.TemporaryDirectory(prefix="item-") as scratch:
            try:
                parcel = self._desk.unpack(item, Path(scratch))
            except Exception as error:
                return self._desk.put_away(item, None, error, began)
            return self._desk.put_away(item, parcel.out, _worked(job, parcel), began)

    def _fail(self, items: Iterable[HandoffItem], error: Exception) -> int:
        """They cannot be worked on: each fails alike, unless another try may help."""
        kind = kind_of(error)
        if kind in (FailureKind.INFRASTRUCTURE, FailureKind.CREDENTIALS):
            raise error
        for item in items:
            self._desk.put_away_as_failed(item, error)
        return exit_of(kind)


def _worked(job: Job, parcel: Parcel) -> Done | Exception:
    try:
        return job.run(parcel.item, parcel.inputs, parcel.out)
    except Exception as error:
        return error
