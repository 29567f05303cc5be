"""For each failed item, the line of its logs that explains it."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from coordinator.domain.paths import DispatchLogs
from coordinator.domain.states import AttemptState, FailureKind
from coordinator.domain.verdicts import Ending, verdict_of
from coordinator.reports.dispatches import Attempt
from coordinator.reports.history import ItemReport
from coordinator.reports.scan import Scan, first_line, is_structured, scan, shortened
from coordinator.reports.tree import Tree

_STDERR = re.compile(r"(?P<task>.+)\.stderr\.(?P<part>\d{1,9})")
_MAIN_TASK = "worker"


@dataclass(frozen=True)
class Message:
    """Why an item failed, and where to look.

    Attributes:
        job: the step whose job failed.
        file: relative to the log folder.
        line: from 1; None where the message is no line of a log.
    """

    item: str
    kind: FailureKind
    job: str
    task: str
    file: str
    line: int | None
    message: str

    def to_json(self) -> dict[str, Any]:
        document = asdict(self)
        del document["kind"]
        return document


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


def explain(tree: Tree, reports: Iterable[ItemReport]) -> list[Message]:
    """A message for every failed item, in order of the items. Each stream is read once."""
    failed = [(r, r.deciding) for r in reports if r.kind is not None and r.deciding is not None]
    failed.sort(key=lambda pair: str(pair[1].folder))
    messages = []
    for folder, group in groupby(failed, key=lambda pair: pair[1].folder):
        members = list(group)
        streams = list(_streams(tree, folder, members[0][1].ending))
        messages += [_message(tree, report, attempt, streams) for report, attempt in members]
    return sorted(messages, key=lambda message: message.item)


def _streams(tree: Tree, folder: Path, ending: Ending | None) -> Iterator[_Stream]:
    """The standard error of every task, the main one first, and of a task its newest part first."""
    named = []
    for path in folder.iterdir():  # links among them were told before and are refused by `open`
        if (match := _STDERR.fullmatch(path.name)) and not path.is_symlink():
            order = (match["task"] != _MAIN_TASK, match["task"], -int(match["part"]))
            named.append((order, match["task"], path))
    for _, task, path in sorted(named):
        if (stream := tree.open(path)) is not None:
            with stream:
                yield _Stream(task, path, scan(stream, ending.exit_code if ending else None))


def _message(tree: Tree, report: ItemReport, attempt: Attempt, streams: list[_Stream]) -> Message:
    text, place = _said_of_item(attempt, streams) or _said_of_process(attempt, streams)
    return Message(
        item=report.item,
        kind=report.kind or FailureKind.UNKNOWN,
        job=attempt.step,
        task=place.task,
        file=tree.relative(place.file),
        line=place.line,
        message=first_line(text) or "no reason is known",
    )


def _said_of_item(attempt: Attempt, streams: list[_Stream]) -> tuple[str, _Place] | None:
    """What the outcome, or the item's own line in the log, says."""
    text, place = "", None
    if attempt.outcome is not None and attempt.outcome.failure is not None:
        text = attempt.outcome.failure.message
        place = _Place("", DispatchLogs(attempt.folder).outcome(attempt.item), None)
    for stream in streams:
        if (found := stream.scan.items.get(attempt.item)) is not None:
            place = _Place(stream.task, stream.path, found.line)
            text = text or found.text or attempt.reason
            break
    return (text or attempt.reason, place) if place is not None else None


def _said_of_process(attempt: Attempt, streams: list[_Stream]) -> tuple[str, _Place]:
    """What ended the process: the cluster's reason, else an exception, else an error line."""
    record = _Place("", DispatchLogs(attempt.folder).record, None)
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
