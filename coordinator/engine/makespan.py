"""When the last of some packs ends, and how much of the lanes' time is idle until then."""

import heapq
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Run:
    """One dispatch as a lane sees it, in seconds."""

    load: float  # until its model is ready
    work: float


@dataclass(frozen=True)
class Makespan:
    """What came of runs on lanes; seconds."""

    lanes: int
    seconds: float  # from the first start to the last end
    load: float  # of all lanes together, as the rest
    work: float

    @property
    def idle_share(self) -> float:
        """Of the lanes' time, what nothing ran in: 1 - busy / (lanes x seconds)."""
        whole = self.lanes * self.seconds
        return max(0.0, 1 - (self.load + self.work) / whole) if whole else 0.0

    @property
    def load_share(self) -> float:
        """Of the time in which something ran, what went into loading."""
        busy = self.load + self.work
        return self.load / busy if busy else 0.0


def makespan(runs: Iterable[Run], lanes: int) -> Makespan:
    """Runs that are pulled in their order: each starts on the lane that is free first.

    This is list scheduling (Graham, 1966): what it takes is at most the work of a lane's fair share
    and the longest run.
    """
    ends = [0.0] * lanes
    load = work = 0.0
    for run in runs:
        heapq.heapreplace(ends, ends[0] + run.load + run.work)
        load, work = load + run.load, work + run.work
    return Makespan(lanes, max(ends), load, work)
