"""Bringing an ended dispatch home: logs and outcomes first (repeatable), then the moves."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from coordinator.clock import Clock
from coordinator.cluster import Cluster, JobId
from coordinator.domain.dispatch_record import AttemptRecord, DispatchRecord, EndingRecord
from coordinator.domain.handoff import Outcome, has_sizes, is_of, leaves_all, parse_outcome
from coordinator.domain.paths import AttemptKeys, DispatchLogs
from coordinator.domain.states import DONE, AttemptState, ItemState
from coordinator.domain.verdicts import Ending, StopReason, Verdict, returned, verdict_of
from coordinator.engine.batch import Batch
from coordinator.engine.policy import sequel_of
from coordinator.errors import ClusterError, ClusterUnavailable, ObjectMissing
from coordinator.ledger import Attempt, AttemptEnd, Dispatch, Finish, Ledger
from coordinator.storage import Storage


@dataclass(frozen=True)
class _Evidence:
    """What one attempt left."""

    attempt: Attempt
    outcome: Outcome | None  # only if it is whole and of this very attempt
    raw: bytes
    begun: bool


class Collector:
    """Brings dispatches of one batch home."""

    def __init__(
        self, batch: Batch, ledger: Ledger, cluster: Cluster, storage: Storage, clock: Clock
    ) -> None:
        self._batch, self._ledger, self._cluster = batch, ledger, cluster
        self._storage, self._clock = storage, clock

    def record_submitted(self, dispatch: Dispatch, job_id: str) -> None:
        """Leave word in the log tree that the dispatch is out."""
        attempts = [
            AttemptRecord(item=a.item.id, attempt=a.number, state=AttemptState.SUBMITTED)
            for a in self._ledger.attempts_of(dispatch)
        ]
        now = self._clock.now()
        record = self._record(dispatch, attempts).model_copy(
            update={"job_id": job_id, "submitted_at": now}
        )
        self._write_record(self._logs(dispatch), record)

    def collect(self, dispatch: Dispatch, ending: Ending, node: str = "") -> list[AttemptEnd]:
        """Bring the ended dispatch home and end it in the ledger.

        Raises:
            ClusterUnavailable, StorageUnavailable: nothing was moved; try again later.
        """
        ending = _with_reason(ending, dispatch)
        evidence = [self._evidence(a) for a in self._ledger.attempts_of(dispatch)]
        ends = self._ends(evidence, ending)
        self._bring_home(dispatch, ending, node, evidence, ends)
        for end, found in zip(ends, evidence, strict=True):
            self._publish(end, found.outcome)
        self._ledger.end(dispatch, ends, why=_in_words(ending))
        return ends

    def finished_items(self, dispatch: Dispatch) -> int:
        """How many items of a running dispatch have left their outcome already."""
        keys = (self._keys(a).outcome for a in self._ledger.attempts_of(dispatch))
        return sum(self._storage.size(key) is not None for key in keys)

    # evidence and verdicts

    def _evidence(self, attempt: Attempt) -> _Evidence:
        keys = self._keys(attempt)
        try:
            raw = self._storage.read(keys.outcome)
        except ObjectMissing:
            return _Evidence(attempt, None, b"", self._storage.size(keys.begun) is not None)
        outcome = parse_outcome(raw)
        whole = outcome is not None and self._is_whole(outcome, attempt, keys)
        return _Evidence(attempt, outcome if whole else None, raw, begun=True)

    def _is_whole(self, outcome: Outcome, attempt: Attempt, keys: AttemptKeys) -> bool:
        step = self._batch.pipeline.steps[attempt.step]
        if not leaves_all(outcome, step.outputs) or not is_of(
            outcome,
            batch=self._batch.name,
            step=step.name,
            item=attempt.item.id,
            attempt=attempt.number,
        ):
            return False
        sizes = {f.name: self._storage.size(keys.file(f.name)) for f in outcome.files}
        return has_sizes(outcome, {n: s for n, s in sizes.items() if s is not None})

    def _ends(self, evidence: Sequence[_Evidence], ending: Ending) -> list[AttemptEnd]:
        any_begun = any(found.begun for found in evidence)
        return [self._end(found, ending, any_begun) for found in evidence]

    def _end(self, found: _Evidence, ending: Ending, any_begun: bool) -> AttemptEnd:
        """Only what was begun is charged; where nothing was, the whole dispatch is to blame."""
        untouched = not found.begun and (any_begun or ending.stop is StopReason.DRAINED)
        asked = ending.stop is StopReason.ASKED
        verdict = returned(ending) if untouched and not asked else verdict_of(found.outcome, ending)
        failures = self._ledger.failures(found.attempt) if verdict.kind else {}
        return AttemptEnd(
            attempt=found.attempt,
            state=verdict.state,
            sequel=sequel_of(found.attempt, verdict, failures, self._batch.pipeline),
            kind=verdict.kind,
            reason=verdict.reason,
            files=found.outcome.files if found.outcome and verdict.state in DONE else (),
        )

    def refuse(self, dispatch: Dispatch, verdict: Verdict) -> None:
        """End a claimed dispatch that the cluster will never take."""
        ends = [
            AttemptEnd(
                attempt=attempt,
                state=verdict.state,
                sequel=Finish(ItemState.FAILED, verdict.kind),
                kind=verdict.kind,
                reason=verdict.reason,
            )
            for attempt in self._ledger.attempts_of(dispatch)
        ]
        records = [_attempt_record(end) for end in ends]
        self._write_record(self._logs(dispatch), self._record(dispatch, records))
        self._ledger.end(dispatch, ends, why=verdict.reason)

    # the log tree

    def _bring_home(
        self,
        dispatch: Dispatch,
        ending: Ending,
        node: str,
        evidence: Sequence[_Evidence],
        ends: Sequence[AttemptEnd],
    ) -> None:
        logs = self._logs(dispatch)
        logs.outcomes.mkdir(parents=True, exist_ok=True)
        note = self._save_logs(dispatch, logs.folder)
        for found in evidence:
            if found.outcome is not None:
                _write(logs.outcome(found.attempt.item.id), found.raw)
        record = self._record(dispatch, [_attempt_record(end) for end in ends])
        update = {
            "node": node,
            "ended_at": self._clock.now(),
            "ending": EndingRecord.of(replace(ending, detail=ending.detail or note)),
        }
        self._write_record(logs, record.model_copy(update=update))

    def _save_logs(self, dispatch: Dispatch, folder: Path) -> str:
        try:
            self._cluster.save_logs(JobId(dispatch.job_id or ""), folder)
        except ClusterUnavailable:
            raise
        except ClusterError as error:
            return f"its logs could not be brought home: {error}"
        return ""

    def _record(self, dispatch: Dispatch, attempts: Iterable[AttemptRecord]) -> DispatchRecord:
        return DispatchRecord(
            batch=self._batch.name,
            step=self._batch.step(dispatch).name,
            steps=self._batch.step_names,
            dispatch=dispatch.name,
            job_id=dispatch.job_id or "",
            claimed_at=dispatch.claimed_at,
            submitted_at=dispatch.submitted_at,
            attempts=tuple(attempts),
        )

    def _write_record(self, logs: DispatchLogs, record: DispatchRecord) -> None:
        _write(logs.record, record.to_bytes())

    def _publish(self, end: AttemptEnd, outcome: Outcome | None) -> None:
        """Put the files of a winning attempt where readers look for them.

        The steps' own folders lie there too: a file that is called like one stays in its attempt's.
        """
        if outcome is None or end.state not in DONE:
            return
        keys = self._keys(end.attempt)
        for file in (f for f in outcome.files if f.name not in self._batch.step_names):
            target = self._batch.keys.published(end.attempt.item.id, file.name)
            self._storage.copy(keys.file(file.name), target)

    def _keys(self, attempt: Attempt) -> AttemptKeys:
        step = self._batch.pipeline.steps[attempt.step].name
        return self._batch.keys.attempt(attempt.item.id, step, attempt.number)

    def _logs(self, dispatch: Dispatch) -> DispatchLogs:
        return self._batch.logs.dispatch(self._batch.step(dispatch).name, dispatch.name)


def _with_reason(ending: Ending, dispatch: Dispatch) -> Ending:
    """The ledger knows best why we stopped a job."""
    if not dispatch.stop_reason:
        return ending
    return replace(ending, stop=StopReason(dispatch.stop_reason))


def _in_words(ending: Ending) -> str:
    if ending.stop:
        return f"stopped: {ending.stop}"
    if ending.gone:
        return ending.detail or "gone"
    return f"signal {ending.signal}" if ending.signal else f"exit code {ending.exit_code}"


def _attempt_record(end: AttemptEnd) -> AttemptRecord:
    return AttemptRecord(
        item=end.attempt.item.id,
        attempt=end.attempt.number,
        state=end.state,
        kind=end.kind,
        reason=end.reason,
    )


def _write(path: Path, data: bytes) -> None:
    """Write aside and rename. The log tree can be made again, so nothing waits for the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.part")
    aside.write_bytes(data)
    os.replace(aside, path)
