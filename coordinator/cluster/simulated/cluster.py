"""The cluster protocol over a simulated world: what one coordinator sees of it."""

import json
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from coordinator.clock import timestamp
from coordinator.cluster.base import JobId, JobSpec, Observation, Phase, Request, StillHeld
from coordinator.cluster.inside import Inside
from coordinator.cluster.simulated.faults import Fault
from coordinator.cluster.simulated.runs import Run, SimulatedJob
from coordinator.cluster.simulated.world import World
from coordinator.domain.verdicts import Ending, StopReason
from coordinator.errors import (
    ClusterError,
    ClusterUnavailable,
    CoordinatorError,
    CredentialsError,
    JobRefused,
)
from coordinator.secrecy import NO_MASK, Mask

_LONGEST = 60.0  # seconds that an outage or a refusal lasts
_TASK = "worker"


class SimulatedCluster:
    """The world through one coordinator's connection; faults strike on the way."""

    def __init__(self, world: World, *, tells_lanes: bool = True) -> None:
        self._world, self._faults = world, world.faults
        self._tells_lanes = tells_lanes
        self._reasons: dict[JobId, StopReason] = {}

    @property
    def lanes(self) -> int | None:
        return self._world.lanes if self._tells_lanes else None

    # the batch as a whole

    def held(self, _on_lost: Callable[[str], None]) -> AbstractContextManager[StillHeld]:
        return nullcontext(lambda: True)

    def prepare(self, *, is_known: bool = False) -> None:
        self._enter(f"prepare, known: {is_known}")

    def dismantle(self) -> None:
        self._enter("dismantle")

    def pressure(self) -> str:
        now = self._world.clock.monotonic()
        return "the cluster is busy" if self._faults.lasts(Fault.BUSY, now, _LONGEST) else ""

    def close(self) -> None:
        """Nothing is open."""

    # sending

    def submit(self, requests: Sequence[Request]) -> list[JobId | CoordinatorError]:
        return [self._submitted(request) for request in requests]

    def _submitted(self, request: Request) -> JobId | CoordinatorError:
        try:
            self._enter(f"submit {request.job.name}")
            return self._dispatch(request)
        except (ClusterError, CredentialsError) as error:
            return error

    def _dispatch(self, request: Request) -> JobId:
        """As Nomad does: who repeats a token without a look may be told of a job that is not."""
        name = request.job.name
        known = self._world.of_token.get(request.token)
        if known is None and not request.again and self._faults.strikes(Fault.REFUSED):
            self._world.refused.add(name)
            raise JobRefused(f"the cluster refuses {name}", why="told to")
        if self._faults.strikes(Fault.CUT_BEFORE):
            raise self._no_answer(f"to submitting {name}")
        job = known or self._world.make(request.job, request.token).id
        if known and not request.again and self._faults.strikes(Fault.PHANTOM_ID):
            return JobId(f"{known}-phantom")
        if self._faults.strikes(Fault.CUT_AFTER):
            raise self._no_answer(f"to submitting {name}, which is done")
        return job

    def find(self, job: JobSpec, token: str) -> JobId | None:
        self._enter(f"find {job.name}")
        known = self._world.of_token.get(token)
        if known is None or self._world.jobs[known].spec.name != job.name:
            return None
        return None if self._faults.strikes(Fault.STALE_FIND) else known

    # looking

    def observe(self, ids: Collection[JobId]) -> dict[JobId, Observation]:
        self._enter(f"observe {len(ids)} jobs")
        return {job: self._look(job) for job in ids}

    def _look(self, job_id: JobId) -> Observation:
        job = self._world.jobs.get(job_id)
        if job is None:
            return Observation(Phase.ENDED, ending=Ending(gone=True, detail="no such job"))
        is_stale = self._faults.strikes(Fault.STALE_LOOK)
        if job.ending is not None and not (is_stale and job.runs):
            return self._ended(job, job.ending)
        if not job.runs or (is_stale and job.ending is None):
            return Observation(Phase.PENDING, detail="no lane is free")
        return self._running(job.runs[-1])

    def _ended(self, job: SimulatedJob, ending: Ending) -> Observation:
        if ending.stop is StopReason.ASKED:  # why, only whoever asked knows, while it lives
            reason = self._reasons.get(job.id, StopReason.ASKED)
            ending = Ending(**{**ending.__dict__, "stop": reason})
        node = job.runs[-1].node if job.runs else ""
        return Observation(Phase.ENDED, node=node, ending=ending)

    def _running(self, run: Run) -> Observation:
        seconds = self._world.clock.monotonic() - run.started
        return Observation(Phase.RUNNING, seconds, run.node)

    # ending

    def stop(self, ids: Collection[JobId], reason: StopReason) -> None:
        self._enter(f"stop {len(ids)} jobs: {reason}")
        for job in self._known(ids):
            self._reasons.setdefault(job.id, reason)
            self._world.stop(job)
        self._leave("stopping jobs")

    def purge(self, ids: Collection[JobId]) -> None:
        self._enter(f"purge {len(ids)} jobs")
        known = self._known(ids)
        if alive := [job.id for job in known if job.ending is None]:
            raise ClusterError("jobs cannot be purged", why=f"not ended yet: {', '.join(alive)}")
        for job in known:
            self._world.forget(job)
        self._leave("purging jobs")

    def _known(self, ids: Collection[JobId]) -> list[SimulatedJob]:
        return [self._world.jobs[job] for job in ids if job in self._world.jobs]

    # logs

    def save_logs(self, job: JobId, folder: Path, mask: Mask = NO_MASK) -> None:
        self._enter(f"save the logs of {job}")
        found = self._logged(job)
        run = found.runs[-1] if found.runs else None
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{_TASK}.stdout.0").write_bytes(mask.data(bytes(run.stdout)) if run else b"")
        (folder / f"{_TASK}.stderr.0").write_bytes(mask.data(bytes(run.stderr)) if run else b"")
        (folder / "events.json").write_text(json.dumps(self._events(found)))

    def read_log(self, job: JobId, stream: str, offset: int) -> bytes:
        self._enter(f"read {stream} of {job}")
        found = self._logged(job)
        if not found.runs:
            return b""
        written = {"stdout": found.runs[-1].stdout, "stderr": found.runs[-1].stderr}[stream]
        return bytes(written[offset:])

    def inside(self, job: JobId) -> Inside:
        raise ClusterError(f"job {job} cannot be entered", why="it is simulated")

    def address_of(self, job: JobId) -> str:
        return f"simulated:{job}"

    def _logged(self, job: JobId) -> SimulatedJob:
        found = self._world.jobs.get(job)
        if found is None or not found.has_logs:
            raise ClusterError(f"there are no logs of job {job!r}")
        return found

    def _events(self, job: SimulatedJob) -> list[dict[str, str]]:
        epoch = self._world.clock.now() - self._world.clock.monotonic()
        return [
            {"time": timestamp(epoch + at), "event": event, "detail": detail}
            for at, event, detail in job.events
        ]

    # what may happen on the way there and back

    def _enter(self, what: str) -> None:
        """Every question takes the cluster where time has come to, and may not get there."""
        if self._faults.strikes(Fault.SLOW):
            self._world.clock.sleep(self._faults.within(1.0, 30.0))
        self._world.advance()
        now = self._world.clock.monotonic()
        if self._faults.lasts(Fault.CREDENTIALS, now, _LONGEST):
            self._world.tell(f"credentials refused: {what}")
            raise CredentialsError("the cluster refuses the token", hint="renew it")
        if self._faults.lasts(Fault.OUTAGE, now, _LONGEST) or self._faults.strikes(Fault.API_ERROR):
            raise self._no_answer(f"to: {what}")

    def _leave(self, what: str) -> None:
        if self._faults.strikes(Fault.DONE_BUT_ERROR):
            raise self._no_answer(f"to {what}, which is done")

    def _no_answer(self, what: str) -> ClusterUnavailable:
        self._world.tell(f"the cluster gives no answer {what}")
        return ClusterUnavailable(f"the cluster gives no answer {what}")
