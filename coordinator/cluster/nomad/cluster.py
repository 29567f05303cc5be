"""The cluster protocol on HashiCorp Nomad: dispatches are children of the batch's parents."""

import re
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

from coordinator.cluster.base import JobId, JobSpec, Observation, Request, StillHeld
from coordinator.cluster.nomad import parents as registry
from coordinator.cluster.nomad.api import NomadApi, NomadRefusal
from coordinator.cluster.nomad.endings import Document, newest
from coordinator.cluster.nomad.events import EventHints
from coordinator.cluster.nomad.inside import NomadInside
from coordinator.cluster.nomad.lock import BatchLock
from coordinator.cluster.nomad.logs import Logs, save_events
from coordinator.cluster.nomad.look import look_at
from coordinator.cluster.nomad.parents import Parent
from coordinator.cluster.nomad.placement import (
    Placement,
    lost_after,
    placement_of,
    room_asked_by,
    tasks_of,
)
from coordinator.cluster.nomad.tracking import (
    POLL_SECONDS,
    POLL_SECONDS_WITH_HINTS,
    Site,
    Tracker,
)
from coordinator.domain.verdicts import StopReason
from coordinator.errors import (
    ClusterError,
    ClusterUnavailable,
    CoordinatorError,
    CredentialsError,
    JobRefused,
    UsageError,
)
from coordinator.parallel import Lanes
from coordinator.secrecy import NO_MASK, Mask

# At a time: a dispatch is one raft commit, and commits share their disk writes.
_DISPATCHES, _DEREGISTERS = Lanes(32), Lanes(16)
_PRESSURE_SECONDS = 5.0
_STARTS, _LOOK = 5.0, 0.5  # seconds: for an allocation to start, and between two looks
_WHERE_IT_STANDS = "coordinator why BATCH ITEM says where it stands"
_CHILD = re.compile(r"[A-Za-z0-9_~.-]+/dispatch-[A-Za-z0-9_.-]+")


