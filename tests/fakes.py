"""A clock moved by hand, and a cluster in memory that keeps the contract of real ones."""

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from coordinator.cluster import JobId, JobSpec, Observation, Phase, Request, StillHeld
from coordinator.domain.handoff import (
    Begun,
    Failure,
    FileRecord,
    Handoff,
    HandoffItem,
    Outcome,
    read_handoff,
    sha256_of,
)
from coordinator.domain.paths import AttemptKeys, BatchKeys
from coordinator.domain.states import FailureKind
from coordinator.domain.verdicts import Ending, StopReason
from coordinator.errors import ClusterError, CoordinatorError
from coordinator.secrecy import NO_MASK, Mask
from coordinator.storage import Storage


class HandClock:
    """Time stands still but for `sleep` and `advance`."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.on_sleep: Callable[[], None] = lambda: None
        self.slept: list[float] = []

    def now(self) -> float:
        return 1_700_000_000.0 + self.time

    def monotonic(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds
        self.on_sleep()

    def wake(self) -> None:
        """Nobody sleeps here."""

    def advance(self, seconds: float) -> None:
        self.time += seconds


@dataclass
class FakeJob:
    """One job of the fake cluster."""

    spec: JobSpec
    token: str
    started: float | None = None  # on the clock
    ending: Ending | None = None

    @property
    def is_pending(self) -> bool:
        return self.started is None and self.ending is None

    @property
    def is_running(self) -> bool:
        return self.started is not None and self.ending is None


class FakeCluster:
    """Jobs start when there is a lane, and end when a test says so."""

    def __init__(self, clock: HandClock, lanes: int | None = 2) -> None:
        self._clock, self.lanes = clock, lanes
        self.jobs: dict[JobId, FakeJob] = {}
        self.submissions: list[tuple[str, str]] = []  # name and token of each call that got through
        self.submitted_at: list[float] = []
        self.stops: list[tuple[JobId, StopReason]] = []
        self.busy = ""  # why nothing should be sent
        self.deaf = False  # jobs do not end when they are asked to
        self._faults: dict[tuple[str, str], list[BaseException]] = defaultdict(list)

    def fail(self, method: str, *errors: BaseException, done: bool = False, times: int = 1) -> None:
        """The next calls of `method` raise: before they do anything, or when all is done."""
        self._faults[method, "after" if done else "before"] += list(errors) * times

    def heal(self) -> None:
        self._faults.clear()

    # what the protocol asks for

    def held(self, _on_lost: Callable[[str], None]) -> AbstractContextManager[StillHeld]:
        return nullcontext(lambda: True)

    def prepare(self, *, is_known: bool = False) -> None:
        """Nothing is needed."""

    def dismantle(self) -> None:
        """Nothing was needed."""

    def pressure(self) -> str:
        return self.busy

    def read_log(self, job: JobId, stream: str, offset: int) -> bytes:
        raise ClusterError(f"job {job} writes no {stream}", why=f"at {offset}: it is none")

    def address_of(self, job: JobId) -> str:
        return f"fake:{job}"

    def submit(self, requests: Sequence[Request]) -> list[JobId | CoordinatorError]:
        return [self._submit(request.job, request.token) for request in requests]

    def _submit(self, job: JobSpec, token: str) -> JobId | CoordinatorError:
        try:
            return self._submitted(job, token)
        except ClusterError as error:
            return error

    def _submitted(self, job: JobSpec, token: str) -> JobId:
        self._trip("submit", "before")
        self.submissions.append((job.name, token))
        known = self.find_token(token)
        new = known or JobId(f"job-{len(self.submissions) - 1}")
        if known is None:
            self.jobs[new] = FakeJob(job, token)
            self.submitted_at.append(self._clock.monotonic())
        self._trip("submit", "after")
        return new

    def find(self, job: JobSpec, token: str) -> JobId | None:
        self._trip("find", "before")
        found = self.find_token(token)
        return found if found and self.jobs[found].spec.name == job.name else None

    def observe(self, ids: Collection[JobId]) -> dict[JobId, Observation]:
        self._trip("observe", "before")
        self._start_pending()
        return {job: self._look(job) for job in ids}

    def stop(self, ids: Collection[JobId], reason: StopReason) -> None:
        self._trip("stop", "before")
        for job in ids:
            self.stops.append((job, reason))
            if not self.deaf and self.jobs[job].ending is None:
                self.end(job, Ending(exit_code=143, signal=15, stop=reason))

    def save_logs(self, job: JobId, folder: Path, mask: Mask = NO_MASK) -> None:
        self._trip("save_logs", "before")
        if job not in self.jobs:
            raise ClusterError(f"there are no logs of job {job!r}")
        (folder / "worker.stdout.0").write_bytes(b"")
        (folder / "worker.stderr.0").write_bytes(b"")
        (folder / "events.json").write_text("[]")

    def purge(self, ids: Collection[JobId]) -> None:
        for job in ids:
            self.jobs.pop(job, None)

    def close(self) -> None:
        """Nothing is open."""

    # what a test does

    def end(self, job: JobId, ending: Ending) -> None:
        assert self.jobs[job].ending is None, "a job ends once"
        self.jobs[job].ending = ending

    def forget(self, job: JobId) -> None:
        """The cluster lost its memory of the job."""
        del self.jobs[job]

    def running(self) -> list[JobId]:
        self._start_pending()
        return [job for job, fake in self.jobs.items() if fake.is_running]

    def find_token(self, token: str) -> JobId | None:
        return next((job for job, fake in self.jobs.items() if fake.token == token), None)

    def _start_pending(self) -> None:
        busy = sum(fake.is_running for fake in self.jobs.values())
        for fake in self.jobs.values():
            if fake.is_pending and (self.lanes is None or busy < self.lanes):
                fake.started, busy = self._clock.monotonic(), busy + 1

    def _look(self, job: JobId) -> Observation:
        fake = self.jobs.get(job)
        if fake is None:
            return Observation(Phase.ENDED, ending=Ending(gone=True, detail="no such job"))
        if fake.ending is not None:
            return Observation(Phase.ENDED, node="n1", ending=fake.ending)
        if fake.started is None:
            return Observation(Phase.PENDING, detail="no lane is free")
        return Observation(Phase.RUNNING, self._clock.monotonic() - fake.started, "n1")

    def _trip(self, method: str, moment: str) -> None:
        if self._faults[method, moment]:
            raise self._faults[method, moment].pop(0)


NOT_BEGUN, HUNG, NO_DATA, OK = "not begun", "hung", "no data", "ok"
HANDED_BACK = "handed back"
Behaviour = Callable[[HandoffItem], FailureKind | str]


class FakeWorker:
    """Does to storage what a worker would, as `behaviour` says for each item of a handoff."""

    def __init__(self, storage: Storage, behaviour: Behaviour = lambda _item: OK) -> None:
        self.storage, self.behaviour = storage, behaviour
        self.runs: list[
            tuple[str, str, int]
        ] = []  # (step, item, attempt): each real run, a witness

    def handoff(self, spec: JobSpec) -> Handoff:
        return read_handoff(self.storage.read(spec.handoff))

    def work(self, spec: JobSpec) -> None:
        """Work the whole dispatch off."""
        handoff = self.handoff(spec)
        for item in handoff.items:
            self.work_on(handoff, item)

    def work_on(self, handoff: Handoff, item: HandoffItem) -> None:
        what = self.behaviour(item)
        if what == NOT_BEGUN:
            return
        keys = self.keys(handoff, item)
        begun = Begun(at=0, handed_back=what == HANDED_BACK)
        self.storage.write(keys.begun, begun.model_dump_json().encode())
        self.runs.append((handoff.step, item.item, item.attempt))
        if what not in (HUNG, HANDED_BACK):
            self.storage.write(keys.outcome, self.outcome(handoff, item, what))

    def outcome(self, handoff: Handoff, item: HandoffItem, what: FailureKind | str) -> bytes:
        files = self._leave(handoff, item) if what == OK else ()
        failure = Failure(kind=what, message="told to") if isinstance(what, FailureKind) else None
        status = {OK: "succeeded", NO_DATA: "no_data"}.get(what, "failed")
        return Outcome(
            batch=handoff.batch, dispatch=handoff.dispatch, step=handoff.step, item=item.item,
            attempt=item.attempt, status=status, failure=failure, files=files,
            started_at=0.0, ended_at=1.0,
        ).model_dump_json().encode()  # fmt: skip

    def _leave(self, handoff: Handoff, item: HandoffItem) -> tuple[FileRecord, ...]:
        data = f"{handoff.step} {item.item} {item.attempt}".encode()
        for name in handoff.outputs:
            self.storage.write(self.keys(handoff, item).file(name), data)
        hashed = sha256_of(data)
        return tuple(FileRecord(name=n, size=len(data), sha256=hashed) for n in handoff.outputs)

    @staticmethod
    def keys(handoff: Handoff, item: HandoffItem) -> AttemptKeys:
        return BatchKeys(handoff.batch).attempt(item.item, handoff.step, item.attempt)
