"""A worker of the simulated cluster: it leaves in storage what a real one does, or fails to."""

import json
from collections.abc import Callable, Mapping
from typing import Protocol

from coordinator.cluster.simulated.faults import Fault, Faults
from coordinator.cluster.simulated.runs import Run, Signalled, Steps, Terminated
from coordinator.domain.handoff import (
    Failure,
    FileRecord,
    Handoff,
    HandoffItem,
    InputRef,
    Outcome,
    read_handoff,
    sha256_of,
)
from coordinator.domain.paths import AttemptKeys, BatchKeys
from coordinator.domain.states import FailureKind
from coordinator.errors import ObjectMissing, WorkerExit

_FOREVER = 1e9  # seconds


class Store(Protocol):
    """What a worker asks of a store."""

    def read(self, key: str) -> bytes: ...

    def write(self, key: str, data: bytes) -> None: ...

    def size(self, key: str) -> int | None: ...


# Told of each real run of an attempt, as it begins and as its outcome is there.
Witness = Callable[[Run, Handoff, HandoffItem, str], None]
# (step, item) -> the way in which that work always ends; the rest succeeds
Fates = Mapping[tuple[str, str], Fault]


class SimulatedWorker:
    """A `Program`: works off the handoff of a job, item by item."""

    def __init__(
        self,
        store: Store,
        faults: Faults,
        *,
        fates: Fates | None = None,
        witness: Witness = lambda _run, _handoff, _item, _what: None,
        seconds: float = 10.0,
    ) -> None:
        """`seconds`: that an item takes at most."""
        self._store, self._faults, self._fates = store, faults, fates or {}
        self._witness, self._seconds = witness, seconds

    def __call__(self, run: Run) -> Steps:
        run.say("started")
        while True:
            try:
                return (yield from self._work(run))
            except Terminated:
                if not self._faults.strikes(Fault.DEAF):
                    return self._given_up(run)

    def _given_up(self, run: Run) -> int:
        """A worker that was asked to end; some read as if they had been done."""
        run.say("asked to end")
        return self._faults.random.choice((0, 130, 143, int(WorkerExit.TRY_AGAIN)))

    def _work(self, run: Run) -> Steps:
        yield self._faults.within(0.0, self._seconds)  # the model is loaded
        try:
            handoff = read_handoff(self._store.read(run.job.spec.handoff))
        except ObjectMissing:
            return WorkerExit.TRY_AGAIN
        for item in handoff.items:
            if self._faults.strikes(Fault.KEYS_REFUSED):
                return WorkerExit.CREDENTIALS
            if self._store.size(self._keys(handoff, item).outcome) is None:
                yield from self._work_on(run, handoff, item)
                if self._faults.strikes(Fault.TRY_AGAIN):
                    return WorkerExit.TRY_AGAIN
        return WorkerExit.OK

    def _work_on(self, run: Run, handoff: Handoff, item: HandoffItem) -> Steps:
        self._store.write(self._keys(handoff, item).begun, json.dumps({"at": run.clock()}).encode())
        run.say(f"begun {item.item} a{item.attempt}")
        self._witness(run, handoff, item, "begun")
        began = run.clock()
        yield self._faults.within(0.1, self._seconds)
        if self._faults.strikes(Fault.HUNG):
            yield _FOREVER
        self._die()
        if not self._faults.strikes(Fault.SILENT):
            self._leave(run, handoff, item, began)
        return 0

    def _die(self) -> None:
        if self._faults.strikes(Fault.OUT_OF_MEMORY):
            raise Signalled(9, oom_killed=self._faults.random.random() < 0.5)
        if self._faults.strikes(Fault.KILLED):
            raise Signalled(11)

    def _leave(self, run: Run, handoff: Handoff, item: HandoffItem, began: float) -> None:
        """The files, and the outcome last."""
        keys = self._keys(handoff, item)
        files = self._files(handoff, item, keys)
        outcome = self._outcome(handoff, item, files, (began, run.clock()))
        data = outcome.model_dump_json().encode()
        self._store.write(keys.outcome, self._spoilt(data, outcome))
        run.say(f"done {item.item} a{item.attempt}")
        self._witness(run, handoff, item, "done")

    def _spoilt(self, data: bytes, outcome: Outcome) -> bytes:
        """An outcome, now and then one that must not be believed."""
        if self._faults.strikes(Fault.HALF_OUTCOME):
            return data[: len(data) // 2]
        if self._faults.strikes(Fault.FOREIGN_OUTCOME):
            foreign = outcome.model_copy(update={"attempt": outcome.attempt + 1})
            return foreign.model_dump_json().encode()
        return data

    def _files(
        self, handoff: Handoff, item: HandoffItem, keys: AttemptKeys
    ) -> tuple[FileRecord, ...]:
        data = f"{handoff.step} {item.item} {item.attempt}".encode()
        hashed = sha256_of(data)
        stored = data[:-1] if self._faults.strikes(Fault.LYING_SIZES) else data
        for name in handoff.outputs:
            self._store.write(keys.file(name), stored)
        return tuple(FileRecord(name=n, size=len(data), sha256=hashed) for n in handoff.outputs)

    def _outcome(
        self,
        handoff: Handoff,
        item: HandoffItem,
        files: tuple[FileRecord, ...],
        times: tuple[float, float],
    ) -> Outcome:
        fate = self._fate(handoff, item)
        kind = _FAILURES.get(fate) if fate else None
        return Outcome(
            batch=handoff.batch,
            dispatch=handoff.dispatch,
            step=handoff.step,
            item=item.item,
            attempt=item.attempt,
            status="failed" if kind else "no_data" if fate is Fault.NO_DATA else "succeeded",
            failure=Failure(kind=kind, message="told to") if kind else None,
            files=() if kind else files,
            started_at=times[0],
            ended_at=times[1],
        )

    def _fate(self, handoff: Handoff, item: HandoffItem) -> Fault | None:
        if not all(self._is_as_it_was(ref) for ref in item.inputs.values()):
            return Fault.BAD_INPUT
        return self._fates.get((handoff.step, item.item))

    def _is_as_it_was(self, ref: InputRef) -> bool:
        """Whether an input is there, and is what the earlier step wrote."""
        try:
            return not ref.key or sha256_of(self._store.read(ref.key)) == ref.sha256
        except ObjectMissing:
            return False

    @staticmethod
    def _keys(handoff: Handoff, item: HandoffItem) -> AttemptKeys:
        return BatchKeys(handoff.batch).attempt(item.item, handoff.step, item.attempt)


_FAILURES = {
    Fault.MODEL_ERROR: FailureKind.MODEL_ERROR,
    Fault.BAD_INPUT: FailureKind.BAD_INPUT,
}
