"""The one place of assembly: concrete clusters, stores, clocks and logs are named here.

What is Nomad's is imported only where a batch runs there: its HTTP client takes longer to import
than most verbs take to run.
"""

import functools
import logging
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coordinator.bootstrap.environment import public_environment, worker_environment
from coordinator.bootstrap.place import NomadPlace
from coordinator.clock import Clock, SystemClock
from coordinator.cluster import Cluster, JobId, JobSpec, Observation
from coordinator.domain.names import batch_name_problem
from coordinator.domain.reach import Reach
from coordinator.errors import StorageError, UsageError
from coordinator.pipelines import Pipeline
from coordinator.secrecy import known
from coordinator.settings import Settings

if TYPE_CHECKING:
    from coordinator.bootstrap.nomad import Parent
    from coordinator.cluster.nomad.cluster import NomadCluster
    from coordinator.cluster.nomad.credentials import JobKeys


def make_clock() -> Clock:
    return SystemClock()


def batch_folder(settings: Settings, batch: str) -> Path:
    """Where a batch's ledger and its local jobs are kept. The one door for names of batches.

    Raises:
        UsageError: the name cannot be one.
    """
    if problem := batch_name_problem(batch):
        raise UsageError(
            f"{batch!r} is no name of a batch", why=problem, hint="coordinator ls lists them"
        )
    return settings.state_dir / batch


def reach_of(settings: Settings) -> Reach:
    return Reach(hosts=settings.allow_hosts, networks=settings.allow_networks)


@dataclass(frozen=True)
class Venue:
    """Where a batch's jobs run, and what its cluster must know of it."""

    cluster: str  # local | nomad
    batch: str
    uid: str  # tells two batches of one name apart
    pipeline: Pipeline
    output_root: str
    slots: int  # lanes; 0 = not known
    nomad: NomadPlace
    job_vars: str = ""  # a file, "" = none
    use_local_creds: bool = False


def make_cluster(
    settings: Settings,
    venue: Venue,
    wake: Callable[[], None] = lambda: None,
    *,
    listen: bool = False,
) -> Cluster:
    """The cluster that runs the jobs of a batch.

    Args:
        settings: where local jobs are kept, and which token Nomad is shown.
        venue: what the batch was asked to be.
        wake: called when something may have changed, if `listen`.
        listen: whether the batch is going to be driven.

    Raises:
        UsageError: a job file or a file of variables cannot be read.
    """
    if venue.cluster == "nomad":
        return _nomad_cluster(settings, venue, wake, listen=listen)
    from coordinator.cluster.local import LocalCluster

    return LocalCluster(
        batch_folder(settings, venue.batch) / "cluster",
        slots=venue.slots,
        command=worker_command,
        environment=functools.partial(worker_environment, settings),
    )


def look_at_job(settings: Settings, venue: Venue, job: JobId) -> Observation:
    """Where a job on Nomad stands, asked anew.

    Raises:
        ClusterError, CredentialsError: it cannot be told.
    """
    cluster = _nomad_cluster(settings, venue, lambda: None, listen=False)
    try:
        return cluster.look(job)
    finally:
        cluster.close()


def _nomad_cluster(
    settings: Settings, venue: Venue, wake: Callable[[], None], *, listen: bool
) -> "NomadCluster":
    from coordinator.bootstrap.nomad import nomad_api
    from coordinator.cluster.nomad.cluster import NomadCluster
    from coordinator.cluster.nomad.lock import BatchLock

    region = {"region": venue.nomad.region} if venue.nomad.region else {}
    where = {"namespace": venue.nomad.namespace, **region}
    kept = batch_folder(settings, venue.batch) / "nomad.lock"
    return NomadCluster(
        nomad_api(settings, venue.nomad),
        parents_of(venue),
        lanes=venue.slots or None,
        max_blocked=settings.max_blocked,
        wake=wake,
        listen=listen,
        lock=BatchLock(nomad_api(settings, venue.nomad), venue.batch, where, kept),
    )


def parents_of(venue: Venue) -> "list[Parent]":
    """The parameterized jobs of a batch on Nomad. Raises BadInput for files that cannot be read."""
    from coordinator.bootstrap.nomad import nomad_parents

    return nomad_parents(
        venue.pipeline,
        venue.batch,
        venue.uid,
        venue.output_root,
        place=venue.nomad,
        environment=public_environment(),
        job_vars=Path(venue.job_vars) if venue.job_vars else None,
        credentials=venue.use_local_creds,
    )


def make_key_shelf(settings: Settings, venue: Venue) -> "JobKeys | None":
    """Where the batch's jobs find the caller's AWS keys; None = they are given none."""
    if venue.cluster != "nomad" or not venue.use_local_creds:
        return None
    from coordinator.bootstrap.nomad import nomad_api
    from coordinator.cluster.nomad.credentials import JobKeys

    return JobKeys(nomad_api(settings, venue.nomad), parents_of(venue))


def worker_command(job: JobSpec) -> list[str]:
    return [sys.executable, "-m", "coordinator.workers", job.output_root, job.handoff]


class _Log(logging.FileHandler):
    """A log that stops nothing: what a full disk does not take is not said."""

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(OSError):
            super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:
        """Not a traceback for each line."""


def _masked(_logger: Any, _method: str, line: Any) -> str:
    return known.mask.text(line)


def set_up_log(path: Path) -> None:
    """The coordinator's own log: one JSON object a line, appended to `path`.

    Raises:
        StorageError: its folder cannot be made.
    """
    import structlog

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"the log tree {path.parent} cannot be made",
            why=error.strerror or str(error),
            hint="free the disk, or check the rights to --log_dir; then --resume",
        ) from error
    handler = _Log(path, encoding="utf-8", delay=True)
    logger = logging.getLogger("coordinator")
    for earlier in logger.handlers:
        earlier.close()
    logger.handlers[:], logger.propagate = [handler], False
    logger.setLevel(logging.INFO)
    structlog.configure(
        processors=[
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", key="time"),
            structlog.processors.JSONRenderer(ensure_ascii=False),
            _masked,
        ],
        logger_factory=lambda *_: logging.getLogger("coordinator"),
    )
