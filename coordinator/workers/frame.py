"""The frame around every job: fetch, work, upload, and the outcome last; one item at a time.

Each item succeeds or fails alone. `begun.json` is written before an item is worked on, so that
only what was in hand is charged when the process dies.
"""

import hashlib
import json
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from coordinator.domain.handoff import (
    Failure,
    FileRecord,
    Handoff,
    HandoffItem,
    InputRef,
    Outcome,
    read_handoff,
)
from coordinator.domain.names import file_name_problem
from coordinator.domain.paths import AttemptKeys, BatchKeys
from coordinator.domain.states import FailureKind
from coordinator.domain.work import Done, Job
from coordinator.errors import (
    AccessRefused,
    BadInput,
    CoordinatorError,
    CredentialsError,
    ModelError,
    SourceUnreachable,
    StorageError,
    WorkerExit,
    WorkInterrupted,
)
from coordinator.files import sha256_of
from coordinator.storage import Storage, fetching, open_storage
from coordinator.storage.locations import is_remote, open_location
from coordinator.workers.cutting import copy_lines
from coordinator.workers.discretion import learn_addresses, learn_own, told
from coordinator.workers.jobs import make_job
from coordinator.workers.logs import WorkerLog
from coordinator.workers.monitor import ItemFacts, monitored

_EXITS = {
    FailureKind.BAD_INPUT: WorkerExit.BAD_INPUT,
    FailureKind.CREDENTIALS: WorkerExit.CREDENTIALS,
    FailureKind.INFRASTRUCTURE: WorkerExit.TRY_AGAIN,
}


def run_worker(output_root: str, handoff_key: str) -> int:
    """Work off one dispatch; the process's exit code.

    Never raises for what is wrong with the work: that is in the outcomes and in the log.
    """
    learn_own()
    try:
        with _stop_flag() as stop:
            storage = open_storage(output_root)
            handoff = read_handoff(storage.read(handoff_key))
            fetching.allow(handoff.reach)
            learn_addresses(handoff)
            with monitored(handoff, storage) as facts:
                return Frame(handoff, storage, stop, facts).run()
    except CoordinatorError as error:
        WorkerLog().error("dispatch failed", error=str(error), hint=error.hint)
        return _exit_of(kind_of(error))


class StopFlag:
    """Set by SIGTERM and SIGINT: the item in hand is finished, no other is begun."""

    def __init__(self) -> None:
        self.signal = 0

    def set(self, number: int, _frame: object) -> None:
        self.signal = number


