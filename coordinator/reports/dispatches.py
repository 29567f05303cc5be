"""What one dispatch folder says of its attempts: outcomes first, then `dispatch.json`."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from coordinator.domain.dispatch_record import (
    AttemptRecord,
    DispatchRecord,
    EndingRecord,
    parse_dispatch,
)
from coordinator.domain.handoff import Outcome, is_of, parse_outcome
from coordinator.domain.names import JobName, item_id_problem, unit_of_item
from coordinator.domain.paths import DispatchLogs
from coordinator.domain.states import LIVE, AttemptState, FailureKind
from coordinator.domain.verdicts import Ending, Verdict, verdict_of
from coordinator.reports.tree import Tree

_FOREIGN = "is of another dispatch"  # nothing of it may be used here
_LATEST = 10e9  # seconds since the epoch: in the year 2286
_KINDS = {
    AttemptState.LOST: FailureKind.LOST,
    AttemptState.STOPPED: FailureKind.STOPPED,
    AttemptState.UNKNOWN: FailureKind.UNKNOWN,
}


@dataclass(frozen=True, slots=True)
class Evidence:
    """The line of a task's log that a verdict rests on; lines count from 1."""

    task: str
    file: Path
    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Times:
    """When its dispatch came and went, in seconds since the epoch; None = not known, or not yet."""

    claimed_at: float | None = None
    submitted_at: float | None = None
    ended_at: float | None = None


_NO_TIMES = Times()


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt as the log tree tells it. `kind` is set exactly when it is a failure."""

    item: str
    step: str
    number: int
    state: AttemptState
    kind: FailureKind | None
    reason: str
    folder: Path  # of its dispatch
    node: str = ""
    outcome: Outcome | None = None  # whole, and of this very attempt
    ending: Ending | None = None
    evidence: Evidence | None = None  # where rules read it from a log
    times: Times = _NO_TIMES
    is_open: bool = False  # its log just stops: whether it still runs, nobody can tell

    @property
    def ended_at(self) -> float | None:
        """When it ended, in seconds since the epoch; None = nobody knows, or it is no time."""
        return a_time(self.outcome.ended_at) if self.outcome else self.times.ended_at


@dataclass(frozen=True)
class Dispatch:
    """A dispatch folder. `record` is None where `dispatch.json` is missing or damaged."""

    record: DispatchRecord | None
    attempts: tuple[Attempt, ...]


def read_dispatch(tree: Tree, folder: Path, known_ids: Iterable[str]) -> Dispatch:
    """Read the folder of one dispatch; what is damaged is told, the rest is used.

    `known_ids` are tried on the dispatch's name where `dispatch.json` names no item.
    """
    entries = tree.entries(folder)
    logs = DispatchLogs(folder)
    raw = tree.document(logs.record) if logs.record in entries.files else None
    record = parse_dispatch(raw) if raw is not None else None
    if problem := _problem(logs, raw, record):
        tree.note(logs.record, problem)
    if problem.startswith(_FOREIGN):
        raw = record = None
    outcomes = _outcomes(tree, logs) if logs.outcomes in entries.folders else {}
    claims = record or _salvaged(tree, logs, raw, outcomes, known_ids)
    attempts = tuple(_attempts(tree, logs, claims, outcomes))
    return Dispatch(record, attempts)


def _problem(logs: DispatchLogs, raw: bytes | None, record: DispatchRecord | None) -> str:
    """Why `dispatch.json` cannot be used as it is, or ""."""
    if raw is None:
        return "missing or unreadable: judged by what else is there"
    own = {"step": logs.folder.parent.name, "dispatch": logs.folder.name}
    said = vars(record) if record else _json_object(raw)
    named = {name: said.get(name, value) for name, value in own.items()}
    if named != own:
        return f"{_FOREIGN} ({named['step']}/{named['dispatch']})"
    return "" if record else "damaged or of another version: judged by what else is there"


def _outcomes(tree: Tree, logs: DispatchLogs) -> dict[str, Outcome]:
    """Item -> whole outcome that belongs to this dispatch."""
    found = {}
    for path in tree.entries(logs.outcomes).files:
        if path.name.startswith("."):  # being written
            continue
        data = tree.document(path)
        outcome = parse_outcome(data) if data is not None else None
        if outcome is None:
            tree.note(path, "no whole outcome: counts as absent")
        elif path != logs.outcome(outcome.item) or outcome.dispatch != logs.folder.name:
            tree.note(path, "an outcome of another item or dispatch: counts as absent")
        else:
            found[outcome.item] = outcome
    return found


def _attempts(
    tree: Tree, logs: DispatchLogs, record: DispatchRecord, outcomes: Mapping[str, Outcome]
) -> Iterator[Attempt]:
    """The attempts that the record names, each judged with its outcome."""
    ending = record.ending.to_ending() if record.ending else None
    known = (record.claimed_at or None, record.submitted_at, record.ended_at)
    times = Times(*map(a_time, known))
    listed = set()
    for claim in record.attempts:
        listed.add(claim.item)
        if problem := item_id_problem(claim.item):
            tree.note(logs.record, f"names an item that cannot be one ({problem})")
            continue
        outcome = _own(outcomes.get(claim.item), record, claim)
        verdict = _verdict(claim, outcome, ending)
        yield Attempt(
            claim.item,
            record.step,
            claim.attempt,
            verdict.state,
            verdict.kind,
            verdict.reason,
            logs.folder,
            record.node,
            outcome,
            ending,
            times=times,
        )
    for item in outcomes.keys() - listed:
        tree.note(logs.outcome(item), "an item that this dispatch did not carry: not used")


def a_time(seconds: float | None) -> float | None:
    """What can be shown as a time; workers may say anything."""
    return seconds if seconds is not None and 0 < seconds < _LATEST else None


def _own(outcome: Outcome | None, record: DispatchRecord, claim: AttemptRecord) -> Outcome | None:
    if outcome is None:
        return None
    same = is_of(
        outcome, batch=record.batch, step=record.step, item=claim.item, attempt=claim.attempt
    )
    return outcome if same else None


def _verdict(claim: AttemptRecord, outcome: Outcome | None, ending: Ending | None) -> Verdict:
    """A whole outcome wins; then the coordinator's word; then the way that the dispatch ended."""
    if outcome is not None:
        return verdict_of(outcome, ending or Ending())
    if claim.state in LIVE and ending is not None:
        return verdict_of(None, ending)
    kind = claim.kind or _KINDS.get(claim.state)
    if claim.state is AttemptState.FAILED and kind is None:
        kind = verdict_of(None, ending or Ending()).kind
    return Verdict(claim.state, kind if claim.state in _FAILURES else None, claim.reason)


