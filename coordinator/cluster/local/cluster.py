"""The local cluster: which jobs there are, where they stand, and which may start."""

import errno
import os
import socket
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from json import dumps
from pathlib import Path
from time import time

from coordinator.cluster.base import JobId, JobSpec, Observation, Phase, Request, StillHeld
from coordinator.cluster.local.inside import LocalInside
from coordinator.cluster.local.job import (
    JOBS,
    STDERR,
    STDOUT,
    JobFolder,
    Submission,
    is_job_id,
    job_id,
)
from coordinator.cluster.local.launcher import Launcher
from coordinator.cluster.local.logs import copy_stream, keep_as_home, read_from
from coordinator.domain.verdicts import Ending, StopReason
from coordinator.errors import ClusterError, ClusterUnavailable, CoordinatorError
from coordinator.files import write_whole
from coordinator.secrecy import NO_MASK, Mask

TASK = "worker"  # the name of a job's one task, in the names of its logs
_STREAMS = {"stdout": STDOUT, "stderr": STDERR}

_PASSING = {errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM}
_VAIN_STARTS = 3  # of one job, before somebody must be told
_GONE = Observation(Phase.ENDED, ending=Ending(gone=True, detail="no such job on this machine"))
_DAMAGED = Observation(Phase.ENDED, ending=Ending(gone=True, detail="its record is damaged"))


