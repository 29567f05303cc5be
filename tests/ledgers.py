"""Batches that are there as ledgers only: made, and moved on, without running anything."""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from coordinator.clock import Clock
from coordinator.commands.record import BatchRecord, as_document
from coordinator.domain.items import WorkItem
from coordinator.domain.states import AttemptState as S
from coordinator.domain.states import FailureKind, ItemState
from coordinator.ledger import Attempt, AttemptEnd, Dispatch, Finish, Ledger, NextStep
from coordinator.pipelines import Pipeline
from coordinator.settings import Settings

STEPS = ("translate", "score")


def make_batch(
    folder: Path, clock: Clock, name: str = "b", count: int = 10, **changes: Any
) -> Settings:
    """A batch of items i0, i1, ... with two steps, of which nothing has run."""
    command = {"job": "command", "options": {"command": ["true"]}}
    steps = [{"name": step, **command} for step in STEPS]
    values: dict[str, Any] = {
        "batch": name,
        "pipeline": Pipeline.model_validate({"name": "p", "steps": steps}),
        "steps": STEPS,
        "source": "",
        "output_root": str(folder / "out"),
        "log_dir": str(folder / "logs"),
        "cluster": "local",
        "slots": 1,
        "stop_threshold": 8,
        "resume_threshold": 6,
        "wait_seconds": 0.0,
        "items": count,
        "items_sha256": "",
        "created_at": clock.now(),
    }
    record = as_document(BatchRecord(**{**values, **changes}))
    items = ((WorkItem(f"i{n}"), f"{n:09}") for n in range(count))
    Ledger.create(folder / "state" / name, clock, record, items).close()
    return Settings(state_dir=folder / "state", log_dir=folder / "logs")


class Hand:
    """Moves items of a batch by hand."""

    def __init__(self, folder: Path, clock: Clock, name: str = "b") -> None:
        self.folder, self.clock = folder / "state" / name, clock

    def send(self, count: int, step: int = 0) -> Dispatch:
        """One dispatch of so many items that are ready for the step; it runs."""
        with closing(Ledger.open(self.folder, self.clock)) as ledger:
            ready = ledger.ready(step, fresh=step == 0, limit=count)
            assert len(ready) == count
            number = len(list(ledger.events()))
            [claimed] = ledger.claim([ready], lambda _pack, _number: f"d{number}")
            ledger.move(claimed, S.CLAIMED, S.SUBMITTED, f"job-{claimed.id}")
            ledger.move(claimed, S.SUBMITTED, S.RUNNING)
            return ledger.dispatch(claimed.id)

    def end(
        self, dispatch: Dispatch, failed: Sequence[str] = (), kind: str = "model_error"
    ) -> None:
        """The dispatch comes home; these items have failed for good."""

        def end_of(attempt: Attempt) -> AttemptEnd:
            if attempt.item.id in failed:
                found = FailureKind(kind)
                finish = Finish(ItemState.FAILED, found)
                return AttemptEnd(attempt, S.FAILED, finish, found, f"no luck with {kind}")
            won = Finish(ItemState.SUCCEEDED) if dispatch.step else NextStep()
            return AttemptEnd(attempt, S.SUCCEEDED, won)

        with closing(Ledger.open(self.folder, self.clock)) as ledger:
            ledger.end(dispatch, [end_of(a) for a in ledger.attempts_of(dispatch)])

    def note(self, action: str, why: str = "") -> None:
        with closing(Ledger.open(self.folder, self.clock)) as ledger:
            ledger.note(action, why)
