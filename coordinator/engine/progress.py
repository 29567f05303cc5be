"""Where a batch stands, as one record for whoever shows it."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from coordinator.clock import Clock
from coordinator.domain.states import FINISHED_ITEMS, FailureKind, ItemState
from coordinator.domain.states import AttemptState as S
from coordinator.engine.batch import Batch
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

    @property
    def finished(self) -> int:
        return sum(self.tally.items.get(state, 0) for state in FINISHED_ITEMS)


class Progress:
    """Rates and newest failures of one run of the driver."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._began = clock, clock.monotonic()
        self._seen: deque[tuple[float, int]] = deque()
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
        rate = self._rate(now, finished)
        waiting = tally.items.get(ItemState.WAITING)
        return Snapshot(
            batch=batch.name,
            tally=tally,
            steps=tuple(
                _step(tally, name, i, worked_off.get(i, 0), out.get(i, 0))
                for i, name in enumerate(batch.step_names)
            ),
            failures=tuple(self._failures.values()),
            elapsed=now - self._began,
            rate=rate,
            eta=(tally.total - finished) / rate if rate else None,
            paused=held or (_reason(tally, batch) if paused and waiting else ""),
            draining=draining,
            trouble=trouble,
            stop_at=batch.thresholds.stop_at,
            resume_at=batch.thresholds.resume_at,
        )

    def _rate(self, now: float, finished: int) -> float:
        if not self._seen or self._seen[-1][1] != finished:
            self._seen.append((now, finished))
        while len(self._seen) > 2 and now - self._seen[0][0] > _WINDOW:
            self._seen.popleft()
        then, before = self._seen[0]
        if finished - before < _ENOUGH or now <= then:
            return 0.0
        return (finished - before) / (now - then)


def _step(tally: Tally, name: str, step: int, worked_off: int, out: int) -> StepProgress:
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


def _reason(tally: Tally, batch: Batch) -> str:
    thresholds = batch.thresholds
    return (
        f"{tally.in_flight} in flight, stop threshold {thresholds.stop_at}; "
        f"resumes at {thresholds.resume_at}"
    )
