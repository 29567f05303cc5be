"""Builds the log tree of a batch as the coordinator leaves it, for tests of what reads it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from coordinator.domain.dispatch_record import AttemptRecord, DispatchRecord, EndingRecord
from coordinator.domain.handoff import Failure, Outcome
from coordinator.domain.names import JobName, unit_of_item
from coordinator.domain.paths import DispatchLogs, LogTree
from coordinator.domain.states import AttemptState as S
from coordinator.domain.states import FailureKind
from coordinator.domain.verdicts import Ending, verdict_of

STEPS = ("translate", "score")


@dataclass
class LogBuilder:
    """Writes below `root`; `batch` names the batch."""

    root: Path
    batch: str = "b"
    steps: Sequence[str] = STEPS
    started: dict[tuple[str, str], int] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        return LogTree(self.root, self.batch).folder

    def submit(self, *items: str, **more: Any) -> None:
        """What the coordinator writes before it dispatches."""
        self.folder.mkdir(parents=True, exist_ok=True)
        record = {"batch": self.batch, "steps": list(self.steps), "items": len(items), **more}
        (self.folder / "batch.json").write_text(json.dumps(record))
        (self.folder / "items.txt").write_text("".join(f"{item}\n" for item in items))

    def dispatch(
        self,
        step: str,
        items: Sequence[str] | str,
        *,
        outcomes: Mapping[str, Outcome] | None = None,
        ending: Ending | None = None,
        states: Mapping[str, tuple[S, FailureKind | None, str]] | None = None,
        stderr: str | bytes = "",
        name: str = "",
    ) -> DispatchLogs:
        """One dispatch that carried the next attempt of each of `items`.

        `states` overrides what follows from outcomes and ending; without an ending it is out.
        """
        items = [items] if isinstance(items, str) else list(items)
        numbers = {item: self._next(step, item) for item in items}
        name = name or self._name(step, items, numbers)
        logs = LogTree(self.root, self.batch).dispatch(step, name)
        logs.outcomes.mkdir(parents=True)
        made = {
            item: outcome.model_copy(
                update={"dispatch": name, "step": step, "item": item, "attempt": numbers[item]}
            )
            for item, outcome in (outcomes or {}).items()
        }
        for item, outcome in made.items():
            logs.outcome(item).write_text(outcome.model_dump_json())
        claims = [
            _claim(item, numbers[item], made.get(item), ending, (states or {}).get(item))
            for item in items
        ]
        record = DispatchRecord(
            batch=self.batch,
            step=step,
            steps=tuple(self.steps),
            dispatch=name,
            job_id=name,
            node="node-1",
            claimed_at=1.0,
            submitted_at=2.0,
            ended_at=None if ending is None else 3.0,
            ending=None if ending is None else EndingRecord.of(ending),
            attempts=tuple(claims),
        )
        logs.record.write_bytes(record.to_bytes())
        logs.events.write_text("[]")
        data = stderr.encode() if isinstance(stderr, str) else stderr
        logs.stream("worker", "stderr").write_bytes(data)
        logs.stream("worker", "stdout").write_bytes(b"")
        return logs

    def succeed(self, step: str, *items: str, **facts: Any) -> DispatchLogs:
        outcomes = {item: outcome(self.batch, facts=facts) for item in items}
        return self.dispatch(step, items, outcomes=outcomes, ending=Ending(exit_code=0))

    def through(self, *items: str, **facts: Any) -> None:
        """Take items through every step."""
        for step in self.steps:
            self.succeed(step, *items, **facts)

    def fail(self, step: str, item: str, kind: FailureKind, message: str) -> DispatchLogs:
        """A failure that the worker reports, in its outcome and in its log."""
        line = {"dispatch": "d", "item": item, "kind": kind, "error": message, "traceback": []}
        log = [
            {"event": "ready", "level": "info", "time": "t"},
            {**line, "event": "item failed", "level": "error", "time": "t"},
        ]
        return self.dispatch(
            step,
            item,
            outcomes={item: outcome(self.batch, failure=Failure(kind=kind, message=message))},
            ending=Ending(exit_code=70),
            stderr="".join(json.dumps(entry) + "\n" for entry in log),
        )

    def crash(self, step: str, item: str, stderr: str | bytes, exit_code: int = 1) -> DispatchLogs:
        """A process that ended without an outcome."""
        return self.dispatch(step, item, ending=Ending(exit_code=exit_code), stderr=stderr)

    def _next(self, step: str, item: str) -> int:
        self.started[step, item] = self.started.get((step, item), 0) + 1
        return self.started[step, item]

    def _name(self, step: str, items: Sequence[str], numbers: Mapping[str, int]) -> str:
        if len(items) == 1:
            return str(JobName(self.batch, unit_of_item(step, items[0]), numbers[items[0]]))
        folder = self.folder / step
        count = len(list(folder.iterdir())) if folder.exists() else 0
        return str(JobName(self.batch, f"{step}.pack-{count:06d}", 1))


def outcome(
    batch: str = "b",
    *,
    no_data: bool = False,
    failure: Failure | None = None,
    facts: Mapping[str, Any] | None = None,
) -> Outcome:
    """An outcome whose identity the builder fills in."""
    status = "failed" if failure else "no_data" if no_data else "succeeded"
    return Outcome(
        batch=batch,
        dispatch="",
        step="",
        item="",
        attempt=1,
        status=status,
        failure=failure,
        facts=dict(facts or {}),
        started_at=10.0,
        ended_at=12.5,
    )


def _claim(
    item: str,
    number: int,
    made: Outcome | None,
    ending: Ending | None,
    state: tuple[S, FailureKind | None, str] | None,
) -> AttemptRecord:
    if state is None and ending is None:
        state = (S.SUBMITTED, None, "")
    if state is None:
        verdict = verdict_of(made, ending or Ending())
        state = (verdict.state, verdict.kind, verdict.reason)
    return AttemptRecord(item=item, attempt=number, state=state[0], kind=state[1], reason=state[2])
