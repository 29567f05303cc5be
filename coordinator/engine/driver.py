"""The tick, and the loop that only repeats it."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum

import structlog

from coordinator.clock import Clock
from coordinator.cluster import Cluster, JobId
from coordinator.debugging.standstill import OF_DISPATCHES, is_attached, stood_still
from coordinator.domain.states import OUT, ItemState
from coordinator.domain.states import AttemptState as S
from coordinator.domain.verdicts import StopReason
from coordinator.engine.adopting import Adopter
from coordinator.engine.batch import Batch
from coordinator.engine.collect import Collector
from coordinator.engine.control import BatchControl
from coordinator.engine.credentials import CredentialsPause, Keys, NoKeys
from coordinator.engine.dispatching import BURST, Dispatcher
from coordinator.engine.progress import Progress, Snapshot
from coordinator.engine.purging import Purger, Save
from coordinator.engine.reconcile import Changes, Ended, reconcile
from coordinator.errors import ClusterUnavailable, CredentialsError, StorageUnavailable
from coordinator.ledger import AttemptEnd, Dispatch, Ledger
from coordinator.storage import Storage


class Wish(Enum):
    """How far the driver should go."""

    FINISH = "finish"  # until every item is finished
    DRAIN = "drain"  # start nothing more, wait for what runs
    LEAVE = "leave"  # return now; jobs run on


@dataclass(frozen=True)
class Recovery:
    """What a start found of an earlier run."""

    adopted: int = 0  # dispatches that the cluster was given
    sent_again: int = 0  # dispatches that it had never heard of

    def __str__(self) -> str:
        return f"{self.adopted} dispatches adopted, {self.sent_again} sent again"


@dataclass(frozen=True)
class Pace:
    """Seconds between ticks: short while things happen, longer while nothing does."""

    shortest: float = 0.02
    longest: float = 0.25
    longest_outage: float = 30.0
    credentials: float = 1.0  # while it waits for better ones: those are looked for at each
    between_peeks: float = 3.0
    between_looks: float = 2.0  # at the cluster, while there is more to send than goes at once
    patience: float = 1.0  # for logs and outcomes to arrive
    tidied: int = 16  # dispatches that are brought home at each of these looks
    most_peeked: int = 256  # items; beyond that, looking for each would cost too much


class Driver:
    """Drives one batch to its end. Whoever makes it holds the batch's driver lock."""

    def __init__(
        self,
        batch: Batch,
        ledger: Ledger,
        cluster: Cluster,
        storage: Storage,
        clock: Clock,
        pace: Pace | None = None,
        save: Save = lambda: True,
        keys: Keys | None = None,
    ) -> None:
        self.batch, self._ledger, self._cluster, self._clock = batch, ledger, cluster, clock
        self._collector = Collector(batch, ledger, cluster, storage, clock)
        self._credentials = CredentialsPause(
            keys or NoKeys(), ledger, clock, probe=lambda: storage.size(batch.keys.record)
        )
        self._collector.excuses = self._credentials.excuses
        self._dispatcher = Dispatcher(batch, ledger, cluster, storage, clock, self._collector)
        self._adopter = Adopter(batch, ledger, storage, clock, self._dispatcher.find)
        self._purger = Purger(ledger, cluster, save, keep=batch.keep_jobs)
        self._pace = pace or Pace()
        self._progress = Progress(clock)
        self._control, self._asked_to_pause = BatchControl(batch, ledger), ""
        self.halted = ""  # why it ends before its time, where no signal ended it
        # Running dispatch -> its step, and how many of its items are known to be finished.
        self._finished_of: dict[int, tuple[int, int]] = {}
        self._stopping: set[int] = set()  # dispatches that the cluster was asked to stop
        self._peek_at = clock.monotonic()
        self._wish, self._trouble = Wish.FINISH, ""
        self._look_at = clock.monotonic()
        self._is_filling = False  # whether there was more to send than went in one tick
        self._hopeless = ""  # why something that is out can never be placed
        self._log = structlog.get_logger().bind(batch=batch.name)

    def wish(self, wish: Wish) -> None:
        """Change how far to go; safe to call from a signal handler. Nothing calls off a LEAVE."""
        if self._wish is not Wish.LEAVE:
            self._wish = wish
        self._clock.wake()

    def leave(self, why: str) -> None:
        """Return before the end, and say why; safe to call from another thread."""
        self.halted = why
        self.wish(Wish.LEAVE)

    def run(self, on_tick: Callable[[Snapshot], None]) -> Wish:
        """Tick until the wish is fulfilled; the wish that ended it."""
        wait = self._pace.shortest
        try:
            while True:
                moved = self._tick_or_trouble()
                snapshot = self.snapshot()
                on_tick(snapshot)
                if self._is_over(snapshot):
                    return self._wish
                wait = self._next_wait(wait, moved)
                self._clock.sleep(wait)
        finally:
            self._collector.let_go()
            self._dispatcher.let_go()

    def recover(self) -> Recovery:
        """Adopt or send again what an earlier run left between claim and confirm."""
        out = self._ledger.out()
        claimed = [d for d in out if d.state is S.CLAIMED]
        self._collector.note_out(out)
        known = self._dispatcher.settle(claimed)
        found = Recovery(len(out) - len(claimed) + known, len(claimed) - known)
        self._ledger.note("started", str(found))
        return found

    def tick(self) -> int:
        """One round of observing, collecting and dispatching; how much it changed."""
        if self._is_filling and self._clock.monotonic() < self._look_at:
            return self._send(self._ledger.out_count())
        self._look_at = self._clock.monotonic() + self._pace.between_looks
        out = self._ledger.out()
        self._obey(out)
        if self._adopter.adopt(idle=not out):
            out = self._ledger.out()
        claimed = [d for d in out if d.state is S.CLAIMED and not self._dispatcher.is_on_its_way(d)]
        self._dispatcher.settle(claimed)
        tracked = [d for d in out if self._is_tracked(d)]
        changes = self._observe(tracked)
        self._hopeless = changes.hopeless
        self._note_running(changes)
        self._stop_slow(changes)
        self._peek([d for d in tracked if d.state is S.RUNNING])
        home = self._collect(changes.ended[: self._pace.tidied if self._is_filling else None])
        self._purger.purge()
        out = [dispatch for dispatch in out if dispatch.id not in home]
        if changes.ended:
            self._obey(out, ended=True)
        sent = self._send(len(out))
        if not self._is_filling:
            self._collector.tell_out()
        return len(claimed) + len(changes.running) + len(changes.ended) + sent

    def _note_running(self, changes: Changes) -> None:
        if not changes.running:
            return
        with self._ledger.together():
            self._ledger.move_all([(d, None) for d in changes.running], S.SUBMITTED, S.RUNNING)
            self._ledger.set_nodes({d.id: changes.nodes[d.id] for d in changes.running})
        self._collector.note_running(changes.running)

    def _send(self, out: int) -> int:
        """Send what is ready; where there is more than goes at once, lanes are filled first."""
        self._is_filling = False
        if not self._may_send():
            self._dispatcher.finish_sending()
            return 0
        sent = self._dispatcher.send_ready(out)
        self._is_filling = sent >= BURST
        return sent

    def _may_send(self) -> bool:
        """What can never be placed is not sent more of."""
        held = self._hopeless or self._asked_to_pause or self._credentials.why
        return self._wish is Wish.FINISH and not held and not self._adopter.is_needed

    def _obey(self, out: list[Dispatch], *, ended: bool = False) -> None:
        """Do what people ask; stop where more of the same would only fail."""
        orders = self._control.orders(out, ended=ended)
        if orders.batch is not self.batch:
            self.batch = orders.batch
            self._dispatcher.retune(orders.batch)
            self._collector.same_failure.limit = orders.batch.max_same_failure
        self._asked_to_pause = orders.held
        self._halt(orders.drain or self._collector.same_failure.reason or self._dead_canary())
        new = [d for d in orders.stop if d.job_id and d.id not in self._stopping]
        self._stop(new, StopReason.ASKED)

    def _dead_canary(self) -> str:
        """Why nothing more may be begun, or "": while much is unknown yet, nothing is judged."""
        return "" if self._adopter.is_needed else self._dispatcher.update_gate().failed

    def _halt(self, why: str) -> None:
        """Start nothing more, where there is a reason not to."""
        if why and self._wish is Wish.FINISH:
            self.halted = why
            self.wish(Wish.DRAIN)
            self._ledger.note("halted", why)
            self._log.warning("halted", why=why)

    def purge(self) -> None:
        """Make the cluster forget what is home, if the ledger that says so is safe.

        Raises:
            ClusterUnavailable: it is tried again by whoever drives or purges the batch next.
        """
        self._purger.purge()

    def snapshot(self) -> Snapshot:
        """Where the batch stands."""
        self._dispatcher.update_pause()
        snapshot = self._progress.snapshot(
            self._ledger.tally(),
            self.batch,
            worked_off=self._worked_off(),
            out=self._ledger.out_by_step(),
            paused=self._dispatcher.paused,
            held=self._asked_to_pause or self._hopeless or self._dispatcher.why_held,
            draining=self._wish is not Wish.FINISH,
            trouble=self._trouble,
        )
        return replace(
            snapshot,
            halted=self.halted,
            stuck=self._asked_to_pause or self._hopeless,
            credentials=self._credentials.why,
        )

    def _worked_off(self) -> Counter[int]:
        """Step -> items that are done in packs that still run."""
        counts: Counter[int] = Counter()
        for step, finished in self._finished_of.values():
            counts[step] += finished
        return counts

    def _tick_or_trouble(self) -> int:
        """A tick; an outage moves nothing and is said."""
        try:
            if self._credentials.why:  # no tick may come for long: people are heard all the same
                self._obey(self._ledger.out())
            if not self._credentials.may_go_on():
                return 0
            moved = self.tick()
        except CredentialsError as error:
            self._credentials.begin(error)
            self._trouble = self._credentials.why
            return 0
        except (ClusterUnavailable, StorageUnavailable) as error:
            if not self._trouble:
                self._log.warning("outage", error=str(error))
            self._trouble = str(error)
            return 0
        self._credentials.end()
        if self._trouble and not self._credentials.why:
            self._log.info("outage over")
        self._trouble = self._credentials.why
        return moved

    def _next_wait(self, wait: float, moved: int) -> float:
        if self._credentials.why:
            return self._pace.credentials
        if self._trouble:
            return min(self._pace.longest_outage, max(1.0, wait * 2))
        if self._is_filling:
            return 0.0
        longer = max(self._pace.shortest, wait * 1.5)  # no wait at all came before, after filling
        return self._pace.shortest if moved else min(self._pace.longest, longer)

    def _is_over(self, snapshot: Snapshot) -> bool:
        if self._wish is Wish.LEAVE:
            return True
        if self._wish is Wish.DRAIN:
            return not self._ledger.out()
        items = snapshot.tally.items
        if self._adopter.is_needed:  # some may have been resubmitted
            return False
        return not items.get(ItemState.WAITING) and not items.get(ItemState.IN_FLIGHT)

    def _is_tracked(self, dispatch: Dispatch) -> bool:
        """Whether to look where it stands; where it has ended, an older picture could mislead."""
        is_out = dispatch.state in OUT - {S.CLAIMED}
        return is_out and not self._collector.is_on_its_way(dispatch)

    def _observe(self, tracked: list[Dispatch]) -> Changes:
        seen = self._cluster.observe([JobId(d.job_id) for d in tracked if d.job_id])
        limits = {d.id: self._limit(d) for d in tracked}
        return reconcile(tracked, seen, limits)

    def _limit(self, dispatch: Dispatch) -> float:
        """Seconds that a dispatch may have run by now: one item's limit more than it finished."""
        _, finished = self._finished_of.get(dispatch.id, (dispatch.step, 0))
        return self.batch.step(dispatch).time_limit * (finished + 1)

    def _peek(self, running: list[Dispatch]) -> None:
        """Now and then, see how far the running packs are: only for whoever looks on."""
        items = sum(dispatch.size for dispatch in running)
        if self._clock.monotonic() < self._peek_at or items > self._pace.most_peeked:
            return
        self._peek_at = self._clock.monotonic() + self._pace.between_peeks
        for dispatch in running:
            if dispatch.size > 1:
                self._look_into(dispatch)

    def _look_into(self, dispatch: Dispatch) -> None:
        finished = self._collector.finished_items(dispatch)
        self._finished_of[dispatch.id] = (dispatch.step, finished)

    def _stop_slow(self, changes: Changes) -> None:
        for dispatch, seconds in changes.slow:
            if dispatch.id in self._stopping:
                continue
            self._look_into(dispatch)
            if self._without_debuggers(dispatch, seconds) > self._limit(dispatch):
                self._log.warning("time limit passed", dispatch=dispatch.name, seconds=seconds)
                self._stop([dispatch], StopReason.TIME_LIMIT)

    def _without_debuggers(self, dispatch: Dispatch, seconds: float) -> float:
        """Of the seconds that it has run, those that count; 0 while one is attached."""
        folder = self._ledger.path.parent / OF_DISPATCHES
        if is_attached(folder, dispatch.name):
            return 0.0
        return seconds - stood_still(folder, dispatch.name)

    def _stop(self, dispatches: Sequence[Dispatch], reason: StopReason) -> None:
        """The reason is kept before the cluster hears of it; each run makes sure that it does."""
        if not dispatches:
            return
        with self._ledger.together():
            for dispatch in dispatches:
                if not dispatch.stop_reason:
                    self._ledger.set_stop_reason(dispatch, reason)
        self._cluster.stop([JobId(dispatch.job_id or "") for dispatch in dispatches], reason)
        self._stopping.update(dispatch.id for dispatch in dispatches)

    def _collect(self, ended: Sequence[Ended]) -> set[int]:
        """Bring these home; those of them that are."""
        patience = 0.0 if self._is_filling else self._pace.patience
        collected = self._collector.collect(ended, patience)
        for home in collected.homes:
            self._finished_of.pop(home.dispatch.id, None)
            self._stopping.discard(home.dispatch.id)
            self._credentials.ended(home.dispatch, home.ending)
            self._tell(home.dispatch, home.ends)
        self._purger.add(home.dispatch for home in collected.homes)
        if collected.trouble:
            raise collected.trouble
        return {home.dispatch.id for home in collected.homes}

    def _tell(self, dispatch: Dispatch, ends: list[AttemptEnd]) -> None:
        for end in ends:
            if end.kind is not None:
                self._progress.failed(end.kind, end.attempt.item.id, end.reason)
                self._log.warning(
                    "attempt failed",
                    dispatch=dispatch.name,
                    item=end.attempt.item.id,
                    attempt=end.attempt.number,
                    kind=end.kind,
                    reason=end.reason,
                )
        self._log.info("dispatch home", dispatch=dispatch.name, items=len(ends))
