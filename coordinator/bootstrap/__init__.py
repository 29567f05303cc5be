"""The one place of assembly: concrete clusters, stores, clocks and logs are named here."""

import logging
import sys
from pathlib import Path

import structlog

from coordinator.bootstrap.environment import worker_environment
from coordinator.clock import Clock, SystemClock
from coordinator.cluster import Cluster, JobSpec
from coordinator.cluster.local import LocalCluster
from coordinator.domain.names import batch_name_problem
from coordinator.errors import UsageError
from coordinator.settings import Settings


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


def check_cluster(kind: str) -> None:
    """Raise UsageError unless jobs can be sent to this kind of cluster."""
    if kind != "local":
        raise UsageError(
            f"cluster {kind!r} is not built in yet", hint="--cluster local runs on this machine"
        )


def make_cluster(settings: Settings, kind: str, batch: str, slots: int) -> Cluster:
    """The cluster that runs the jobs of `batch`.

    Raises:
        UsageError: no such cluster.
    """
    check_cluster(kind)
    return LocalCluster(
        batch_folder(settings, batch) / "cluster",
        slots=slots,
        command=worker_command,
        environment=worker_environment(settings),
    )


def worker_command(job: JobSpec) -> list[str]:
    return [sys.executable, "-m", "coordinator.workers", job.output_root, job.handoff]


def set_up_log(path: Path) -> None:
    """The coordinator's own log: one JSON object a line, appended to `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(path, encoding="utf-8", delay=True)
    logger = logging.getLogger("coordinator")
    logger.handlers[:], logger.propagate = [handler], False
    logger.setLevel(logging.INFO)
    structlog.configure(
        processors=[
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", key="time"),
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        logger_factory=lambda *_: logging.getLogger("coordinator"),
    )
