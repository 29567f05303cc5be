"""Where a batch's jobs stand: one listing for all of them, details only of what has changed."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

from coordinator.cluster.base import JobId, Observation, Phase
from coordinator.cluster.nomad.api import NomadApi, NomadRefusal
from coordinator.cluster.nomad.endings import Started, ending_of, is_over, started
from coordinator.cluster.nomad.placement import WAITING, Placement
from coordinator.domain.verdicts import Ending
from coordinator.errors import CredentialsError
from coordinator.parallel import Lanes

_DETAILS = Lanes(16)
POLL_SECONDS = 2.0  # between listings when nothing hints at a change
POLL_SECONDS_WITH_HINTS = 10.0
_PENDING_LOOK_SECONDS = 5.0
_EXPIRED_SECONDS = 2.0  # beyond `lost_after`; the server tells its time in whole seconds
_EVALUATE_SECONDS = 30.0  # between two requests to look again at one job
FEW = 16  # jobs whose allocations are asked for one by one
_SHARE = 19.0  # a listing is followed by this many times its own duration without one

Document = Mapping[str, Any]
Where = Mapping[str, str]  # namespace and region, as query parameters
Place = tuple[tuple[str, str], ...]  # the same, to be compared

GONE = Observation(Phase.ENDED, ending=Ending(gone=True, detail="Nomad no longer knows the job"))


@dataclass(frozen=True)
class Site:
    """Where the jobs of one step run.

    Attributes:
        main_task: whose end is the job's.
        lost_after: seconds that a node may be away before its jobs start on another.
    """

    where: Where
    main_task: str
    lost_after: float = 0.0


@dataclass(frozen=True)
class _Run:
    """A job that was seen to run: on which node, and since when by our own steady clock."""

    started: Started
    since: float | None  # None = its main task has not started yet
    version: tuple[int, int]  # of the job's entry in the list: another one asks for a closer look


class Tracker:
    """Answers where jobs stand. Used by one thread; `hint` may be called from any."""

    def __init__(
        self,
        api: NomadApi,
        prefix: str,
        site_of: Callable[[JobId], Site | None],
        placement: Callable[[JobId], Placement],
    ) -> None:
        """`prefix`: of the ids of all jobs of the batch. `site_of`: None = no job of ours."""
        self._api, self._prefix = api, prefix
        self._site_of, self._placement_of = site_of, placement
        self._jobs: dict[JobId, Document] = {}  # the last listing
        self._looked_at: set[JobId] = set()  # since that
        self._sent: set[JobId] = set()  # submitted since it began
        self._runs: dict[JobId, _Run] = {}
        self._idle_at: dict[JobId, float] = {}  # when it was last seen not to run yet
        self._ended: dict[JobId, Observation] = {}
        self._details: dict[JobId, Sequence[Document]] = {}  # allocations of what has ended
        self._placements: dict[str, tuple[float, Placement]] = {}  # parent -> when, what
        self._evaluated: dict[JobId, float] = {}  # when Nomad was asked to look again
        self._listed_at, self._cost = -1e9, 0.0
        self._hinted = threading.Event()
        self._server_time = 0.0
        self.poll_seconds = POLL_SECONDS

    def hint(self) -> None:
        """Something may have changed."""
        self._hinted.set()

    def sent(self, job: JobId) -> None:
        """The cluster has just taken this job."""
        self._sent.add(job)
        self._idle_at[job] = time.monotonic()

    def forget(self, jobs: Iterable[JobId]) -> None:
        """These were purged."""
        for job in jobs:
            for known in (
                self._jobs,
                self._runs,
                self._idle_at,
                self._ended,
                self._details,
                self._evaluated,
            ):
                known.pop(job, None)
            self._sent.discard(job)

    def observe(self, ids: Collection[JobId]) -> dict[JobId, Observation]:
        ours = [job for job in ids if self._site_of(job) is not None]
        if any(job not in self._ended for job in ours):
            self._refresh(ours)
        return {job: self._observation(job) for job in ids}

    def allocations(self, job: JobId) -> Sequence[Document]:
        """The job's allocations; those of an ended one are asked for once."""
        site = self._site_of(job)
        if site is None:
            return ()
        known = self._details.get(job)
        return known if known is not None else self._allocations(job, site)

    def drop_allocations(self, job: JobId) -> None:
        """They are not needed any more; a batch may have very many."""
        self._details.pop(job, None)

    def job(self, job: JobId) -> Document | None:
        """The job's entry in the list of jobs."""
        return self._jobs.get(job)

    # listing

    def _refresh(self, ours: Sequence[JobId]) -> None:
        is_due = self._is_due(ours)
        if is_due:
            began = time.monotonic()
            self._hinted.clear()
            self._list(ours)
            self._looked_at = set()
            self._cost = time.monotonic() - began
        # Jobs that nobody asked about at the last listing are looked at now, as it has them.
        new = [job for job in ours if job not in self._ended and job not in self._looked_at]
        self._look_closer(new)
        self._looked_at.update(new)
        if is_due:
            self._listed_at = time.monotonic()

    def _is_due(self, ours: Sequence[JobId]) -> bool:
        """Hints, the poll and jobs never seen call for a listing; its own cost spaces them."""
        if any(job not in self._jobs and job not in self._sent for job in ours):
            return True
        quiet = time.monotonic() - self._listed_at
        if quiet > self.poll_seconds:
            return True
        return self._hinted.is_set() and quiet > _SHARE * self._cost

    def _list(self, ours: Sequence[JobId]) -> None:
        places = {_place_of(site) for job in ours if (site := self._site_of(job))}
        self._sent = set()
        found: dict[JobId, Document] = {}
        for place in sorted(places):
            reply = self._api.call("get", "jobs", params={"prefix": self._prefix, **dict(place)})
            self._server_time = _date_of(reply.headers.get("Date", ""))
            found.update((JobId(job["ID"]), job) for job in self._api.listed(reply))
        self._jobs = found

    def _look_closer(self, alive: Sequence[JobId]) -> None:
        """Ask for the allocations of jobs that ended or are on the way to run."""
        jobs = [job for job in alive if self._needs_details(job)]
        if len(jobs) > FEW:
            details = self._listed_allocations(jobs)
        else:
            details = _DETAILS.map(self.allocations, jobs)
        for job, allocations in zip(jobs, details, strict=True):
            self._place(job, self._jobs[job], allocations)

    def _needs_details(self, job: JobId) -> bool:
        listed = self._jobs.get(job)
        if listed is None or listed["Status"] == "pending":
            return False
        run = self._runs.get(job)
        if listed["Status"] == "dead" or run is None or run.since is None:
            return True
        return run.version != _version(listed)

    def _place(self, job: JobId, listed: Document, allocations: Sequence[Document]) -> None:
        site = self._site_of(job)
        assert site is not None
        if is_over(listed, allocations):
            run = started(allocations, site.main_task)
            ending = ending_of(listed, allocations, site.main_task)
            node = run.node if run else ""
            self._ended[job] = Observation(Phase.ENDED, node=node, ending=ending)
            self._details[job] = allocations
        elif run := started(allocations, site.main_task):
            self._runs[job] = _Run(run, self._since(job, run), _version(listed))
            if run.away_since:
                self._have_it_replaced(job, site, run.away_since)

    def _have_it_replaced(self, job: JobId, site: Site, away_since: float) -> None:
        """Ask Nomad to look again at a job whose node has been away for too long.

        The look that Nomad plans for that moment may come milliseconds before it. Where a job has
        ended on the node and is known still, the node never counts as down, so no other look
        follows, and the job would be unknown for ever (seen with 1.11.3).
        """
        now = time.monotonic()
        expired = self._server_time > away_since + site.lost_after + _EXPIRED_SECONDS
        if not expired or now - self._evaluated.get(job, -1e9) < _EVALUATE_SECONDS:
            return
        self._evaluated[job] = now
        with suppress(NomadRefusal, CredentialsError):  # whatever is wrong, the next look says it
            self._api.post("job", job, "evaluate", json={"JobID": job}, **site.where)

    def _since(self, job: JobId, run: Started) -> float | None:
        """When a task started, by our steady clock.

        What was seen before it started cannot have run for longer than since then. Of others the
        age is told by the clocks of node and server; our own wall clock has no part in it. By the
        server's alone it is no older than its allocation, however late the node's clock is.
        """
        now, before = time.monotonic(), self._runs.get(job)
        if not run.started_at:
            self._idle_at[job] = now
            return None
        if before and before.since is not None and before.started.allocation == run.allocation:
            return before.since
        began = max(seconds_of(run.started_at), run.placed_at)
        age = max(0.0, self._server_time - began)
        return max(now - age, self._idle_at.get(job, now - age))

    def _listed_allocations(self, jobs: Sequence[JobId]) -> list[Sequence[Document]]:
        """The allocations of many jobs, by one list for each place."""
        details: dict[JobId, list[Document]] = {job: [] for job in jobs}
        parents: dict[Place, set[str]] = defaultdict(set)
        for job in jobs:
            if site := self._site_of(job):
                parents[_place_of(site)].add(job.rpartition("/dispatch-")[0])
        for place, ids in parents.items():
            wanted = " or ".join(f'Job.ParentID == "{parent}"' for parent in sorted(ids))
            for allocation in self._api.get_all("allocations", filter=wanted, **dict(place)):
                details.get(allocation["JobID"], []).append(allocation)
        return [details[job] for job in jobs]

    def _allocations(self, job: JobId, site: Site) -> Sequence[Document]:
        return self._api.get_all("job", job, "allocations", **site.where)

    # answers

    def _observation(self, job: JobId) -> Observation:
        if job in self._ended:
            return self._ended[job]
        if job in self._sent:
            return Observation(Phase.PENDING, detail=WAITING)
        listed = self._jobs.get(job)
        if listed is None:
            return GONE
        run = self._runs.get(job)
        if run is None or listed["Status"] == "pending":
            self._runs.pop(job, None)  # if it ran before, that was another allocation
            self._idle_at[job] = time.monotonic()
            return self._pending(job)
        if run.since is None:
            detail = run.started.waits_for or f"on {run.started.node}, not started yet"
            return Observation(Phase.PENDING, node=run.started.node, detail=detail)
        return Observation(Phase.RUNNING, time.monotonic() - run.since, run.started.node)

    def _pending(self, job: JobId) -> Observation:
        """Jobs of one parent wait for the same: one of them is asked about, now and then."""
        parent = job.rpartition("/dispatch-")[0]
        asked_at, placement = self._placements.get(parent, (time.monotonic(), Placement()))
        if parent not in self._placements:
            self._placements[parent] = (asked_at, placement)
        elif time.monotonic() - asked_at > _PENDING_LOOK_SECONDS:
            placement = self._placement_of(job)
            self._placements[parent] = (time.monotonic(), placement)
        return Observation(Phase.PENDING, detail=placement.why, hopeless=placement.hopeless)


def _version(listed: Document) -> tuple[int, int]:
    """What changes with the job's status, and with that of its allocations."""
    summary = listed.get("JobSummary") or {}
    return int(listed.get("ModifyIndex") or 0), int(summary.get("ModifyIndex") or 0)


def _place_of(site: Site) -> Place:
    return tuple(sorted(site.where.items()))


def _date_of(header: str) -> float:
    try:
        return parsedate_to_datetime(header).timestamp()
    except ValueError:
        return 0.0


def seconds_of(moment: str) -> float:
    """Epoch seconds of an RFC 3339 time, whose nanoseconds Python does not read."""
    whole, _, fraction = moment.rstrip("Z").partition(".")
    seconds = datetime.fromisoformat(f"{whole}+00:00").timestamp()
    return seconds + float(f"0.{fraction or 0}")
