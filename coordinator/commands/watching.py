"""`status --watch`: where a batch stands, again and again, from its ledger alone."""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace

from coordinator.bootstrap import batch_folder
from coordinator.clock import Clock
from coordinator.commands.record import BatchRecord, record_of
from coordinator.commands.status import open_ledger
from coordinator.domain.states import FINISHED_ITEMS, FailureKind, ItemState
from coordinator.engine import Snapshot, Trouble, step_progress, threshold_reason
from coordinator.ledger import Control, ControlDesk, Event, Ledger, Tally, holder
from coordinator.settings import Settings

RECENT, LONGER = 600.0, 3600.0  # seconds over which rates are taken
_ENOUGH = 5  # items before a rate is worth anything
_OPEN = frozenset(ItemState) - FINISHED_ITEMS
_TOLD = ("credentials_paused", "credentials_renewed", "halted", "started")


@dataclass(frozen=True)
class Seen:
    """One look at a batch; the snapshot is a driver's own, as far as the ledger knows it."""

    snapshot: Snapshot
    driven_by: str  # "" = nobody
    is_finished: bool


class Watcher:
    """Looks at one batch. Nothing is written; each look costs milliseconds, however many items."""

    def __init__(self, settings: Settings, batch: str, clock: Clock) -> None:
        self._settings, self._batch, self._clock = settings, batch, clock
        self._seen_event, self._trouble, self._halted = 0, "", ""
        self._failures: dict[str, Trouble] = {}

    def look(self) -> Seen:
        """Raises BatchMissing, LedgerError."""
        with closing(open_ledger(self._settings, self._batch, self._clock)) as ledger:
            return self._look(ledger, record_of(ledger))

    def _look(self, ledger: Ledger, record: BatchRecord) -> Seen:
        tally, now = ledger.tally(), self._clock.now()
        driver = holder(batch_folder(self._settings, self._batch)) or ""
        asked = ControlDesk(ledger).read()
        self._heed(ledger)
        is_finished = tally.items.keys() <= FINISHED_ITEMS
        recent, out = rates(ledger, now, RECENT), ledger.out_by_step()
        steps = (
            step_progress(tally, name, index, out=out.get(index, 0))
            for index, name in enumerate(record.steps)
        )
        expected = None if is_finished or not driver else etas(ledger, tally, record, now)
        snapshot = Snapshot(
            batch=record.batch,
            tally=tally,
            steps=tuple(replace(s, rate=recent.get(index, 0.0)) for index, s in enumerate(steps)),
            failures=self._failures_in(ledger, tally),
            elapsed=(ledger.last_event_at() if is_finished else now) - record.created_at,
            rate=recent.get(len(record.steps) - 1, 0.0),
            eta=expected[0] if expected else None,
            etas=expected and (min(expected), max(expected)),
            paused="" if is_finished else pause_of(ledger, record, tally, asked, driver),
            draining=bool(driver) and bool(asked.stop or self._halted),
            trouble=self._trouble if driver else "",
            stop_at=record.stop_threshold,
            resume_at=record.resume_threshold,
            halted=self._halted,
            skipped=len(record.skipped),
        )
        return Seen(snapshot, driver, is_finished)

    def _heed(self, ledger: Ledger) -> None:
        """What was told since the last look."""
        for event in ledger.events_after(self._seen_event, *_TOLD):
            self._take(event)

    def _take(self, event: Event) -> None:
        self._seen_event = event.id
        match event.action:
            case "credentials_paused":
                self._trouble = event.why or "credentials are refused"
            case "credentials_renewed":
                self._trouble = ""
            case "halted":
                self._halted = event.why
            case "started":
                self._trouble = self._halted = ""

    def _failures_in(self, ledger: Ledger, tally: Tally) -> tuple[Trouble, ...]:
        """One of each kind, the newest last; read only where there are more than before."""
        for kind, count in tally.failed_kinds.items():
            before = self._failures.get(kind)
            if before is None or before.count != count:
                item, reason = ledger.failed_example(kind)
                self._failures.pop(kind, None)
                self._failures[kind] = Trouble(FailureKind(kind), item, reason, count)
        gone = self._failures.keys() - tally.failed_kinds.keys()  # they run again
        for kind in gone:
            del self._failures[kind]
        return tuple(self._failures.values())


def rates(ledger: Ledger, now: float, seconds: float) -> dict[int, float]:
    """Step -> items a second, of dispatches that ended in the last so many seconds.

    Of steps that enough items did; time before the first of these dispatches was claimed does not
    count, for nobody may have driven the batch then.
    """
    return {
        step: count / max(now - max(now - seconds, since), 1.0)
        for step, (count, since) in ledger.pace(now - seconds).items()
        if count >= _ENOUGH
    }


def etas(
    ledger: Ledger, tally: Tally, record: BatchRecord, now: float
) -> tuple[float, float] | None:
    """Seconds left by the rate of the last minutes, and by that of the last hour."""
    steps = len(record.steps)
    soon = left(tally, rates(ledger, now, RECENT), steps)
    late = left(tally, rates(ledger, now, LONGER), steps)
    return (soon, late) if soon is not None and late is not None else None


def left(tally: Tally, rate: Mapping[int, float], steps: int) -> float | None:
    """Seconds that the slowest step still takes; None = not known."""
    longest = 0.0
    for step in range(steps):
        ahead = sum(n for (at, state), n in tally.standing.items() if at <= step and state in _OPEN)
        if ahead and step not in rate:
            return None
        longest = max(longest, ahead / rate[step] if ahead else 0.0)
    return longest


def pause_of(ledger: Ledger, record: BatchRecord, tally: Tally, asked: Control, driver: str) -> str:
    """Why nothing new is started, or ""; its thresholds hold back only whoever drives it."""
    if asked.paused:
        return f"paused {asked.paused}: coordinator resume {record.batch} goes on"
    if driver and ledger.was_paused() and tally.items.get(ItemState.WAITING):
        return threshold_reason(tally, record.to_batch().thresholds)
    return ""