class Frame:
    """Runs the items of one handoff."""

    def __init__(
        self, handoff: Handoff, storage: Storage, stop: StopFlag, measured: ItemFacts
    ) -> None:
        self._handoff, self._storage, self._stop = handoff, storage, stop
        self._measured = measured
        self._keys = BatchKeys(handoff.batch)
        self._log = WorkerLog(dispatch=handoff.dispatch, step=handoff.step)
        self._load_seconds = 0.0  # until the job was ready; every item of the dispatch tells it

    def run(self) -> int:
        try:
            began = time.monotonic()
            job = make_job(self._handoff)
        except Exception as error:
            return self._fail_all(error)
        self._load_seconds = round(time.monotonic() - began, 3)
        self._log.info("ready", job=self._handoff.job, load_s=self._load_seconds)
        if self._handoff.limited:
            self._log.warning("limited", what=self._handoff.limited)
        exits = [self._run_item(job, item) for item in self._handoff.items]
        return next((code for code in exits if code), WorkerExit.OK)

    def _run_item(self, job: Job, item: HandoffItem) -> int:
        """Work on one item and leave its outcome."""
        self._refuse_if_stopped()
        keys = self._attempt(item)
        if self._storage.size(keys.outcome) is not None:
            self._log.info("item was done before", item=item.item)
            return WorkerExit.OK
        began = time.time()
        self._storage.write(keys.begun, json.dumps({"at": began}).encode())
        with tempfile.TemporaryDirectory(prefix="item-") as scratch:
            outcome = self._attempted(job, item, Path(scratch), began)
        self._storage.write(keys.outcome, outcome.model_dump_json(indent=1).encode())
        return _exit_of(outcome.failure.kind) if outcome.failure else WorkerExit.OK

    def _attempted(self, job: Job, item: HandoffItem, scratch: Path, began: float) -> Outcome:
        """The outcome of the work; what is no fault of the item ends the dispatch instead."""
        try:
            out = scratch / "out"
            out.mkdir()
            done = job.run(item, self._fetch(item, scratch), out)
            files = self._upload(item, out, done)
        except AccessRefused as error:  # of this item's own files, or its outcome is refused too
            return self._failed(item, error, began)
        except (StorageError, CredentialsError, WorkInterrupted):
            raise
        except Exception as error:
            self._refuse_if_stopped()  # its own processes got the signal too: that is no verdict
            return self._failed(item, error, began)
        said = {"message": done.message} if done.message else {}
        self._log.info("item done", item=item.item, seconds=round(time.time() - began, 3), **said)
        return self._outcome(item, done, files, began)

    def _refuse_if_stopped(self) -> None:
        if self._stop.signal:
            raise WorkInterrupted("asked to stop", why=f"signal {self._stop.signal}")

    def _outcome(
        self, item: HandoffItem, done: Done, files: tuple[FileRecord, ...], began: float
    ) -> Outcome:
        return Outcome(
            **self._identity(item, began),
            status="no_data" if done.no_data else "succeeded",
            message=told(done.message),
            files=files,
            facts=self._marked(
                {"load_seconds": self._load_seconds, **self._measured(began), **done.facts}
            ),
        )

    def _marked(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        """The facts, with the word of what was left out of the batch, if anything was."""
        limited = self._handoff.limited
        return {**facts, "limited": limited} if limited else dict(facts)

    def _failed(self, item: HandoffItem, error: Exception, began: float) -> Outcome:
        learn_own()
        failure = failure_of(error)
        self._log.error(
            "item failed",
            item=item.item,
            kind=failure.kind,
            error=failure.message,
            traceback=failure.traceback.splitlines(),
        )
        return Outcome(
            **self._identity(item, began),
            status="failed",
            failure=failure,
            facts=self._marked(self._measured(began)),
        )

    def _fail_all(self, error: Exception) -> int:
        """Nothing can be worked on: every item fails alike, unless another try may help."""
        kind = kind_of(error)
        if kind in (FailureKind.INFRASTRUCTURE, FailureKind.CREDENTIALS):
            raise error
        for item in self._handoff.items:
            keys = self._attempt(item)
            if self._storage.size(keys.outcome) is None:
                outcome = self._failed(item, error, time.time())
                self._storage.write(keys.outcome, outcome.model_dump_json(indent=1).encode())
        return _exit_of(kind)

    # files in and out

    def _fetch(self, item: HandoffItem, scratch: Path) -> dict[str, Path]:
        """Local files of the item's inputs, checked against their hashes where those are known."""
        return {name: self._fetched(name, ref, scratch) for name, ref in item.inputs.items()}

    def _fetched(self, name: str, ref: InputRef, scratch: Path) -> Path:
        if ref.href and not is_remote(ref.href):
            open_location(ref.href, max_bytes=sys.maxsize).close()  # it says why it cannot be read
            if not ref.lines:
                return Path(ref.href)
        target = scratch / f"in-{hashlib.sha256(name.encode()).hexdigest()[:16]}"
        source = self._storage.open(ref.key) if ref.key else open_location(ref.href)
        with source, target.open("wb") as sink:
            if ref.lines:
                copy_lines(source, sink, ref.lines)
            else:
                shutil.copyfileobj(source, sink)
        if ref.sha256 and sha256_of(target) != ref.sha256:
            raise BadInput(f"input {name} is not what the earlier step wrote", why="hash differs")
        return target

    def _upload(self, item: HandoffItem, out: Path, done: Done) -> tuple[FileRecord, ...]:
        """Put what the job left in place; plain files only."""
        left = _plain_files(out)
        if others := sorted({path.name for path in out.iterdir()} - {path.name for path in left}):
            self._log.warning("only plain files are kept", item=item.item, left_out=others)
        missing = set(self._handoff.outputs) - {path.name for path in left}
        if missing and not done.no_data:
            raise ModelError(
                f"step {self._handoff.step} did not leave {', '.join(sorted(missing))}",
                hint="compare the step's outputs in the pipeline file with what the job writes",
            )
        keys = self._attempt(item)
        for path in left:
            self._storage.upload(path, keys.file(path.name))
        return tuple(
            FileRecord(name=p.name, size=p.stat().st_size, sha256=sha256_of(p)) for p in left
        )

    def _attempt(self, item: HandoffItem) -> AttemptKeys:
        return self._keys.attempt(item.item, self._handoff.step, item.attempt)

    def _identity(self, item: HandoffItem, began: float) -> Mapping[str, Any]:
        return {
            "batch": self._handoff.batch,
            "dispatch": self._handoff.dispatch,
            "step": self._handoff.step,
            "item": item.item,
            "attempt": item.attempt,
            "started_at": began,
            "ended_at": time.time(),
        }


def _plain_files(out: Path) -> list[Path]:
    """What a job left, checked before any of it is put in place; links and folders are not kept."""
    left = sorted(path for path in out.iterdir() if path.is_file() and not path.is_symlink())
    for path in left:
        if problem := file_name_problem(path.name):
            raise ModelError(f"the job left a file {path.name!r}", why=problem)
    return left


def kind_of(error: BaseException) -> FailureKind:
    """The failure kind of an exception."""
    match error:
        case BadInput():
            return FailureKind.BAD_INPUT
        case CredentialsError():
            return FailureKind.CREDENTIALS
        case StorageError() | SourceUnreachable() | WorkInterrupted():
            return FailureKind.INFRASTRUCTURE
        case MemoryError():
            return FailureKind.OUT_OF_MEMORY
        case TimeoutError():
            return FailureKind.TIMEOUT
    if type(error).__name__ == "OutOfMemoryError":  # torch's, which need not be installed
        return FailureKind.OUT_OF_MEMORY
    return FailureKind.MODEL_ERROR


def failure_of(error: Exception) -> Failure:
    """What the outcome file says of an exception: its kind, one line, its traceback; masked."""
    shown: BaseException | None = error
    message = f"{type(error).__name__}: {error}"
    if isinstance(error, CoordinatorError):
        message, shown = str(error), error.__cause__
    trace = "".join(traceback.format_exception(shown)) if shown else ""
    message, trace = told(_in_utf8(message)), told(_in_utf8(trace))
    return Failure(kind=kind_of(error), message=message, traceback=trace)


def _in_utf8(text: str) -> str:
    """Halves of characters, as file names and damaged input leave them, written out."""
    return text.encode("utf-8", "backslashreplace").decode()


def _exit_of(kind: FailureKind) -> int:
    return _EXITS.get(kind, WorkerExit.MODEL_ERROR)


@contextmanager
def _stop_flag() -> Iterator[StopFlag]:
    flag = StopFlag()
    old = {number: signal.signal(number, flag.set) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield flag
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
