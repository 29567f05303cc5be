"""The simulated world as Nomad's API tells of it, below the real cluster on Nomad.

So what that does with a phantom ID, a listing or an allocation is simulated too. Only what sets up
the parents is left out: the real one asks Nomad to parse their job files.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from email.utils import formatdate
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from coordinator.clock import Clock
from coordinator.cluster import JobId, JobSpec, Resources
from coordinator.cluster.nomad import cluster as nomad_cluster
from coordinator.cluster.nomad import tracking
from coordinator.cluster.nomad.api import NomadAddress, NomadApi, NomadRefusal
from coordinator.cluster.nomad.cluster import NomadCluster
from coordinator.cluster.nomad.job_files import NOTHING
from coordinator.cluster.nomad.parents import Parent, parent_id
from coordinator.cluster.simulated import Fault, Run, SimulatedCluster, SimulatedJob, World
from coordinator.domain.verdicts import Ending, StopReason
from coordinator.errors import CredentialsError
from coordinator.pipelines import Pipeline
from tests.simulation.lives import Life

Document = dict[str, Any]
_TASK = "worker"
_SAID = {StopReason.DRAINED: "alloc is being migrated", StopReason.ASKED: "due to job update"}


class Reply:
    """As much of a reply as is looked at."""

    content = b"something"

    def __init__(self, document: Any, date: str = "", body: bytes = b"") -> None:
        self._document, self.headers, self._body = document, {"Date": date}, body

    def json(self) -> Any:
        return self._document

    def iter_content(self, _size: int) -> Iterator[bytes]:
        yield self._body

    def close(self) -> None:
        """Nothing is open."""


class SimulatedNomadApi(NomadApi):
    """Everything else is the real one's."""

    def __init__(self, nomad: "SimulatedNomad") -> None:
        super().__init__(NomadAddress("http://simulated"))
        self._nomad = nomad

    def call(self, method: str, *path: str, params: Document, **more: Any) -> Any:
        return self._nomad.answer(method, path, params, more.get("json"))


