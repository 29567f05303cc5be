"""Where a batch stands, as one record for whoever shows it."""

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace

from coordinator.clock import Clock
from coordinator.domain.states import FINISHED_ITEMS, FailureKind, ItemState
from coordinator.domain.states import AttemptState as S
from coordinator.engine.batch import Batch
from coordinator.engine.throttle import Thresholds
from coordinator.ledger import Tally

_WINDOW = 600.0  # seconds that the rate is taken over
_ENOUGH = 5  # finished items before an ETA is worth anything


@dataclass(frozen=True)
class StepProgress:
    """Items at one step."""

    name: str
    done: int
    worked_off: int  # done too, in packs that still run
    failed: int
    running: int  # with the cluster
    ready: int
    total: int
    out: int = 0  # dispatches that are with the cluster
    rate: float = 0.0  # items done per second; 0 = not known yet


@dataclass(frozen=True)
class Trouble:
    """The newest failure of a kind."""

    kind: FailureKind
    item: str
    reason: str
    count: int


@dataclass(frozen=True)
class Snapshot:
    """One look at the batch.

    Attributes:
        rate: items finished per second in this run; 0 = not known yet.
        eta: seconds until all are finished; None = no estimate yet.
        etas: the same by the rate of the last minutes and by that of a longer time, the shorter
            first; None = no estimate yet.
        paused: why no new item is started, or "".
    """

    batch: str
    tally: Tally
    steps: tuple[StepProgress, ...]
    failures: tuple[Trouble, ...]
    elapsed: float
    rate: float
    eta: float | None
    paused: str
    draining: bool
    trouble: str
    stop_at: int
    resume_at: int
    halted: str = ""  # why it stops before its end
    etas: tuple[float, float] | None = None
    skipped: int = 0  # items that were left out when it was submitted
    stuck: str = ""  # why it waits for somebody: it was paused, or what is out cannot be placed
    credentials: str = ""  # what is wrong with them, where it waits for better ones

    @property
    def finished(self) -> int:
        return sum(self.tally.items.get(state, 0) for state in FINISHED_ITEMS)


class Meter:
    """Counts per second over the last `seconds` (inf = all); 0 until there is enough to tell."""

    def __init__(self, seconds: float) -> None:
        self._window = seconds
        self._seen: deque[tuple[float, int]] = deque()

    def rate(self, now: float, count: int) -> float:
        if not self._seen or (self._window < math.inf and self._seen[-1][1] != count):
            self._seen.append((now, count))
        while len(self._seen) > 2 and now - self._seen[0][0] > self._window:
            self._seen.popleft()
        then, before = self._seen[0]
        if count - before < _ENOUGH or now <= then:
            return 0.0
        return (count - before) / (now - then)


class Progress:
    """Rates and newest failures of one run of the driver."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._began = clock, clock.monotonic()
        self._recent, self._of_run = Meter(_WINDOW), Meter(math.inf)
        self._of_step: dict[str, Meter] = {}
        self._failures: dict[FailureKind, Trouble] = {}

    def failed(self, kind: FailureKind, item: str, reason: str) -> None:
        before = self._failures.get(kind)
        self._failures[kind] = Trouble(kind, item, reason, before.count + 1 if before else 1)

    def snapshot(
        self,
        tally: Tally,
        batch: Batch,
        *,
        worked_off: Mapping[int, int],
        out: Mapping[int, int],
        paused: bool,
        held: str,
        draining: bool,
        trouble: str,
    ) -> Snapshot:
        """One look.

        Args:
            tally: the counts.
            batch: the batch.
            worked_off: step -> items done in packs that still run.
            out: step -> dispatches that are with the cluster.
            paused: whether the thresholds hold new items back.
            held: what else holds dispatches back, in words; "" = nothing.
            draining: whether nothing is started any more.
            trouble: what does not answer; "" = all do.
        """
        now = self._clock.monotonic()
        finished = sum(tally.items.get(state, 0) for state in FINISHED_ITEMS)
        rate, slow = self._recent.rate(now, finished), self._of_run.rate(now, finished)
        left, at = tally.total - finished, batch.thresholds
        waiting = tally.items.get(ItemState.WAITING)
        steps = (
            step_progress(tally, name, i, worked_off.get(i, 0), out.get(i, 0))
            for i, name in enumerate(batch.step_names)
        )
        return Snapshot(
            batch=batch.name,
            tally=tally,
            steps=tuple(replace(step, rate=self._rate_of(step, now)) for step in steps),
            failures=tuple(self._failures.values()),
            elapsed=now - self._began,
            rate=rate,
            eta=left / rate if rate else None,
            etas=_ordered(left / rate, left / slow) if rate and slow else None,
            paused=held or (threshold_reason(tally, at) if paused and waiting else ""),
            draining=draining,
            trouble=trouble,
            stop_at=at.stop_at,
            resume_at=at.resume_at,
        )

    def _rate_of(self, step: StepProgress, now: float) -> float:
        meter = self._of_step.setdefault(step.name, Meter(_WINDOW))
        return meter.rate(now, step.done + step.worked_off)


def _ordered(a: float, b: float) -> tuple[float, float]:
    return min(a, b), max(a, b)


def step_progress(
    tally: Tally, name: str, step: int, worked_off: int = 0, out: int = 0
) -> StepProgress:
    """How far the items are with a step, as the counts have it."""
    return StepProgress(
        name=name,
        done=tally.past(step),
        worked_off=worked_off,
        failed=tally.failed_at.get(step, 0),
        running=tally.of_step(step, S.CLAIMED, S.SUBMITTED, S.RUNNING),
        ready=tally.of_step(step, S.READY),
        total=tally.total,
        out=out,
    )


def threshold_reason(tally: Tally, thresholds: Thresholds) -> str:
    """Why the thresholds hold new items back, in words."""
    return (
        f"{tally.in_flight} in flight, stop threshold {thresholds.stop_at}; "
        f"resumes at {thresholds.resume_at}"
    )
