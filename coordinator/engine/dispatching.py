"""Claim, submit, confirm: durable here before the cluster hears of it, looked up before a retry."""

import math
from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import islice, repeat

import structlog

from coordinator.clock import Clock
from coordinator.cluster import Cluster, JobId, JobSpec, Request
from coordinator.domain.states import AttemptState as S
from coordinator.domain.states import FailureKind
from coordinator.domain.verdicts import Verdict
from coordinator.engine.batch import Batch
from coordinator.engine.canary import Gate, gate_of
from coordinator.engine.collect import Collector
from coordinator.engine.handoffs import handoff_of
from coordinator.engine.packs import Left, Rule, cut, most_out
from coordinator.engine.throttle import is_paused
from coordinator.errors import CoordinatorError, JobRefused
from coordinator.ledger import Attempt, Dispatch, Ledger, Tally
from coordinator.parallel import Lanes
from coordinator.storage import Storage

BURST = 128  # dispatches that are claimed, sent and confirmed together
_ON_THEIR_WAY = 2  # bursts: while one waits for its last answers, the other keeps the lanes busy
_WRITES, _BURSTS = Lanes(16), Lanes(_ON_THEIR_WAY)


@dataclass(frozen=True)
class _Burst:
    """Claimed dispatches that go to the cluster together."""

    dispatches: Sequence[Dispatch]
    handoffs: Sequence[tuple[str, bytes]]  # key and content
    requests: Sequence[Request]

    @cached_property
    def ids(self) -> set[int]:
        return {dispatch.id for dispatch in self.dispatches}


