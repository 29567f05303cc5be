"""What people ask of a batch that another process may be driving: one document in its ledger.

Whoever asks writes in a small transaction of its own; the driver alone moves items and dispatches.
"""

import json
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from coordinator.domain.states import FailureKind, ItemState
from coordinator.errors import LedgerError
from coordinator.ledger.ledger import Ledger
from coordinator.ledger.rows import Dispatch

_KEY = "control"


class Asked(BaseModel):
    """Who asked, and when (seconds since the epoch)."""

    model_config = ConfigDict(frozen=True)

    by: str
    at: float

    def __str__(self) -> str:
        moment = time.localtime(self.at)
        today = time.strftime("%Y%m%d", moment) == time.strftime("%Y%m%d")
        return f"by {self.by} at {time.strftime('%H:%M' if today else '%Y-%m-%d %H:%M', moment)}"


class Control(BaseModel):
    """What is asked for now.

    Attributes:
        paused: nothing new is sent until that is lifted.
        stop: the driver is to end; with `now`, what runs is stopped first.
        items: to be stopped, and not ended yet.
    """

    model_config = ConfigDict(frozen=True)

    paused: Asked | None = None
    stop: Asked | None = None
    now: bool = False
    items: tuple[str, ...] = ()

    def changed(self, **fields: Any) -> "Control":
        return self.model_copy(update=fields)


@dataclass(frozen=True)
class Whereabouts:
    """Where a live item is: in this dispatch, or (None) in none yet."""

    item: str
    dispatch: int | None


class ControlDesk:
    """The wishes in one ledger: to be written by anybody, and carried out by its driver.

    It is the ledger's own other half, apart only so that each fits a screen.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._version = -1

    def changed(self) -> bool:
        """Whether another process wrote to the ledger since this was last asked."""
        version = self._ledger._rows("data_version")[0][0]
        before, self._version = self._version, version
        return bool(version != before)

    def read(self) -> Control:
        """What is asked for. Raises LedgerError if that is damaged."""
        values = {row["key"]: row["value"] for row in self._ledger._rows("values")}
        try:
            return Control.model_validate_json(values.get(_KEY, "{}"))
        except ValidationError as error:
            raise LedgerError(
                f"what was asked of the batch cannot be read from {self._ledger.path}",
                why=f"{error.error_count()} faults in it",
            ) from error

    def ask(self, change: Callable[[Control], Control], action: str, why: str) -> Control:
        """Change what is asked for, and leave an event; nobody else's change is lost."""
        with self._ledger._transaction():
            wanted = change(self.read())
            self._ledger._run("set_value", key=_KEY, value=wanted.model_dump_json())
            self._ledger._event(action, why=why)
        return wanted

    def change_record(
        self, change: Callable[[dict[str, Any]], dict[str, Any]], action: str, why: str
    ) -> None:
        """Change what the batch was asked to be, and leave an event."""
        with self._ledger._transaction():
            record = json.dumps(change(self._ledger.record()))
            self._ledger._run("set_value", key="record", value=record)
            self._ledger._event(action, why=why)

    def live(self, items: Collection[str]) -> list[Whereabouts]:
        """Those of the items that have not ended."""
        rows = self._ledger._rows("live_of", items=json.dumps(list(items)))
        return [Whereabouts(row["item"], row["dispatch"]) for row in rows]

    def carry_out(self) -> Control:
        """End the items to be stopped that nothing runs for, and forget those that have ended.

        For the driver alone, or for whoever holds its lock.
        """
        asked = self.read()
        self.stop_waiting(asked.items, "stopped on request")
        done = set(asked.items) - {found.item for found in self.live(asked.items)}
        if not done:
            return asked

        def without(now: Control) -> Control:
            return now.changed(items=tuple(item for item in now.items if item not in done))

        return self.ask(without, "stop carried out", f"{len(done)} items have ended")

    def forget_stop(self) -> None:
        """Let go of a wish that the batch's driver should end, when that driver is gone."""
        if self.read().stop:
            gone = "the driver that it was meant for has ended"
            self.ask(lambda now: now.changed(stop=None, now=False), "stop forgotten", gone)

    def stop_waiting(self, items: Collection[str], why: str) -> int:
        """End those of the items that no dispatch holds, without a (further) run; how many."""
        with self._ledger._transaction():
            rows = self._ledger._run("ready_of", items=json.dumps(list(items))).fetchall()
            for row in rows:
                self._stop_one(row["attempt"], row["seq"], row["state"], why)
        return len(rows)

    def _stop_one(self, attempt: int, seq: int, old: str, why: str) -> None:
        stopped = FailureKind.STOPPED
        self._ledger._guarded("stop_attempt", attempt=attempt, kind=stopped, reason=why)
        state = ItemState.STOPPED
        self._ledger._guarded("finish_item", item=seq, old=old, state=state, kind=stopped)
        self._ledger._event("stopped", attempt=attempt, old="ready", new="stopped", why=why)


def wholly_of(dispatch: Dispatch, whereabouts: Collection[Whereabouts]) -> bool:
    """Whether every item that a dispatch carries is among these."""
    return sum(found.dispatch == dispatch.id for found in whereabouts) == dispatch.size