class SimulatedNomad(SimulatedCluster):
    """Answers requests; the faults on the way are those of all."""

    def __init__(self, life: Life, world: World, parents: Sequence[Parent]) -> None:
        super().__init__(world)
        self._life, self._clock = life, world.clock
        self._parents = {parent.id: parent for parent in parents}
        self._larger = {(p.batch, p.step, p.resources.memory_mb): p.memory_step for p in parents}

    def answer(self, method: str, path: tuple[str, ...], params: Document, body: Any) -> Reply:
        """The reply to one request."""
        self._life.passes(f"before it asks the cluster: {method} {'/'.join(path)}")
        self._enter(f"{method} {'/'.join(path)}")
        date = formatdate(self._clock.now(), usegmt=True)
        match method, *path:
            case "get", "client", "fs", "logs", allocation:
                return Reply(None, body=self._log(allocation, params))
            case "get", *_:
                return Reply(self._document(path, params), date)
            case "post", "job", parent, "dispatch":
                return Reply(self._dispatched(parent, body, params["idempotency_token"]))
            case "post", "job", job, "evaluate":
                return Reply(self._evaluated(job))
            case "delete", "job", job:
                return Reply(self._deregistered(job, purge=params["purge"] == "true"))
        raise AssertionError(f"nobody answers {method} {path}")

    def _document(self, path: tuple[str, ...], params: Document) -> Any:
        match path:
            case ("jobs",):
                return self._listed(params["prefix"])
            case ("allocations",):
                return self._allocations_of(re.findall(r'"([^"]*)"', params["filter"]))
            case ("job", job, "allocations"):
                known = self._known(job)
                return self._allocations(known) if known else []
            case ("job", _, "evaluations"):
                return []
            case ("job", job):
                return self._whole(job)
        raise CredentialsError(f"{'/'.join(path)} may not be read")

    def _dispatched(self, parent: str, body: Document, token: str) -> Document:
        """As Nomad does: one that repeats a token in a race may be told of a job that is not."""
        of, name = self._parents[parent], body["IdPrefixTemplate"]
        spec = JobSpec(name, of.step, body["Meta"]["handoff"], "", of.resources)
        known = self._world.of_token.get(token)
        if known is None and self._faults.strikes(Fault.REFUSED):
            self._world.refused.add(name)
            raise NomadRefusal(f"Nomad refuses {name}", why="told to")
        if self._faults.strikes(Fault.CUT_BEFORE):
            raise self._no_answer(f"to dispatching {name}")
        job = known or self._world.make(spec, token).id
        if self._faults.strikes(Fault.CUT_AFTER):
            raise self._no_answer(f"to dispatching {name}, which is done")
        self._life.passes(f"after submitting {name}")
        if known and self._faults.strikes(Fault.PHANTOM_ID):
            return {"DispatchedJobID": f"{parent}/dispatch-{known}-phantom", "EvalID": "phantom"}
        evaluation = "" if known else "some"
        return {"DispatchedJobID": f"{parent}/dispatch-{job}", "EvalID": evaluation}

    def _evaluated(self, job: str) -> Document:
        self._world.look_again(self._job(job))
        self._life.passes(f"after having {job} looked at again")
        return {"EvalID": "some"}

    def _deregistered(self, job: str, *, purge: bool) -> Document:
        what = f"{'purging' if purge else 'stopping'} {job}"
        if known := self._world.jobs.get(bare_id(job)):
            self._world.stop(known)
            if purge:
                self._world.forget(known)
        self._leave(what)
        self._life.passes(f"after {what}")
        return {}

    def _log(self, allocation: str, params: Document) -> bytes:
        job, _, number = allocation.rpartition("#")
        found = self._world.jobs.get(JobId(job))
        if found is None or not found.has_logs:
            raise NomadRefusal("there is no log", why="alloc not found", status=404)
        run = found.runs[int(number) - 1]
        if run.steps is None:
            raise NomadRefusal("there is no log", why="not started yet", status=404)
        self._life.passes(f"after the logs of {job}")
        written = {"stdout": run.stdout, "stderr": run.stderr}[params["type"]]
        return bytes(written)[params.get("offset", 0) :]

    # documents

    def _id(self, job: SimulatedJob) -> str:
        """As a child of its batch's parent for the step and the memory."""
        batch, step, memory = job.spec.name.partition("--")[0], job.spec.step, job.spec.resources
        size = self._larger.get((batch, step, memory.memory_mb), 0)
        return f"{parent_id(batch, step, size)}/dispatch-{job.id}"

    def _listed(self, prefix: str) -> list[Document]:
        """A search for one job may be answered from before it was there."""
        found = [each for job in self._world.jobs.values() if (each := self._entry(job, prefix))]
        is_search = "/dispatch-" in prefix
        return [] if is_search and self._faults.strikes(Fault.STALE_FIND) else found

    def _entry(self, job: SimulatedJob, prefix: str) -> Document | None:
        name = self._id(job)
        if not name.startswith(prefix):
            return None
        is_stale = self._faults.strikes(Fault.STALE_LOOK) and bool(job.runs)
        is_dead = job.ending is not None or job.is_asked_to_stop
        return {
            "ID": name,
            "Status": "dead" if is_dead and not is_stale else "running" if job.runs else "pending",
            "Stop": job.is_asked_to_stop and not is_stale,
            "ModifyIndex": len(job.events) - is_stale,
            "SubmitTime": self._nanoseconds(job.made),
        }

    def _whole(self, job: str) -> Document:
        if job in self._parents:
            return {"ID": job, "TaskGroups": [{"Tasks": [{"Name": _TASK}]}]}
        found = self._job(job)
        return {**(self._entry(found, "") or {}), "DispatchIdempotencyToken": found.token}

    def _job(self, job: str) -> SimulatedJob:
        found = self._known(job)
        if found is None:
            raise NomadRefusal(f"{job} is not there", why="job not found", status=404)
        return found

    def _known(self, job: str) -> SimulatedJob | None:
        found = self._world.jobs.get(bare_id(job))
        return found if found and self._id(found) == job else None

    def _allocations_of(self, parents: list[str]) -> list[Document]:
        of = [job for job in self._world.jobs.values() if self._id(job).split("/")[0] in parents]
        return [allocation for job in of for allocation in self._allocations(job)]

    def _allocations(self, job: SimulatedJob) -> list[Document]:
        return [self._allocation(job, run) for run in job.runs]

    def _allocation(self, job: SimulatedJob, run: Run) -> Document:
        said = "alloc is lost since its node is down" if run.is_lost else _SAID.get(run.stop, "")
        state = {
            "State": "dead" if run.is_over and not run.is_lost else "running",
            "StartedAt": self._moment(run.started) if run.steps else "",
            "Events": self._events(run),
        }
        return {
            "ID": f"{job.id}#{run.number}",
            "JobID": self._id(job),
            "CreateIndex": run.number,
            "CreateTime": self._nanoseconds(run.started),
            "ModifyTime": self._nanoseconds(run.unknown_since or 0.0),
            "NodeName": run.node,
            "ClientStatus": _client_status(run),
            "ClientDescription": "Tasks are running",
            "DesiredStatus": "stop" if said else "run",
            "DesiredDescription": said,
            "TaskStates": {_TASK: state},
        }

    def _events(self, run: Run) -> list[Document]:
        if run.ending is None or run.is_lost:
            return []
        at = self._nanoseconds(self._world.time)
        if run.ending.exit_code is None:
            message = run.ending.detail
            return [{"Type": "Driver Failure", "Time": at, "DisplayMessage": message}]
        details = _details(run.ending)
        return [{"Type": "Terminated", "Time": at, "DisplayMessage": "", "Details": details}]

    def _moment(self, at: float) -> str:
        moment = datetime.fromtimestamp(self._nanoseconds(at) / 1e9, UTC)
        return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def _nanoseconds(self, at: float) -> int:
        return int((self._clock.now() - self._clock.monotonic() + at) * 1e9)