class Dispatcher:
    """Sends ready attempts of one batch to the cluster, within the thresholds."""

    def __init__(
        self,
        batch: Batch,
        ledger: Ledger,
        cluster: Cluster,
        storage: Storage,
        clock: Clock,
        collector: Collector,
    ) -> None:
        self._batch, self._ledger, self._cluster = batch, ledger, cluster
        self._storage, self._clock, self._collector = storage, clock, collector
        self._next_at = clock.monotonic()
        self._log = structlog.get_logger().bind(batch=batch.name)
        self.paused = ledger.was_paused()
        self._sending: deque[tuple[_Burst, Future[list[JobId | CoordinatorError]]]] = deque()
        self.held = ""  # why the cluster should not be sent anything now
        self._gate = Gate()

    def retune(self, batch: Batch) -> None:
        """Go on with other thresholds and waits."""
        self._batch = batch

    @property
    def why_held(self) -> str:
        """Why no more is sent now, or not of all items; "" = all that may go goes."""
        return self.held or self._gate.held

    def settle(self, claimed: Sequence[Dispatch]) -> int:
        """Finish what a crash or an outage left claimed; how many the cluster had already."""
        known: list[tuple[Dispatch, JobId]] = []
        unknown = []
        for dispatch in claimed:
            job_id = self.find(dispatch)
            if job_id is None:
                unknown.append(dispatch)
            else:
                known.append((dispatch, job_id))
        self._confirm(known)
        packs = [self._ledger.attempts_of(dispatch) for dispatch in unknown]
        burst = self._burst(unknown, packs, again=True)
        self._confirm_burst(burst, self._deliver(burst))
        return len(known)

    def find(self, dispatch: Dispatch) -> JobId | None:
        """The job of a dispatch that may have been sent, if the cluster has it."""
        return self._cluster.find(self._spec(dispatch), dispatch.token)

    def send_ready(self, out: int) -> int:
        """Send packs while there is room; `out` dispatches are out already. How many were sent."""
        self.held = self._cluster.pressure()
        packs = [] if self.held else self._claim(most_out(self._cluster.lanes) - out)
        burst = self._burst([dispatch for dispatch, _ in packs], [pack for _, pack in packs])
        if len(packs) == BURST:  # there is more: the next is claimed while this is on its way
            self._sending.append((burst, _BURSTS.start(self._deliver, burst)))
            self.finish_sending(but=_ON_THEIR_WAY)
        else:
            self.finish_sending()
            self._confirm_burst(burst, self._deliver(burst))
        return len(packs)

    def is_on_its_way(self, dispatch: Dispatch) -> bool:
        """Whether a claimed dispatch is being sent just now."""
        return any(dispatch.id in burst.ids for burst, _ in self._sending)

    def finish_sending(self, *, but: int = 0) -> None:
        """Confirm the bursts that are on their way, but for the last few."""
        while len(self._sending) > but:
            burst, results = self._sending.popleft()
            self._confirm_burst(burst, results.result())

    def let_go(self) -> None:
        """Confirm what can be confirmed; the rest is found again by the next start."""
        while self._sending:
            with suppress(CoordinatorError):
                self.finish_sending(but=len(self._sending) - 1)

    def _claim(self, room: float) -> list[tuple[Dispatch, Sequence[Attempt]]]:
        """Claim up to `room` packs: durable, all at once, before the cluster hears of any."""
        claimed: list[tuple[Dispatch, Sequence[Attempt]]] = []
        with self._ledger.together():
            while self._clock.monotonic() >= self._next_at:
                most = self._most_at_once(min(room, BURST) - len(claimed))
                packs = self._next_packs(most) if most > 0 else []
                if not packs:
                    break
                dispatches = self._ledger.claim(packs, self._batch.job_name)
                claimed += zip(dispatches, packs, strict=True)
                self._next_at = self._clock.monotonic() + self._batch.wait_seconds
            if claimed:  # a refusal or a crash may come before anybody looks again
                self.update_pause()
        return claimed

    def _most_at_once(self, room: float) -> int:
        """Packs that may be claimed now: one, where each has to wait for the one before."""
        return math.ceil(min(room, 1) if self._batch.wait_seconds else room)

    def update_pause(self) -> Tally:
        """Pause or go on, and leave an event where that changes; the counts that decided it."""
        tally, thresholds = self._ledger.tally(), self._batch.thresholds
        in_flight = tally.in_flight
        paused = is_paused(in_flight, self.paused, thresholds)
        if paused == self.paused:
            return tally
        self.paused = paused
        if paused:
            why = f"{in_flight} items in flight reached the stop threshold {thresholds.stop_at}"
        else:
            why = f"{in_flight} items in flight are down to {thresholds.resume_at}"
        self._ledger.note("paused" if paused else "resumed", why)
        self._log.info("paused" if paused else "resumed", why=why)
        return tally

    def update_gate(self) -> Gate:
        """How the canaries stand."""
        self._gate = gate_of(self._ledger, self._batch.name, self._batch.canaries)
        return self._gate

    def _next_packs(self, most: int) -> list[Sequence[Attempt]]:
        """Work on items in flight goes first, later steps before earlier ones; then new items."""
        tally = self.update_pause()
        self.update_gate()
        steps = range(len(self._batch.pipeline.steps) - 1, -1, -1)
        free = self._free(most)
        for step in steps:
            some = min(most, free[step])
            ready = self._ledger.ready(step, fresh=False, limit=self._largest(step) * some)
            if ready:
                return _in_packs(ready, repeat(self._largest(step), some))
        room = 0 if self.paused else self._batch.thresholds.stop_at - tally.in_flight
        for step in steps:
            if packs := self._new_packs(step, tally, room, min(most, free[step])):
                return packs
        return []

    def _new_packs(self, step: int, tally: Tally, room: int, most: int) -> list[Sequence[Attempt]]:
        """Packs of items that are not in flight yet, each cut from what those before it leave."""
        largest, first = self._largest(step), self._gate.first
        ready = self._ledger.ready(step, fresh=True, limit=min(room, largest * most), first=first)
        left = Left(tally.of_step(step, S.READY), tally.cost_of_step(step, S.READY))
        if first is not None:  # the others wait, so there are these to share the lanes
            left = Left(len(ready), sum(attempt.item.cost for attempt in ready))
        loading = self._collector.rates.of(self._batch.pipeline.steps[step].name).loading
        rule = Rule(self._cluster.lanes, largest, loading)
        costs = (attempt.item.cost for attempt in ready)
        return _in_packs(ready, cut(costs, left, rule, room=room, most=most))

    def _free(self, most: int) -> list[int]:
        """Packs that each step may send now, `most` where nothing says that it may have fewer."""
        limits = [step.pack.at_once for step in self._batch.pipeline.steps]
        out = self._ledger.out_by_step() if any(limits) else {}
        return [
            max(0, limit - out.get(step, 0)) if limit else most for step, limit in enumerate(limits)
        ]

    def _largest(self, step: int) -> int:
        return self._batch.pipeline.steps[step].pack.size

    def _burst(
        self,
        dispatches: Sequence[Dispatch],
        packs: Sequence[Sequence[Attempt]],
        *,
        again: bool = False,
    ) -> _Burst:
        handoffs = [self._handoff(*each) for each in zip(dispatches, packs, strict=True)]
        requests = [Request(self._spec(d), d.token, again) for d in dispatches]
        return _Burst(dispatches, handoffs, requests)

    def _deliver(self, burst: _Burst) -> list[JobId | CoordinatorError]:
        """Write the handoffs, then submit. It may run beside the thread that has the ledger."""
        _WRITES.map(lambda handoff: self._storage.write(*handoff), burst.handoffs)
        return self._cluster.submit(burst.requests)

    def _confirm_burst(self, burst: _Burst, results: list[JobId | CoordinatorError]) -> None:
        """Note what was taken; what was not answered stays claimed."""
        taken, troubles = [], []
        for dispatch, result in zip(burst.dispatches, results, strict=True):
            if isinstance(result, JobRefused):
                self._refuse(dispatch, result)
            elif isinstance(result, CoordinatorError):
                troubles.append(result)
            else:
                taken.append((dispatch, result))
        self._confirm(taken)
        if troubles:
            raise troubles[0]

    def _handoff(self, dispatch: Dispatch, pack: Sequence[Attempt]) -> tuple[str, bytes]:
        handoff = handoff_of(self._batch, self._ledger, dispatch, pack, self._storage.uri)
        return self._batch.keys.handoff(dispatch.name), handoff.model_dump_json().encode()

    def _refuse(self, dispatch: Dispatch, error: JobRefused) -> None:
        verdict = Verdict(S.FAILED, FailureKind.INFRASTRUCTURE, f"refused: {error}")
        self._collector.refuse(dispatch, verdict)

    def _confirm(self, taken: Sequence[tuple[Dispatch, JobId]]) -> None:
        if not taken:
            return
        self._ledger.move_all(taken, S.CLAIMED, S.SUBMITTED)
        self._collector.note_submitted(taken)
        for dispatch, job_id in taken:
            self._log.info("dispatched", dispatch=dispatch.name, job=job_id, items=dispatch.size)

    def _spec(self, dispatch: Dispatch) -> JobSpec:
        return JobSpec(
            name=dispatch.name,
            step=self._batch.step(dispatch).name,
            handoff=self._batch.keys.handoff(dispatch.name),
            output_root=self._storage.uri,
            resources=self._batch.resources(dispatch),
        )


def _in_packs(ready: Sequence[Attempt], sizes: Iterable[int]) -> list[Sequence[Attempt]]:
    """Ready attempts in packs of these sizes, as far as they go."""
    left = iter(ready)
    packs = [list(islice(left, size)) for size in sizes]
    return [pack for pack in packs if pack]
