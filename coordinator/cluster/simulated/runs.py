"""Jobs of the simulated cluster, and what runs for them."""

from collections.abc import Callable, Generator
from dataclasses import dataclass, field

from coordinator.cluster.base import JobId, JobSpec
from coordinator.domain.verdicts import Ending, StopReason


class Terminated(Exception):
    """Thrown into a program: SIGTERM. To catch it and go on is to be deaf to it."""


class Signalled(Exception):
    """Raised by a program that a signal ends."""

    def __init__(self, number: int, *, oom_killed: bool = False) -> None:
        super().__init__(f"signal {number}")
        self.number, self.oom_killed = number, oom_killed


Steps = Generator[float, None, int]
# What a job does: it yields the seconds until it goes on, and returns its exit code.
Program = Callable[["Run"], Steps]


@dataclass(eq=False)
class Run:
    """One placement of a job on a node."""

    job: "SimulatedJob"
    number: int  # of this job's placements
    node: str
    started: float  # on the cluster's clock
    clock: Callable[[], float]  # the moment, while it runs
    steps: Steps | None = None
    stdout: bytearray = field(default_factory=bytearray)
    stderr: bytearray = field(default_factory=bytearray)
    is_alive: bool = True  # whether its process is there
    is_over: bool = False  # whether the cluster says that it has ended
    unknown_since: float | None = None  # its node is missed, and it was not given up yet
    is_lost: bool = False  # whether it was given up, for its node was missed
    turn: int = 0  # what was planned for an earlier one is void
    stop: StopReason = StopReason.NONE
    ending: Ending | None = None

    def say(self, line: str) -> None:
        self.stdout += f"{line}\n".encode()


@dataclass(eq=False)
class SimulatedJob:
    """One dispatch, as the cluster knows it."""

    id: JobId
    spec: JobSpec
    token: str = field(repr=False)
    made: float
    runs: list[Run] = field(default_factory=list)
    events: list[tuple[float, str, str]] = field(default_factory=list)
    is_asked_to_stop: bool = False
    ending: Ending | None = None
    has_logs: bool = True

    @property
    def is_pending(self) -> bool:
        return not self.runs and self.ending is None
