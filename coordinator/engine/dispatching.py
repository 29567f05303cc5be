"""Claim, submit, confirm: durable here before the cluster hears of it, looked up before a retry."""

import structlog

from coordinator.clock import Clock
from coordinator.cluster import Cluster, JobSpec
from coordinator.domain.states import AttemptState as S
from coordinator.domain.states import FailureKind
from coordinator.domain.verdicts import Verdict
from coordinator.engine.batch import Batch
from coordinator.engine.collect import Collector
from coordinator.engine.handoffs import handoff_of
from coordinator.engine.packs import most_out, pack_size
from coordinator.engine.throttle import is_paused
from coordinator.errors import JobRefused
from coordinator.ledger import Attempt, Dispatch, Ledger
from coordinator.storage import Storage


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

    def settle(self, dispatch: Dispatch) -> bool:
        """Finish what a crash or an outage left claimed; whether the cluster had it already."""
        spec = self._spec(dispatch)
        job_id = self._cluster.find(spec, dispatch.token)
        if job_id is None:
            self._submit(dispatch)
            return False
        self._confirm(dispatch, job_id)
        return True

    def send_ready(self, out: int) -> int:
        """Send packs while there is room; `out` dispatches are out already. How many were sent."""
        sent = 0
        while (
            out + sent < most_out(self._cluster.lanes) and self._clock.monotonic() >= self._next_at
        ):
            pack = self._next_pack()
            if not pack:
                break
            self._send(pack)
            sent += 1
        return sent

    def update_pause(self) -> None:
        """Pause or go on, and leave an event where that changes."""
        in_flight, thresholds = self._ledger.tally().in_flight, self._batch.thresholds
        paused = is_paused(in_flight, self.paused, thresholds)
        if paused == self.paused:
            return
        self.paused = paused
        if paused:
            why = f"{in_flight} items in flight reached the stop threshold {thresholds.stop_at}"
        else:
            why = f"{in_flight} items in flight are down to {thresholds.resume_at}"
        self._ledger.note("paused" if paused else "resumed", why)
        self._log.info("paused" if paused else "resumed", why=why)

    def _next_pack(self) -> list[Attempt]:
        """Work on items in flight goes first, later steps before earlier ones; then new items."""
        self.update_pause()
        steps = range(len(self._batch.pipeline.steps) - 1, -1, -1)
        for step in steps:
            if pack := self._ledger.ready(step, fresh=False, limit=self._largest(step)):
                return pack
        room = 0 if self.paused else self._room()
        for step in steps:
            if pack := self._ledger.ready(step, fresh=True, limit=min(room, self._share(step))):
                return pack
        return []

    def _room(self) -> int:
        return self._batch.thresholds.stop_at - self._ledger.tally().in_flight

    def _largest(self, step: int) -> int:
        return self._batch.pipeline.steps[step].pack.size

    def _share(self, step: int) -> int:
        ready = self._ledger.tally().of_step(step, S.READY)
        return pack_size(ready, lanes=self._cluster.lanes, largest=self._largest(step))

    def _send(self, pack: list[Attempt]) -> None:
        dispatch = self._ledger.claim(pack, lambda number: self._batch.job_name(pack, number))
        self._next_at = self._clock.monotonic() + self._batch.wait_seconds
        self._submit(dispatch)

    def _submit(self, dispatch: Dispatch) -> None:
        handoff = handoff_of(self._batch, self._ledger, dispatch, self._storage.uri)
        key = self._batch.keys.handoff(dispatch.name)
        self._storage.write(key, handoff.model_dump_json().encode())
        try:
            job_id = self._cluster.submit(self._spec(dispatch), dispatch.token)
        except JobRefused as error:
            verdict = Verdict(S.FAILED, FailureKind.INFRASTRUCTURE, f"refused: {error}")
            self._collector.refuse(dispatch, verdict)
            return
        self._confirm(dispatch, job_id)

    def _confirm(self, dispatch: Dispatch, job_id: str) -> None:
        self._collector.record_submitted(dispatch, job_id)
        self._ledger.move(dispatch, S.CLAIMED, S.SUBMITTED, job_id)
        self._log.info("dispatched", dispatch=dispatch.name, job=job_id, items=dispatch.size)

    def _spec(self, dispatch: Dispatch) -> JobSpec:
        return JobSpec(
            name=dispatch.name,
            step=self._batch.step(dispatch).name,
            handoff=self._batch.keys.handoff(dispatch.name),
            output_root=self._storage.uri,
            resources=self._batch.resources(dispatch),
        )
