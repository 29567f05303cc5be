"""For each failed item, the line of its logs that explains it."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from coordinator.domain.paths import DispatchLogs
from coordinator.domain.states import AttemptState, FailureKind
from coordinator.domain.verdicts import Ending, verdict_of
from coordinator.reports.dispatches import Attempt
from coordinator.reports.history import ItemReport
from coordinator.reports.processes import read_each
from coordinator.reports.rules import Rules
from coordinator.reports.scan import Found, Scan, first_line, is_structured, scan, shortened
from coordinator.reports.tree import Note, Tree

_STDERR = re.compile(r"(?P<task>.+)\.stderr\.(?P<part>\d{1,9})")
_MAIN_TASK = "worker"
_TIME_AHEAD = re.compile(r"\A\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?Z?\s+")


@dataclass(frozen=True)
class Message:
    """Why an item failed, and where to look.

    Attributes:
        job: the step whose job failed.
        file: relative to the log folder.
        line: from 1; None where the message is no line of a log.
        at: when the attempt ended, in seconds since the epoch; None = nobody knows.
        not_stored: whether the work was done, and the store did not take what it came to.
    """

    item: str
    kind: FailureKind
    job: str
    task: str
    file: str
    line: int | None
    message: str
    at: float | None = None
    not_stored: bool = False

    def to_json(self) -> dict[str, Any]:
        beside = ("kind", "at", "not_stored")
        return {name: value for name, value in asdict(self).items() if name not in beside}


@dataclass(frozen=True)
class _Place:
    task: str
    file: Path
    line: int | None


@dataclass(frozen=True)
class _Stream:
    """A scanned stream of one task; `scan` holds the words, `path` the file."""

    task: str
    path: Path
    scan: Scan


def explain(tree: Tree, reports: Iterable[ItemReport], rules: Rules) -> list[Message]:
    """A message for every failed item, in order of the items. Each stream is read once.

    Where nothing but words tells why an item failed, the message is of the kind that `rules` take
    them for.
    """
    failed = [(r, r.deciding) for r in reports if r.kind is not None and r.deciding is not None]
    unread = {a.folder: a.ending for _, a in failed if a.evidence is None}
    said = _all_said(tree, sorted(unread.items(), key=lambda pair: str(pair[0])))
    messages = [
        _message(tree, report, attempt, said.get(attempt.folder, []), rules)
        for report, attempt in failed
    ]
    return sorted(messages, key=lambda message: message.item)


def _all_said(
    tree: Tree, folders: Sequence[tuple[Path, Ending | None]]
) -> dict[Path, list[_Stream]]:
    """Dispatch folder -> its streams, in several processes where there are many."""
    found = {}
    results = read_each(partial(_said, tree.base), folders)
    counted = tree.counted("logs of failures read", folders)
    for (folder, _), (streams, notes) in zip(counted, results, strict=True):
        found[folder] = streams
        tree.notes += notes
    return found


def _said(base: Path, ended: tuple[Path, Ending | None]) -> tuple[list[_Stream], list[Note]]:
    tree = Tree(base)
    return list(_streams(tree, *ended)), tree.notes


def _streams(tree: Tree, folder: Path, ending: Ending | None) -> Iterator[_Stream]:
    """The standard error of every task, the main one first, and of a task its newest part first."""
    named = []
    for path in tree.entries(folder).files:
        if match := _STDERR.fullmatch(path.name):
            order = (match["task"] != _MAIN_TASK, match["task"], -int(match["part"]))
            named.append((order, match["task"], path))
    for _, task, path in sorted(named):
        if (stream := tree.open(path)) is not None:
            with stream:
                yield _Stream(task, path, scan(stream, ending.exit_code if ending else None))


def _message(
    tree: Tree, report: ItemReport, attempt: Attempt, streams: list[_Stream], rules: Rules
) -> Message:
    kind = report.kind or FailureKind.UNKNOWN
    words = _last_words(attempt, streams, rules)
    if words is not None:
        kind, text, place = words
    else:
        text, place = (
            _read_by_rules(attempt)
            or _said_of_item(attempt, streams)
            or _said_of_process(attempt, streams)
        )
    return Message(
        item=report.item,
        kind=kind,
        job=attempt.step,
        task=place.task,
        file=tree.relative(place.file),
        line=place.line,
        message=first_line(text) or "no reason is known",
        at=attempt.ended_at,
        not_stored=any(_was_not_stored(attempt.item, stream.scan) for stream in streams),
    )


def _last_words(
    attempt: Attempt, streams: list[_Stream], rules: Rules
) -> tuple[FailureKind, str, _Place] | None:
    """What ended a process that left no outcome and no reason, where rules know the words.

    Words alone never make a failure of a process that ended well, nor a success of any.
    """
    ending = attempt.ending
    if attempt.state is not AttemptState.UNKNOWN or (ending and ending.exit_code == 0):
        return None
    for stream in _newest(streams):
        found = stream.scan.last_words
        if found is not None and (kind := _kind_of(stream, found, rules)) is not None:
            return kind, found.text, _Place(stream.task, stream.path, found.line)
    return None


def _kind_of(stream: _Stream, found: Found, rules: Rules) -> FailureKind | None:
    """The cause of a chain of exceptions speaks first."""
    for text in (found.cause, found.text):
        kind = rules.kind_of(stream.task, text, is_main=stream.task == _MAIN_TASK)
        if kind is not None:
            return kind
    return None


def _newest(streams: Iterable[_Stream]) -> list[_Stream]:
    """Of each task, the newest part that says anything: only there its process can have ended."""
    found: dict[str, _Stream] = {}
    for stream in streams:
        if stream.scan.last is not None:
            found.setdefault(stream.task, stream)
    return list(found.values())


def _read_by_rules(attempt: Attempt) -> tuple[str, _Place] | None:
    found = attempt.evidence
    if found is None:
        return None
    text = _TIME_AHEAD.sub("", found.text)  # `at` has it
    return text, _Place(found.task, found.file, found.line)


def _said_of_item(attempt: Attempt, streams: list[_Stream]) -> tuple[str, _Place] | None:
    """What the outcome, or the item's own line in the log, says."""
    text, place = "", None
    if attempt.outcome is not None and attempt.outcome.failure is not None:
        text = attempt.outcome.failure.message
        place = _Place("", DispatchLogs(attempt.folder).outcome(attempt.item), None)
    for stream in streams:
        found = stream.scan.items.get(attempt.item)
        # Without an outcome, only the last process in this log can have ended the attempt.
        if found is not None and (attempt.outcome or found.line > stream.scan.began):
            place = _Place(stream.task, stream.path, found.line)
            text = text or found.text or attempt.reason
            break
    return (text or attempt.reason, place) if place is not None else None