class MortalNomadCluster(NomadCluster):
    """The real cluster over the simulated API; its parents are there already."""

    def prepare(self, *, is_known: bool = False) -> None:
        """They are."""

    def dismantle(self) -> None:
        """They stay."""


def nomad_cluster_over(
    life: Life, world: World, parents: Sequence[Parent], *, tells_lanes: bool
) -> MortalNomadCluster:
    api = SimulatedNomadApi(SimulatedNomad(life, world, parents))
    lanes = world.lanes if tells_lanes else None
    return MortalNomadCluster(api, parents, lanes=lanes, listen=False)


def parents_of(batch: str, pipeline: Pipeline) -> list[Parent]:
    return [
        parent_of(batch, step.name, Resources(memory_mb=memory), size)
        for step in pipeline.steps
        for size, memory in enumerate(step.resources.memory_mb)
    ]


def parent_of(batch: str, step: str, resources: Resources, memory_step: int = 0) -> Parent:
    return Parent(
        batch=batch,
        uid="simulated",
        step=step,
        resources=resources,
        output_root="",
        job_file=NOTHING,
        memory_step=memory_step,
    )


@contextmanager
def nomad_by_the_clock(clock: Clock) -> Iterator[None]:
    """The cluster on Nomad spaces its questions by time that is simulated, too."""
    simulated = SimpleNamespace(monotonic=clock.monotonic)
    with ExitStack() as stack:
        for module in (nomad_cluster, tracking):
            stack.enter_context(patch.object(module, "time", simulated))
        yield


def bare_id(job: str) -> JobId:
    """A job's id as the world knows it, of the one that Nomad tells."""
    return JobId(job.rpartition("/dispatch-")[2])


def _client_status(run: Run) -> str:
    if not run.is_over:
        return "running" if run.unknown_since is None else "unknown"
    if run.is_lost:
        return "lost"
    well = run.ending is not None and run.ending.exit_code == 0
    return "complete" if well or run.stop else "failed"


def _details(ending: Ending) -> dict[str, str]:
    killed = "true" if ending.oom_killed else "false"
    code, signal = str(ending.exit_code), str(ending.signal)
    return {"exit_code": code, "signal": signal, "oom_killed": killed}
