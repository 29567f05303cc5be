"""Where one item is taken up and put away: its files come in, its files and its outcome go out."""

import hashlib
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from coordinator.domain.curves import folder_beside
from coordinator.domain.handoff import (
    Begun,
    FileRecord,
    Handoff,
    HandoffItem,
    InputRef,
    Outcome,
)
from coordinator.domain.log_events import NOT_STORED
from coordinator.domain.names import file_name_problem
from coordinator.domain.paths import AttemptKeys, BatchKeys
from coordinator.domain.work import Done, Parcel
from coordinator.errors import (
    AccessRefused,
    BadInput,
    CredentialsError,
    ModelError,
    StorageError,
    WorkerExit,
    WorkInterrupted,
)
from coordinator.files import sha256_of
from coordinator.storage import Storage
from coordinator.storage.locations import is_remote, open_location
from coordinator.workers.curves import Curves
from coordinator.workers.cutting import copy_lines
from coordinator.workers.discretion import learn_own, told
from coordinator.workers.failures import exit_of, failure_of
from coordinator.workers.logs import WorkerLog
from coordinator.workers.monitor import ItemFacts
from coordinator.workers.stop import StopFlag


class Desk:
    """The items of one handoff; several threads may use it, each for an item of its own."""

    def __init__(
        self,
        handoff: Handoff,
        storage: Storage,
        stop: StopFlag,
        measured: ItemFacts,
        curves: Curves,
    ) -> None:
        self._handoff, self._storage, self._stop = handoff, storage, stop
        self._measured, self._curves = measured, curves
        self.load_seconds = 0.0  # until the job was ready; every item that is done tells it
        self._keys = BatchKeys(handoff.batch)
        self._log = WorkerLog(dispatch=handoff.dispatch, step=handoff.step)

    def was_done(self, item: HandoffItem) -> bool:
        """Whether an earlier run of this dispatch left its outcome."""
        done = self._storage.size(self._attempt(item).outcome) is not None
        if done:
            self._log.info("item was done before", item=item.item)
        return done

    def begin(self, item: HandoffItem) -> float:
        """Leave word that it is in hand; the time."""
        began = Begun(at=time.time())
        self._say_begun(item, began)
        return began.at

    def hand_back(self, item: HandoffItem, began: float) -> None:
        """Leave word that it was begun in vain, by no fault of its own: it is not charged."""
        with suppress(StorageError, CredentialsError):
            self._say_begun(item, Begun(at=began, handed_back=True))

    def _say_begun(self, item: HandoffItem, begun: Begun) -> None:
        self._storage.write(self._attempt(item).begun, begun.model_dump_json().encode())

    def unpack(self, item: HandoffItem, scratch: Path) -> Parcel:
        """The item's inputs as local files, checked against their hashes where those are known."""
        out = scratch / "out"
        out.mkdir()
        self._curves.watch(item, folder_beside(out))
        inputs = {name: self._fetched(name, ref, scratch) for name, ref in item.inputs.items()}
        return Parcel(item, inputs, out)

    def put_away(
        self, item: HandoffItem, out: Path | None, found: Done | Exception, began: float
    ) -> int:
        """Leave its files and its outcome; its exit code.

        Raises:
            StorageError, CredentialsError, WorkInterrupted: no fault of the item, which gets no
                outcome.
        """
        self._curves.finish(item)
        outcome = self._outcome(item, out, found, began)
        with nullcontext() if outcome.failure else self._storing(item):
            self._write(outcome)
        return exit_of(outcome.failure.kind) if outcome.failure else WorkerExit.OK

    def put_away_as_failed(self, item: HandoffItem, error: Exception) -> None:
        """Nothing can be worked on."""
        if self._storage.size(self._attempt(item).outcome) is None:
            self._write(self._failed(item, error, time.time()))

    def _outcome(
        self, item: HandoffItem, out: Path | None, found: Done | Exception, began: float
    ) -> Outcome:
        try:
            if isinstance(found, Done) and out is not None:
                with self._storing(item):
                    return self._succeeded(item, found, self._upload(item, out, found), began)
        except Exception as error:
            found = error
        assert isinstance(found, Exception)
        if isinstance(found, AccessRefused):  # of its own files, or its outcome is refused too
            return self._failed(item, found, began)
        if isinstance(found, StorageError | CredentialsError | WorkInterrupted):
            raise found
        self._stop.refuse_if_set()  # its own processes got the signal too: that is no verdict
        return self._failed(item, found, began)

    @contextmanager
    def _storing(self, item: HandoffItem) -> Iterator[None]:
        """Say so where the store does not take what the work on `item` came to."""
        try:
            yield
        except (StorageError, CredentialsError) as error:
            self._log.error(NOT_STORED, item=item.item, error=str(error))
            raise

    def _succeeded(
        self, item: HandoffItem, done: Done, files: tuple[FileRecord, ...], began: float
    ) -> Outcome:
        said = {"message": done.message} if done.message else {}
        self._log.info("item done", item=item.item, seconds=round(time.time() - began, 3), **said)
        return Outcome(
            **self._identity(item, began),
            status="no_data" if done.no_data else "succeeded",
            message=told(done.message),
            files=files,
            facts=self._marked(
                item, {"load_seconds": self.load_seconds, **self._measured(began), **done.facts}
            ),
        )

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
            facts=self._marked(item, self._measured(began)),
        )

    def _marked(self, item: HandoffItem, facts: Mapping[str, Any]) -> dict[str, Any]:
        """The facts, with the item's languages and the word of what was left out of the batch."""
        limited = {"limited": self._handoff.limited} if self._handoff.limited else {}
        return {**_languages(item), **facts, **limited}

    def _write(self, outcome: Outcome) -> None:
        key = self._keys.attempt(outcome.item, outcome.step, outcome.attempt).outcome
        self._storage.write(key, outcome.model_dump_json(indent=1).encode())

    # files in and out

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


def _languages(item: HandoffItem) -> dict[str, Any]:
    """Source and target, of an item that has both: reports need them of failures too."""
    ends = [item.properties.get(f"mt:{end}_language") for end in ("source", "target")]
    return {"languages": ends} if all(end and isinstance(end, str) for end in ends) else {}


def _plain_files(out: Path) -> list[Path]:
    """What a job left, checked before any of it is put in place; links and folders are not kept."""
    left = sorted(path for path in out.iterdir() if path.is_file() and not path.is_symlink())
    for path in left:
        if problem := file_name_problem(path.name):
            raise ModelError(f"the job left a file {path.name!r}", why=problem)
    return left