class LocalCluster:
    """Runs every dispatch as a process group on this machine, some at a time.

    Nothing runs but the jobs: they are started when somebody observes, and a job that runs goes on
    when its coordinator ends. All that is known lies in the folder, so the next coordinator (or one
    beside it, with the same folder) takes up where the last one was killed.
    """

    def __init__(
        self,
        folder: Path,
        *,
        slots: int,
        command: Callable[[JobSpec], Sequence[str]],
        environment: Callable[[], Mapping[str, str]] = lambda: os.environ,
        kill_timeout: float = 10.0,
    ) -> None:
        """A cluster in `folder`, on a disk of this machine.

        Args:
            folder: made when the first job is submitted.
            slots: how many jobs run at a time.
            command: the arguments of a job's process; it runs in an empty folder of its own.
            environment: all that a job finds in its environment; asked when it starts.
            kill_timeout: seconds from SIGTERM to SIGKILL when a job is stopped.
        """
        self._folder, self._slots = folder.absolute(), slots
        self._node = socket.gethostname()
        self._launcher = Launcher(self._folder / "slots", slots, command, environment, kill_timeout)
        # Where each known job was seen last; the pending ones in the order in which they start.
        self._pending: dict[JobId, Submission] = {}
        self._running: set[JobId] = set()
        self._ended: dict[JobId, Observation] = {}
        self._order = 0
        self._vain: Counter[JobId] = Counter()
        self._loaded = False
        self._alone = threading.RLock()

    @property
    def lanes(self) -> int | None:
        return self._slots

    # what the protocol asks for

    def held(self, _on_lost: Callable[[str], None]) -> AbstractContextManager[StillHeld]:
        """Nothing more: the jobs run where the file lock of their batch is."""
        return nullcontext(lambda: True)

    def prepare(self, *, is_known: bool = False) -> None:
        """Nothing: the folder is made when the first job is submitted."""

    def dismantle(self) -> None:
        """Nothing: an empty folder harms nobody."""

    def pressure(self) -> str:
        return ""

    def submit(self, requests: Sequence[Request]) -> list[JobId | CoordinatorError]:
        return [self._submit(request) for request in requests]

    def _submit(self, request: Request) -> JobId | CoordinatorError:
        new = job_id(request.job, request.token)
        try:
            with self._usable():
                if not self._job(new).is_there():
                    self._job(new).create(Submission(request.job, self._order + 1, time()))
                self._place(new)
        except ClusterError as error:
            return error
        return new

    def find(self, job: JobSpec, token: str) -> JobId | None:
        wanted = job_id(job, token)
        with self._usable():
            return wanted if self._job(wanted).is_there() else None

    def observe(self, ids: Collection[JobId]) -> dict[JobId, Observation]:
        with self._usable():
            self._launcher.reap()
            for job in list(self._running):
                self._settle(job)
            self._start_pending()
            return {job: self._observation(job) for job in ids}

    def stop(self, ids: Collection[JobId], reason: StopReason) -> None:
        with self._usable():
            for job in self._alive(ids):
                self._job(job).ask_to_stop(reason)
                self._job(job).pass_on_stop()
                self._place(job)

    def save_logs(self, job: JobId, folder: Path, mask: Mask = NO_MASK) -> None:
        with self._usable():
            if not is_job_id(job) or not self._job(job).is_there():
                raise ClusterError(
                    f"there are no logs of job {job!r}", why="no such job on this machine"
                )
            for stream in (STDOUT, STDERR):
                source, home = self._job(job).path / stream, folder / f"{TASK}.{stream}.0"
                copy_stream(source, home, mask)
                if job in self._ended:
                    keep_as_home(source, home)
            events = dumps(list(self._job(job).events()), indent=1).encode()
            write_whole(folder / "events.json", mask.data(events))

    def read_log(self, job: JobId, stream: str, offset: int) -> bytes:
        with self._usable():
            if not is_job_id(job) or not self._job(job).is_there():
                raise ClusterError(f"there is no log of job {job!r}", why="no such job here")
            return read_from(self._job(job).path / _STREAMS[stream], offset)

    def inside(self, job: JobId) -> LocalInside:
        with self._usable():
            if not is_job_id(job) or not self._job(job).is_there():
                raise ClusterError(f"job {job!r} does not run", why="no such job on this machine")
            if not self._job(job).is_running():
                raise ClusterError(f"job {job} does not run", why="it waits, or has ended")
            return LocalInside(self._job(job).path)

    def address_of(self, job: JobId) -> str:
        return ""

    def purge(self, ids: Collection[JobId]) -> None:
        with self._usable():
            if alive := self._alive(ids):
                raise ClusterError(
                    f"{len(alive)} of {len(ids)} jobs cannot be purged",
                    why=f"not ended yet: {', '.join(alive)}",
                    hint="stop them first, or wait until they have ended",
                )
            for job in filter(is_job_id, ids):
                self._job(job).remove()
                self._forget(job)

    def close(self) -> None:
        self._launcher.reap()

    # what is known

    def _job(self, job: JobId) -> JobFolder:
        return JobFolder(self._folder, job)

    def _load(self) -> None:
        """Find the jobs of earlier coordinators, and go on with what they had asked for."""
        jobs = self._folder / JOBS
        names = os.listdir(jobs) if jobs.is_dir() else []
        for job in (JobId(name) for name in names if is_job_id(name)):
            self._place(job)
            if job in self._running:
                self._job(job).pass_on_stop()
        in_order = sorted(self._pending.items(), key=lambda entry: entry[1].order)
        self._pending = dict(in_order)

    def _place(self, job: JobId) -> None:
        """Look where a job stands, and remember it."""
        folder = self._job(job)
        try:
            running = folder.is_running()
        except FileNotFoundError:
            return self._forget(job)
        self._running.discard(job)
        if running:
            self._running.add(job)
            self._pending.pop(job, None)
        elif ending := folder.ending():
            self._end(job, Observation(Phase.ENDED, node=self._node, ending=ending))
        elif submission := self._pending.get(job) or folder.submission():
            self._pending[job] = submission
            self._order = max(self._order, submission.order)
        else:
            self._end(job, _DAMAGED)
        return None

    def _end(self, job: JobId, seen: Observation) -> None:
        self._ended[job] = seen
        self._pending.pop(job, None)

    def _forget(self, job: JobId) -> None:
        self._pending.pop(job, None)
        self._running.discard(job)
        self._ended.pop(job, None)

    def _alive(self, ids: Collection[JobId]) -> list[JobId]:
        jobs = [job for job in ids if is_job_id(job) and job not in self._ended]
        for job in jobs:
            self._place(job)
        return [job for job in jobs if job in self._pending or job in self._running]

    def _observation(self, job: JobId) -> Observation:
        if job in self._pending:
            return Observation(Phase.PENDING, detail=f"all {self._slots} slots are taken")
        if job not in self._running and job not in self._ended and is_job_id(job):
            self._place(job)  # another coordinator may have submitted it
        if job in self._running:
            seconds = self._job(job).running_seconds()
            return Observation(Phase.RUNNING, seconds, self._node)
        return self._ended.get(job, _GONE)

    # running jobs

    def _settle(self, job: JobId) -> None:
        """See whether a running job has ended."""
        self._place(job)
        if job not in self._pending:
            return
        self._vain[job] += 1  # its shim could not even record the start
        if self._vain[job] >= _VAIN_STARTS:
            raise ClusterUnavailable(
                f"job {job} cannot be started",
                why=self._job(job).last_words() or "its first process ends at once",
                hint=f"check the disk of {self._folder} and the limits on processes",
            )

    def _start_pending(self) -> None:
        """Start jobs in the order of their submission while there are free slots."""
        while self._pending and len(self._running) < self._slots:
            job = next(iter(self._pending))
            if not self._job(job).is_there():
                self._forget(job)
            elif self._launcher.start(self._job(job), self._pending[job].spec):
                del self._pending[job]
                self._running.add(job)  # if it was not started after all, the next look tells
            else:
                return  # all slots are taken, some by another coordinator's jobs

    # errors

    @contextmanager
    def _usable(self) -> Iterator[None]:
        """Know the jobs of the folder, and tell in our own words what the system refuses."""
        try:
            with self._alone:
                if not self._loaded:
                    self._load()
                    self._loaded = True
                yield
        except OSError as error:
            kind = ClusterUnavailable if error.errno in _PASSING else ClusterError
            raise kind(
                "the local executor cannot go on",
                why=str(error),
                hint=f"check the disk, and the rights to {self._folder}",
            ) from error