_FAILURES = {AttemptState.FAILED, *_KINDS}


# what is left of a damaged record


def _salvaged(
    tree: Tree,
    logs: DispatchLogs,
    raw: bytes | None,
    outcomes: Mapping[str, Outcome],
    known_ids: Iterable[str],
) -> DispatchRecord:
    """A record from the readable parts of `raw`, the outcomes and the folder's names."""
    parts = _json_object(raw)
    ending = _valid_ending(parts.get("ending"))
    claims = {claim.item: claim for claim in _valid_claims(parts.get("attempts"), ending)}
    for item, outcome in outcomes.items():
        claims.setdefault(item, _claim(item, outcome.attempt, ending))
    if not claims:
        claims = {claim.item: claim for claim in _claims_by_name(logs, known_ids, ending)}
    if not claims:
        tree.note(logs.folder, "nothing here says which items it carried")
    batch = next((o.batch for o in outcomes.values()), logs.folder.parent.parent.name)
    return DispatchRecord(
        batch=batch,
        step=logs.folder.parent.name,
        steps=(),
        dispatch=logs.folder.name,
        claimed_at=0.0,
        ending=ending,
        attempts=tuple(claims.values()),
    )


def _json_object(raw: bytes | None) -> dict[str, Any]:
    try:
        document = json.loads(raw or b"{}")
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _valid_ending(part: object) -> EndingRecord | None:
    try:
        return EndingRecord.model_validate(part)
    except ValidationError:
        return None


def _valid_claims(part: object, ending: EndingRecord | None) -> Iterator[AttemptRecord]:
    for entry in part if isinstance(part, list) else []:
        try:
            yield AttemptRecord.model_validate(entry)
        except ValidationError:
            if isinstance(entry, dict) and item_id_problem(entry.get("item")) is None:
                number = entry.get("attempt")
                number = number if isinstance(number, int) and number >= 1 else 1
                yield _claim(entry["item"], number, ending)


def _claims_by_name(
    logs: DispatchLogs, known_ids: Iterable[str], ending: EndingRecord | None
) -> Iterator[AttemptRecord]:
    """The name of a dispatch of one item tells the item, once one knows which there are."""
    name, step = JobName.parse(logs.folder.name), logs.folder.parent.name
    if name is not None:
        same = (item for item in known_ids if unit_of_item(step, item) == name.unit)
        yield from (_claim(item, max(name.attempt, 1), ending) for item in same)


def _claim(item: str, number: int, ending: EndingRecord | None) -> AttemptRecord:
    """An attempt of which no state is known: ended, for all that can be told."""
    if ending is None:
        reason = "its dispatch.json cannot be used and no outcome is there"
        return AttemptRecord(item=item, attempt=number, state=AttemptState.UNKNOWN, reason=reason)
    verdict = verdict_of(None, ending.to_ending())
    return AttemptRecord(
        item=item, attempt=number, state=verdict.state, kind=verdict.kind, reason=verdict.reason
    )
