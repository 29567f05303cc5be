"""What people ask of the batch while it runs: looked up in its ledger once a tick."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from coordinator.domain.verdicts import StopReason
from coordinator.engine.batch import Batch
from coordinator.engine.throttle import Thresholds
from coordinator.ledger import Control, ControlDesk, Dispatch, Ledger, wholly_of


@dataclass(frozen=True)
class Orders:
    """What the driver has to do about it.

    Attributes:
        batch: with the settings as they are now.
        held: why nothing new is sent, or "".
        drain: why the driver should end when what runs has ended, or "".
        stop: dispatches to be stopped on request.
    """

    batch: Batch
    held: str
    drain: str
    stop: tuple[Dispatch, ...]


class BatchControl:
    """The wishes of one batch, as its driver obeys them."""

    def __init__(self, batch: Batch, ledger: Ledger) -> None:
        self._batch, self._ledger = batch, ledger
        self._desk, self._asked = ControlDesk(ledger), Control()

    def orders(self, out: Sequence[Dispatch], *, ended: bool) -> Orders:
        """What to do now.

        Args:
            out: the dispatches that are with the cluster.
            ended: whether any came home since this was asked last.
        """
        changed = self._desk.changed()
        if changed:
            self._asked = self._desk.read()
            self._batch = _tuned(self._batch, self._ledger)
        if self._asked.items and (changed or ended):
            self._asked = self._desk.carry_out()
        return Orders(self._batch, self._held(), self._drain(), self._to_stop(out))

    def _held(self) -> str:
        paused = self._asked.paused
        name = self._batch.name
        return f"paused {paused}: coordinator resume {name} goes on" if paused else ""

    def _drain(self) -> str:
        return f"stopped {self._asked.stop}" if self._asked.stop else ""

    def _to_stop(self, out: Sequence[Dispatch]) -> tuple[Dispatch, ...]:
        """All that run if asked for; else packs of which every item is to be stopped.

        A pack that also holds others goes on: its worker cannot be told to leave one out.
        """
        if self._asked.now:
            return tuple(out)
        live = self._desk.live(self._asked.items) if self._asked.items else []
        return tuple(
            d for d in out if d.stop_reason == StopReason.ASKED or (live and wholly_of(d, live))
        )


def _tuned(batch: Batch, ledger: Ledger) -> Batch:
    """The batch with the settings that may change while it runs."""
    record = ledger.record()
    now = batch.thresholds
    thresholds = Thresholds(
        record.get("stop_threshold", now.stop_at), record.get("resume_threshold", now.resume_at)
    )
    return replace(
        batch,
        thresholds=thresholds,
        wait_seconds=record.get("wait_seconds", batch.wait_seconds),
        max_same_failure=record.get("max_same_failure", batch.max_same_failure),
        canaries=record.get("canary", batch.canaries),
    )
