"""The one narrow seam to whatever runs the jobs. It speaks in batches."""

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import NewType, Protocol

from coordinator.cluster.inside import Inside
from coordinator.domain.verdicts import Ending, StopReason
from coordinator.errors import CoordinatorError
from coordinator.secrecy import NO_MASK, Mask

JobId = NewType("JobId", str)
StillHeld = Callable[[], bool]  # whether the batch is certainly ours still


@dataclass(frozen=True)
class Resources:
    """What one dispatch asks for."""

    cpu: int = 1  # cores
    memory_mb: int = 1024
    gpus: int = 0


@dataclass(frozen=True)
class JobSpec:
    """One dispatch, as the cluster sees it."""

    name: str  # unique; see domain.names.JobName
    step: str
    handoff: str  # key of the handoff file in the output root
    output_root: str
    resources: Resources = field(default_factory=Resources)


@dataclass(frozen=True)
class Request:
    """A job to start, and the token by which its repetition is known."""

    job: JobSpec
    token: str = field(repr=False)
    again: bool = False  # whether it may have been sent before


class Phase(StrEnum):
    """Where a job stands on the cluster."""

    PENDING = "pending"
    RUNNING = "running"
    ENDED = "ended"  # and nothing of it runs on


@dataclass(frozen=True)
class Observation:
    """One look at one job."""

    phase: Phase
    running_seconds: float = 0.0  # by the cluster's own steady clock
    node: str = ""
    ending: Ending | None = None  # set exactly when ENDED
    detail: str = ""  # why it is pending
    hopeless: bool = False  # pending, and nothing that the cluster has could ever run it


class Cluster(Protocol):
    """Runs dispatches. Raises ClusterUnavailable when nothing may be concluded.

    The same tests run over every implementation: tests/contract/.
    """

    @property
    def lanes(self) -> int | None:
        """How many dispatches can run at a time; None = not known."""
        ...

    def held(self, on_lost: Callable[[str], None]) -> AbstractContextManager[StillHeld]:
        """Be the one driver of the batch between hosts for as long as the block runs.

        Args:
            on_lost: told why, by another thread, if that comes to an end before the block does.

        Raises:
            BatchBusy: another drives it; the message names it.
            ClusterUnavailable, CredentialsError: nothing may be concluded.
        """
        ...

    def prepare(self, *, is_known: bool = False) -> None:
        """Set up what the batch's jobs need. Repeatable.

        Args:
            is_known: jobs of the batch are out, so the cluster must know it already.

        Raises:
            UsageError: it does not, or what the batch needs cannot be set up.
            ClusterUnavailable, CredentialsError: nothing may be concluded.
        """
        ...

    def dismantle(self) -> None:
        """Remove what `prepare` set up, once no job of the batch is left. Repeatable."""
        ...

    def pressure(self) -> str:
        """Why nothing should be sent just now, in words; "" = nothing speaks against it."""
        ...

    def submit(self, requests: Sequence[Request]) -> list[JobId | CoordinatorError]:
        """Start jobs; one result each, in order. A repeated token gives the first job.

        JobRefused: never. ClusterUnavailable, CredentialsError: perhaps; it must be looked up
        before all else, and then be sent `again`.
        """
        ...

    def find(self, job: JobSpec, token: str) -> JobId | None:
        """The job that was submitted with this name and token, if the cluster has it."""
        ...

    def observe(self, ids: Collection[JobId]) -> dict[JobId, Observation]:
        """Where these jobs stand; a job that the cluster does not know is ENDED and gone."""
        ...

    def stop(self, ids: Collection[JobId], reason: StopReason) -> None:
        """Ask these jobs to end, by SIGTERM first. Returns at once; `observe` tells when."""
        ...

    def save_logs(self, job: JobId, folder: Path, mask: Mask = NO_MASK) -> None:
        """Write `<task>.stdout.0`, `<task>.stderr.0` and `events.json`, masked, into `folder`."""
        ...

    def read_log(self, job: JobId, stream: str, offset: int) -> bytes:
        """What a job wrote to `stdout` or `stderr` from byte `offset` on; b"" = nothing more yet.

        It is as it was written, secrets and all: mask it before it is shown. Raises ClusterError
        where the job or its log is not there.
        """
        ...

    def inside(self, job: JobId) -> Inside:
        """The way into a job that runs. Raises ClusterError: it does not, or cannot be entered."""
        ...

    def address_of(self, job: JobId) -> str:
        """The address of a page about the job, for a person; "" = there is none."""
        ...

    def purge(self, ids: Collection[JobId]) -> None:
        """Forget these ended jobs. Repeatable."""
        ...

    def close(self) -> None:
        """Let go of connections; jobs run on."""
        ...
