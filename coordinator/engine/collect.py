"""Bringing an ended dispatch home: logs and outcomes first (repeatable), then the moves."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from coordinator.clock import Clock
from coordinator.cluster import Cluster, JobId
from coordinator.domain.dispatch_record import (
    AttemptRecord,
    DispatchRecord,
    EndingRecord,
    parse_dispatch,
)
from coordinator.domain.handoff import (
    Outcome,
    has_sizes,
    is_handed_back,
    is_of,
    leaves_all,
    parse_outcome,
    read_handoff,
)
from coordinator.domain.paths import AttemptKeys, DispatchLogs
from coordinator.domain.states import DONE, AttemptState, ItemState
from coordinator.domain.usage import MAX_BYTES, parse_series
from coordinator.domain.verdicts import Ending, StopReason, Verdict, excused, returned, verdict_of
from coordinator.engine.batch import Batch
from coordinator.engine.masking import bare, mask_of, masked
from coordinator.engine.policy import sequel_of
from coordinator.engine.rates import Ran, Rates, ran_of
from coordinator.engine.reconcile import Ended
from coordinator.engine.same_failure import SameFailure
from coordinator.errors import (
    AccessRefused,
    BadInput,
    ClusterError,
    ClusterUnavailable,
    CoordinatorError,
    CredentialsError,
    ObjectMissing,
    StorageError,
    StorageUnavailable,
)
from coordinator.files import write_whole
from coordinator.ledger import Attempt, AttemptEnd, Dispatch, DispatchEnd, Finish, Ledger
from coordinator.parallel import Lanes, arrived
from coordinator.secrecy import Mask, known
from coordinator.storage import Storage

# Most of both is waiting for a store or a cluster.
_FETCHES, _KEEPS = Lanes(16), Lanes(16)
_MOST_FETCHED = 128  # dispatches on their way or in line at a time

_LARGEST_BEGUN = 1 << 10  # bytes
_LARGEST_OUTCOME = 16 << 20  # bytes; what is cut off there is no whole outcome

A = TypeVar("A")
B = TypeVar("B")


@dataclass(frozen=True)
class _Evidence:
    """What one attempt left."""

    attempt: Attempt
    outcome: Outcome | None  # only if it is whole and of this very attempt
    raw: bytes
    begun: bool
    handed_back: bool = False  # begun, and given up unharmed when the worker was asked to stop

    def was_in_hand(self, ending: Ending) -> bool:
        """Whether it was begun and not handed back; what had its time did not hand it back."""
        return self.begun and not (self.handed_back and ending.stop is not StopReason.TIME_LIMIT)


@dataclass(frozen=True)
class _Opened:
    ended: Ended
    attempts: list[Attempt]


@dataclass(frozen=True)
class _Fetched:
    ended: Ended
    evidence: list[_Evidence]
    note: str  # why the logs are not home, or ""


@dataclass(frozen=True)
class _Judged:
    found: _Fetched
    ends: list[AttemptEnd]
    replaced: list[frozenset[str]]  # by each: what is out of date if it has won


@dataclass(frozen=True)
class Home:
    """A dispatch that is home: logs, outcomes and the ledger's word."""

    dispatch: Dispatch
    ending: Ending
    ends: list[AttemptEnd]
    ran: Ran | None = None


@dataclass(frozen=True)
class Collected:
    """What came home, and what kept the rest from it."""

    homes: list[Home]
    trouble: CoordinatorError | None