def _was_not_stored(item: str, scan: Scan) -> bool:
    """Whether the last process in this log says so: one before it may have had to do it again."""
    found = scan.not_stored.get(item)
    return found is not None and found.line > scan.began


def _said_of_process(attempt: Attempt, streams: list[_Stream]) -> tuple[str, _Place]:
    """What ended the process: the cluster's reason, else an exception, else an error line.

    Other tasks are heard only where the main one says nothing at all.
    """
    record = _Place("", DispatchLogs(attempt.folder).record, None)
    ends = _newest(streams)
    streams = [stream for stream in ends if stream.task == _MAIN_TASK] or ends
    last = _first(streams, lambda scan: scan.last) or ("", record)
    if _is_explained(attempt):
        return attempt.reason, last[1]
    for pick in (lambda scan: scan.ended_by, lambda scan: scan.error):
        if (said := _first(streams, pick)) is not None:
            return said
    if last[0] and not is_structured(last[0]):
        return shortened(f"{attempt.reason}; last line: {last[0]}"), last[1]
    return attempt.reason, last[1]


def _first(streams: list[_Stream], pick: Callable[[Scan], Any]) -> tuple[str, _Place] | None:
    for stream in streams:
        if (found := pick(stream.scan)) is not None:
            return found.text, _Place(stream.task, stream.path, found.line)
    return None


def _is_explained(attempt: Attempt) -> bool:
    """Whether what is known of the ending says it all, so that no text could say more."""
    ending = attempt.ending
    if ending is None:
        return attempt.state is not AttemptState.UNKNOWN
    verdict = verdict_of(None, ending)
    if attempt.reason and attempt.reason != verdict.reason:
        return True  # the coordinator read more than is left here
    killed = verdict.kind is FailureKind.OUT_OF_MEMORY or ending.gone or bool(ending.stop)
    return killed or (ending.exit_code is None and not ending.signal and bool(ending.detail))