class NomadCluster:
    """Runs the jobs of one batch. Only children of its own parents are ever looked at or touched.

    Used by one thread, but for `submit` and `save_logs`, which may run beside the others.
    """

    def __init__(
        self,
        api: NomadApi,
        parents: Sequence[Parent],
        *,
        lanes: int | None = None,
        max_blocked: int = 0,
        wake: Callable[[], None] = lambda: None,
        listen: bool = True,
        lock: BatchLock | None = None,
    ) -> None:
        """A view of the batch's jobs.

        Args:
            api: the Nomad to ask.
            parents: one for each step and memory size.
            lanes: how many dispatches can run at a time; None = not known.
            max_blocked: evaluations that may wait on the cluster, whoever's; 0 = any number.
            wake: called when something may have changed.
            listen: whether to follow the event stream.
            lock: what keeps other hosts from driving the batch; None = nothing does.
        """
        self._api, self._parents, self._lanes = api, parents, lanes
        self._batch = parents[0].batch
        self._max_blocked, self._wake = max_blocked, wake
        self._of_job = {parent.id: parent for parent in parents}
        self._of_spec = {(p.step, p.resources.memory_mb): p for p in parents}
        self._sites: dict[str, Site] = {}
        self._stopped: dict[JobId, StopReason] = {}
        self._purged: set[JobId] = set()  # where of those purged together another one failed
        prefix = registry.job_prefix(self._batch)
        self._tracker = Tracker(api, prefix, self._site_of, self._placement_of)
        self._hints = EventHints(api, prefix, self._hint) if listen else None
        self._lock = lock
        self._may_send: StillHeld = lambda: True
        self._pressure, self._pressed_at = "", -_PRESSURE_SECONDS

    @property
    def lanes(self) -> int | None:
        return self._lanes

    # the batch as a whole

    @contextmanager
    def held(self, on_lost: Callable[[str], None]) -> Iterator[StillHeld]:
        if self._lock is None:
            yield self._may_send
            return
        with self._lock.held(on_lost) as still_held:
            self._may_send = still_held
            yield still_held

    def prepare(self, *, is_known: bool = False) -> None:
        if is_known and not any(self._registered(parent) for parent in self._parents):
            raise UsageError(
                f"Nomad at {self._api.address.address} knows nothing of batch {self._batch}",
                why=f"jobs of it are out, and {self._parents[0].id} is not registered there",
                hint="give the --nomad_addr (or NOMAD_ADDR, namespace and region) it runs on",
            )
        registry.register(self._api, self._parents)

    def dismantle(self) -> None:
        """Remove the parents, once no child is left; a purge of a parent forgets its children."""
        for parent in self._parents:
            if not self._children(parent):
                registry.remove(self._api, [parent])

    def pressure(self) -> str:
        if not self._max_blocked:
            return ""
        if time.monotonic() - self._pressed_at > _PRESSURE_SECONDS:
            self._pressed_at = time.monotonic()
            self._pressure = self._measured_pressure()
        return self._pressure

    def _measured_pressure(self) -> str:
        """Each job that ends makes the scheduler look at every blocked one again, whoever's."""
        blocked, queued = (self._evaluations(status) for status in ("blocked", "pending"))
        for count, what in ((blocked, "evaluations are blocked"), (queued, "wait to be scheduled")):
            if count > self._max_blocked:
                return f"the cluster is busy: {count:,} {what} (limit {self._max_blocked:,})"
        return ""

    def _evaluations(self, status: str) -> int:
        where = {**self._parents[0].where, "namespace": "*"}
        found = self._api.get("evaluations", "count", filter=f'Status == "{status}"', **where)
        return int(found["Count"])

    # sending

    def submit(self, requests: Sequence[Request]) -> list[JobId | CoordinatorError]:
        if not self._may_send():
            return [_unsure(request) for request in requests]
        results = _DISPATCHES.map(self._dispatch, requests)
        for result in results:
            if not isinstance(result, CoordinatorError):
                self._tracker.sent(result)
        return results

    def _dispatch(self, request: Request) -> JobId | CoordinatorError:
        if not self._may_send():  # a burst may take long, where Nomad is slow
            return _unsure(request)
        try:
            reply = self._asked_to_dispatch(request)
        except NomadRefusal as error:
            return JobRefused(f"Nomad refuses {request.job.name}", why=error.why)
        except (ClusterUnavailable, CredentialsError) as error:
            return self._sought(request) or error
        new = reply.get("DispatchedJobID")
        if isinstance(new, str) and reply.get("EvalID") and not request.again:
            return JobId(new)
        # After a repetition it is looked up: the job that is answered may not exist.
        return self._sought(request) or ClusterUnavailable(
            f"Nomad answered for {request.job.name}, and does not show the job",
            hint="it is asked again",
        )

    def _asked_to_dispatch(self, request: Request) -> Document:
        parent = self._parent_of(request.job)
        body = {"Meta": {"handoff": request.job.handoff}, "IdPrefixTemplate": request.job.name}
        query = {"idempotency_token": request.token, **parent.where}
        reply = self._api.post("job", parent.id, "dispatch", json=body, **query)
        return reply if isinstance(reply, dict) else {}

    def _sought(self, request: Request) -> JobId | None:
        """The job, where its dispatch was carried out though no good answer came."""
        try:
            return self.find(request.job, request.token)
        except CoordinatorError:
            return None

    def find(self, job: JobSpec, token: str) -> JobId | None:
        parent = self._parent_of(job)
        prefix = f"{parent.id}/dispatch-{job.name}-"
        for child in self._api.get_all("jobs", prefix=prefix, **parent.where):
            whole = self._api.get_or_none("job", child["ID"], **parent.where)
            if whole and whole.get("DispatchIdempotencyToken") == token:
                self._tracker.sent(JobId(child["ID"]))
                return JobId(child["ID"])
        return None

    # looking

    def observe(self, ids: Collection[JobId]) -> dict[JobId, Observation]:
        if self._hints:
            open_ = self._hints.is_open
            self._tracker.poll_seconds = POLL_SECONDS_WITH_HINTS if open_ else POLL_SECONDS
        seen = self._tracker.observe(ids)
        return {job: self._with_reason(job, look) for job, look in seen.items()}

    def look(self, job: JobId) -> Observation:
        """Where one job stands, asked anew; see `look_at`. Raises ClusterError: none of ours."""
        _, site = self._known(job)
        return look_at(self._api, job, site, self._placement_of)

    def save_logs(self, job: JobId, folder: Path, mask: Mask = NO_MASK) -> None:
        parent, site = self._known(job)
        listed = self._tracker.job(job) or self._api.get_or_none("job", job, **parent.where)
        if listed is None:
            raise ClusterError(f"there are no logs of job {job!r}", why="Nomad does not know it")
        allocations = self._tracker.allocations(job)
        save_events(listed, allocations, folder, mask)
        logs, last = Logs(self._api, site.where), newest(allocations)
        if last is None:
            logs.save_nothing(site.main_task, folder)
        refusals = []
        for allocation in sorted(allocations, key=lambda each: each["CreateIndex"], reverse=True):
            for task in allocation.get("TaskStates") or {site.main_task: None}:
                suffix = "" if allocation is last else f"-{allocation['ID'][:8]}"
                try:
                    logs.save(allocation["ID"], task, folder, f"{task}{suffix}", mask)
                except NomadRefusal as error:  # of a node that is gone; others may be there
                    refusals.append(error)
        self._tracker.drop_allocations(job)
        if refusals:
            raise refusals[0]

    def read_log(self, job: JobId, stream: str, offset: int) -> bytes:
        _, site = self._known(job)
        last = newest(self._api.get_all("job", job, "allocations", **site.where))
        if last is None:
            return b""
        return Logs(self._api, site.where).read(last["ID"], site.main_task, stream, offset)

    def inside(self, job: JobId) -> NomadInside:
        """Waits a little for one that just starts: servers hear of it after its client does."""
        _, site = self._known(job)
        until = time.monotonic() + _STARTS
        while True:
            last = newest(self._api.get_all("job", job, "allocations", **site.where))
            state = last.get("ClientStatus") if last else "not placed"
            if last is not None and state == "running":
                return NomadInside(self._api, site.where, last["ID"], site.main_task)
            if state != "pending" or time.monotonic() > until:
                hint = "the same again in a moment" if state == "pending" else _WHERE_IT_STANDS
                why = f"its allocation is {state}"
                raise ClusterError(f"job {job} does not run", why=why, hint=hint)
            time.sleep(_LOOK)

    def address_of(self, job: JobId) -> str:
        parent = self._parent_of_id(job)
        if parent is None:
            return ""
        page = quote(f"{job}@{parent.namespace}", safe="")
        return f"{self._api.address.address.rstrip('/')}/ui/jobs/{page}"

    # ending

    def stop(self, ids: Collection[JobId], reason: StopReason) -> None:
        alive = self._alive(self._ours(ids))
        _DEREGISTERS.map(lambda job: self._deregister(job, purge=False), alive)
        for job in alive:
            self._stopped.setdefault(job, reason)
        self._tracker.hint()

    def purge(self, ids: Collection[JobId]) -> None:
        ours = self._ours(ids)
        if alive := self._alive(ours):
            raise ClusterError(
                f"{len(alive)} of {len(ids)} jobs cannot be purged",
                why=f"not ended yet: {', '.join(alive)}",
                hint="stop them first, or wait until they have ended",
            )
        _DEREGISTERS.map(self._purge, [job for job in ours if job not in self._purged])
        self._purged.difference_update(ours)
        self._tracker.forget(ours)

    def _purge(self, job: JobId) -> None:
        self._deregister(job, purge=True)
        self._purged.add(job)

    def close(self) -> None:
        if self._hints:
            self._hints.close()

    def _deregister(self, job: JobId, *, purge: bool) -> None:
        _, site = self._known(job)
        self._api.delete("job", job, purge=str(purge).lower(), **site.where)

    def _alive(self, jobs: Sequence[JobId]) -> list[JobId]:
        """Those that have not ended: all looked at in one listing, as the tracker spaces them."""
        seen = self._tracker.observe(jobs)
        return [job for job in jobs if seen[job].ending is None]

    # what is known

    def _hint(self) -> None:
        self._tracker.hint()
        self._wake()

    def _with_reason(self, job: JobId, look: Observation) -> Observation:
        """Nomad only knows that a job was stopped; why, we know while we live."""
        if look.ending is None or look.ending.stop is not StopReason.ASKED:
            return look
        reason = self._stopped.get(job, StopReason.ASKED)
        return replace(look, ending=replace(look.ending, stop=reason))

    def _parent_of(self, job: JobSpec) -> Parent:
        return self._of_spec[job.step, job.resources.memory_mb]

    def _parent_of_id(self, job: JobId) -> Parent | None:
        if not _CHILD.fullmatch(job):
            return None
        return self._of_job.get(job.rpartition("/dispatch-")[0])

    def _ours(self, ids: Collection[JobId]) -> list[JobId]:
        return [job for job in ids if self._parent_of_id(job)]

    def _known(self, job: JobId) -> tuple[Parent, Site]:
        parent, site = self._parent_of_id(job), self._site_of(job)
        if parent is None or site is None:
            raise ClusterError(f"job {job!r} is none of this batch")
        return parent, site

    def _site_of(self, job: JobId) -> Site | None:
        parent = self._parent_of_id(job)
        if parent is None:
            return None
        if parent.id not in self._sites:
            self._sites[parent.id] = self._site(parent)
        return self._sites[parent.id]

    def _site(self, parent: Parent) -> Site:
        """Its main task is the one without a lifecycle hook; see job_check."""
        whole = self._api.get_or_none("job", parent.id, **parent.where) or {}
        tasks = [task["Name"] for task in tasks_of(whole) if not task.get("Lifecycle")]
        return Site(parent.where, tasks[0] if tasks else parent.step, lost_after(whole))

    def _placement_of(self, job: JobId) -> Placement:
        parent, _ = self._known(job)
        evaluations = self._api.get_all("job", job, "evaluations", **parent.where)
        asked = room_asked_by(self._api.get_or_none("job", job, **parent.where) or {})
        try:
            nodes = self._api.get_all("nodes", resources="true", **parent.where)
        except CredentialsError:  # reading nodes is a right of its own; without it, wait and see
            return placement_of(evaluations, None, asked)
        return placement_of(evaluations, nodes, asked)

    def _registered(self, parent: Parent) -> bool:
        return self._api.get_or_none("job", parent.id, **parent.where) is not None

    def _children(self, parent: Parent) -> Sequence[Document]:
        prefix = f"{parent.id}/dispatch-"
        return self._api.get_all("jobs", prefix=prefix, **parent.where)


def _unsure(request: Request) -> ClusterUnavailable:
    return ClusterUnavailable(
        f"{request.job.name} is not sent now",
        why="the lock of the batch could not be renewed, so another host may drive it by now",
    )