class Collector:
    """Brings dispatches of one batch home."""

    def __init__(
        self, batch: Batch, ledger: Ledger, cluster: Cluster, storage: Storage, clock: Clock
    ) -> None:
        self._batch, self._ledger, self._cluster = batch, ledger, cluster
        self._storage, self._clock = storage, clock
        self._fetching: dict[int, Future[_Fetched | CoordinatorError]] = {}
        # Of dispatches that are not home yet: a store that fails now and then would else never let
        # all of a large pack come at once.
        self._whole: dict[int, _Evidence] = {}  # attempt -> what it left
        self._published: set[int] = set()  # attempts
        self._untold: dict[int, tuple[Dispatch, JobId, AttemptState]] = {}
        self.same_failure = SameFailure(batch.max_same_failure)
        self.rates = Rates(ledger)
        self.excuses: Callable[[Ending], bool] = lambda _ending: False

    def note_submitted(self, taken: Iterable[tuple[Dispatch, JobId]]) -> None:
        """These are out now; the log tree is told later, at the next `tell_out`."""
        self._untold.update({d.id: (d, job_id, AttemptState.SUBMITTED) for d, job_id in taken})

    def note_running(self, seen: Iterable[Dispatch]) -> None:
        """These were seen to run."""
        running = ((d, JobId(d.job_id or "")) for d in seen)
        self._untold.update({d.id: (d, job_id, AttemptState.RUNNING) for d, job_id in running})

    def note_out(self, out: Iterable[Dispatch]) -> None:
        """These were found to be out; an earlier run may have ended before it told of them."""
        self.note_submitted(
            (d, JobId(d.job_id)) for d in out if d.job_id and not self._logs(d).record.exists()
        )

    def tell_out(self) -> None:
        """Leave word in the log tree of what is out. What has come home meanwhile needs none."""
        records = [(told[0], self._out(*told)) for told in self._untold.values()]
        self._untold.clear()
        _KEEPS.map(lambda it: self._write_record(self._logs(it[0]), it[1]), records)

    def _out(self, dispatch: Dispatch, job_id: JobId, state: AttemptState) -> DispatchRecord:
        attempts = [
            AttemptRecord(item=a.item.id, attempt=a.number, state=state)
            for a in self._ledger.attempts_of(dispatch)
        ]
        update = {"job_id": job_id, "submitted_at": dispatch.submitted_at or self._clock.now()}
        return self._record(dispatch, attempts).model_copy(update=update)

    def collect(self, ended: Sequence[Ended], patience: float) -> Collected:
        """Bring ended dispatches home and end them in the ledger.

        What cannot be brought home because something does not answer stays as it is. What takes
        longer than `patience` (seconds) is on its way, and comes with a later call.
        """
        fetched = self._arrived(ended, patience)
        judged = [self._judged(found) for found in fetched if isinstance(found, _Fetched)]
        kept = _KEEPS.map(_or_outage(self._keep), judged)
        homes = [home for home in kept if isinstance(home, Home)]
        with self._ledger.together():
            self._ledger.end_all(
                [DispatchEnd(it.dispatch, tuple(it.ends), _in_words(it.ending)) for it in homes]
            )
            self.rates.add((self._batch.step(it.dispatch).name, it.ran) for it in homes if it.ran)
        for home in homes:
            self._untold.pop(home.dispatch.id, None)
            self._forget(home.ends)
            self.same_failure.add(home.ends, home.ending)
        troubles = [each for each in (*fetched, *kept) if isinstance(each, CoordinatorError)]
        return Collected(homes, troubles[0] if troubles else None)

    def _forget(self, ends: Iterable[AttemptEnd]) -> None:
        for end in ends:
            self._whole.pop(end.attempt.id, None)
            self._published.discard(end.attempt.id)

    def is_on_its_way(self, dispatch: Dispatch) -> bool:
        """Whether what an ended dispatch left is being fetched just now."""
        return dispatch.id in self._fetching

    def _arrived(
        self, ended: Sequence[Ended], patience: float
    ) -> list[_Fetched | CoordinatorError]:
        """What has arrived by now of these and of earlier ones."""
        for each in ended:
            if each.dispatch.id not in self._fetching and len(self._fetching) < _MOST_FETCHED:
                fetching = _FETCHES.start(_or_outage(self._fetch), self._opened(each))
                self._fetching[each.dispatch.id] = fetching
        here = arrived(self._fetching.values(), patience)
        there = [number for number, each in self._fetching.items() if each in here]
        return [self._fetching.pop(number).result() for number in there]

    def _opened(self, ended: Ended) -> _Opened:
        ending = _with_reason(self._remembered(ended), ended.dispatch)
        return _Opened(replace(ended, ending=ending), self._ledger.attempts_of(ended.dispatch))

    def _remembered(self, ended: Ended) -> Ending:
        """How it ended: what the cluster has forgotten by now, the log tree may have kept."""
        record = self._logs(ended.dispatch).record
        if not ended.ending.gone or not record.is_file():
            return ended.ending
        kept = parse_dispatch(record.read_bytes())
        return kept.ending.to_ending() if kept and kept.ending else ended.ending

    def _fetch(self, opened: _Opened) -> _Fetched:
        """What a dispatch left: logs into the log tree, evidence of each attempt."""
        logs = self._logs(opened.ended.dispatch)
        with _log_tree(logs.outcomes):
            logs.outcomes.mkdir(parents=True, exist_ok=True)
        mask = mask_of(self._ledger.path.parent, opened.attempts)
        if mask is not known.mask:
            self._strip_handoff(opened.ended.dispatch)
        note = self._save_logs(opened.ended.dispatch, logs.folder, mask)
        self._save_usage(opened.ended.dispatch, logs)
        ending = opened.ended.ending
        ended = replace(opened.ended, ending=replace(ending, detail=mask.text(ending.detail)))
        return _Fetched(ended, [self._found(a, mask) for a in opened.attempts], note)

    def _strip_handoff(self, dispatch: Dispatch) -> None:
        """What signed the addresses of its inputs was for its worker alone."""
        key = self._batch.keys.handoff(dispatch.name)
        with suppress(ObjectMissing, BadInput):
            handoff = read_handoff(self._storage.read(key))
            self._storage.write(key, bare(handoff).model_dump_json().encode())

    def _judged(self, found: _Fetched) -> _Judged:
        ends = self._ends(found.evidence, found.ended.ending)
        replaced = [self._ledger.replaced_by(end.attempt) for end in ends]
        return _Judged(found, ends, replaced)

    def _keep(self, judged: _Judged) -> Home:
        """Outcomes and the record into the log tree; the winners' files to where readers look."""
        ended, evidence = judged.found.ended, judged.found.evidence
        logs = self._logs(ended.dispatch)
        for found, end, replaced in zip(evidence, judged.ends, judged.replaced, strict=True):
            if found.outcome is not None:
                _write(logs.outcome(found.attempt.item.id), found.raw)
            self._publish(end, found.outcome, replaced)
        detail = ended.ending.detail or judged.found.note
        self._write_record(logs, self._ended_record(ended, judged.ends, detail))
        outcomes = [(each.outcome, each.attempt.item.cost) for each in evidence if each.outcome]
        ran = ran_of(ended.dispatch.name, outcomes)
        return Home(ended.dispatch, ended.ending, judged.ends, ran)

    def let_go(self) -> None:
        """Fetch nothing more: what has not arrived is fetched again by the next start."""
        for fetching in self._fetching.values():
            fetching.cancel()
        self._fetching.clear()

    def finished_items(self, dispatch: Dispatch) -> int:
        """How many items of a running dispatch have left their outcome already."""
        keys = [self._keys(a).outcome for a in self._ledger.attempts_of(dispatch)]
        return sum(size is not None for size in _KEEPS.map(self._storage.size, keys))

    # evidence and verdicts

    def _found(self, attempt: Attempt, mask: Mask) -> _Evidence:
        """What an attempt left; a whole outcome is read once."""
        found = self._whole.get(attempt.id) or self._evidence(attempt, mask)
        if found.outcome is not None:
            self._whole[attempt.id] = found
        return found

    def _evidence(self, attempt: Attempt, mask: Mask) -> _Evidence:
        keys = self._keys(attempt)
        try:
            with self._storage.open(keys.outcome) as stream:
                raw = stream.read(_LARGEST_OUTCOME)
        except ObjectMissing:
            return _Evidence(attempt, None, b"", *self._begun(keys))
        outcome = parse_outcome(raw)
        if outcome is None or not self._is_whole(outcome, attempt, keys):
            return _Evidence(attempt, None, raw, begun=True)
        shown = masked(outcome, mask)
        raw = raw if shown == outcome else shown.model_dump_json(indent=1).encode()
        return _Evidence(attempt, shown, raw, begun=True)

    def _begun(self, keys: AttemptKeys) -> tuple[bool, bool]:
        """Whether it was begun, and whether it was handed back."""
        try:
            with self._storage.open(keys.begun) as stream:
                return True, is_handed_back(stream.read(_LARGEST_BEGUN))
        except ObjectMissing:
            return False, False

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
        any_begun = any(found.was_in_hand(ending) for found in evidence)
        return [self._end(found, ending, any_begun) for found in evidence]

    def _end(self, found: _Evidence, ending: Ending, any_begun: bool) -> AttemptEnd:
        """Only what was begun is charged; where nothing was, the whole dispatch is to blame."""
        begun = found.was_in_hand(ending)
        untouched = not begun and (any_begun or ending.stop is StopReason.DRAINED)
        asked = ending.stop is StopReason.ASKED
        if found.outcome is None and self.excuses(ending):
            verdict = excused()
        elif untouched and not asked:
            verdict = returned(ending)
        else:
            verdict = verdict_of(found.outcome, ending)
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
                reason=known.mask.text(verdict.reason),
            )
            for attempt in self._ledger.attempts_of(dispatch)
        ]
        records = [_attempt_record(end) for end in ends]
        self._write_record(self._logs(dispatch), self._record(dispatch, records))
        self._ledger.end(dispatch, ends, why=ends[0].reason)
        self.same_failure.add(ends)

    # the log tree

    def _ended_record(
        self, ended: Ended, ends: Sequence[AttemptEnd], detail: str
    ) -> DispatchRecord:
        record = self._record(ended.dispatch, [_attempt_record(end) for end in ends])
        ending = EndingRecord.of(replace(ended.ending, detail=detail))
        update = {"node": ended.node, "ended_at": self._clock.now(), "ending": ending}
        return record.model_copy(update=update)

    def _save_logs(self, dispatch: Dispatch, folder: Path, mask: Mask) -> str:
        if not dispatch.job_id:
            return ""
        try:
            self._cluster.save_logs(JobId(dispatch.job_id), folder, mask)
        except ClusterUnavailable:
            raise
        except ClusterError as error:
            return mask.text(f"its logs could not be brought home: {error}")
        return ""

    def _save_usage(self, dispatch: Dispatch, logs: DispatchLogs) -> None:
        """What was measured comes home as numbers alone, whatever lies there.

        What cannot be read stays there: no item waits for measurements.
        """
        if not self._batch.monitoring_interval:
            return
        try:
            with self._storage.open(self._batch.keys.usage(dispatch.name)) as stream:
                series = parse_series(stream.read(MAX_BYTES + 1))
        except StorageUnavailable:  # as for all else that it left
            raise
        except (StorageError, AccessRefused, BadInput):
            return
        _write(logs.usage, series.to_csv())

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

    def _publish(self, end: AttemptEnd, outcome: Outcome | None, replaced: Collection[str]) -> None:
        """Put the files of a winning attempt where readers look for them.

        What it makes out of date goes first: scores are never seen beside other translations.
        The steps' own folders lie there too: a file that is called like one stays in its attempt's.
        """
        if outcome is None or end.state not in DONE or end.attempt.id in self._published:
            return
        keys, item = self._keys(end.attempt), end.attempt.item.id
        names = {f.name for f in outcome.files} - set(self._batch.step_names)
        for name in sorted(set(replaced) - names - set(self._batch.step_names)):
            self._storage.remove(self._batch.keys.published(item, name))
        for name in sorted(names):
            self._copy(keys.file(name), self._batch.keys.published(item, name))
        self._published.add(end.attempt.id)

    def _copy(self, source: str, target: str) -> None:
        """Its size was told a moment ago: what is not there now is looked for again."""
        try:
            self._storage.copy(source, target)
        except ObjectMissing as error:
            raise StorageUnavailable(f"{error.what} any more", why=error.why) from error

    def _keys(self, attempt: Attempt) -> AttemptKeys:
        step = self._batch.pipeline.steps[attempt.step].name
        return self._batch.keys.attempt(attempt.item.id, step, attempt.number)

    def _logs(self, dispatch: Dispatch) -> DispatchLogs:
        return self._batch.logs.dispatch(self._batch.step(dispatch).name, dispatch.name)


def _or_outage(work: Callable[[A], B]) -> Callable[[A], B | CoordinatorError]:
    """`work`, which gives an outage back instead of raising it."""

    def attempt(thing: A) -> B | CoordinatorError:
        try:
            return work(thing)
        except (ClusterUnavailable, StorageUnavailable, CredentialsError) as outage:
            return outage

    return attempt


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
    """The log tree can be made again, so nothing waits for the disk."""
    with _log_tree(path):
        write_whole(path, data)


@contextmanager
def _log_tree(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"{path} in the log tree cannot be written",
            why=error.strerror or str(error),
            hint="free the disk, or check the rights to --log_dir; then --resume",
        ) from error
