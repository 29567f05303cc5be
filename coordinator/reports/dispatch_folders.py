"""The log trees of batches whose folders Nomad named, read by rules.

`<batch>/<job>/dispatch-[batch_name=..,aoi_name=..,..]-<unix>-<8 hex>/<task>.{stderr,stdout}.N`: the
item is the folder's `aoi_name`, its unix time orders the dispatches of one item, and one job drives
each item: what its newest log ends with is what became of the item.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from coordinator.domain.names import item_id_problem
from coordinator.domain.states import AttemptState, FailureKind
from coordinator.reports.dispatches import Attempt, Evidence, Times, a_time
from coordinator.reports.processes import read_each
from coordinator.reports.rules import Rule, Rules
from coordinator.reports.scan import clean
from coordinator.reports.sieve import Sieve
from coordinator.reports.tree import Note, Tree

_FOLDER = re.compile(r"dispatch-\[(?P<fields>[^\[\]]*)\]-(?P<time>\d{1,12})-[0-9a-f]{8}")
_FIELD_END = re.compile(r",(?=\w+=)")  # an item's id may have commas too
_STREAM = re.compile(r"(?P<task>.+)\.(?P<stream>stderr|stdout)\.(?P<part>\d{1,9})")
_TIME = re.compile(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d")
ITEM = "aoi_name"


@dataclass(frozen=True)
class Folder:
    """The folder of one dispatch of an item's driver."""

    path: Path
    item: str
    time: int


class Reader:
    """Judges the dispatches of a tree by a table of rules."""

    def __init__(self, tree: Tree, rules: Rules) -> None:
        self._tree, self._rules = tree, rules
        self._sieves: dict[str, Sieve] = {}

    def attempts(self, batch: Path) -> Iterator[Attempt]:
        """The dispatches of the driver, the newest of an item being its last attempt."""
        counts: dict[str, int] = {}
        folders = sorted(self._folders(batch), key=lambda folder: folder.time)
        results = read_each(self._ends, folders)
        counted = self._tree.counted("logs read", folders)
        for folder, (ends, notes) in zip(counted, results, strict=True):
            counts[folder.item] = counts.get(folder.item, 0) + 1
            self._tree.notes += notes
            yield _attempt(folder, self._rules.driver, counts[folder.item], *ends)

    def _folders(self, batch: Path) -> Iterator[Folder]:
        for path in self._tree.entries(batch / self._rules.driver).folders:
            named = _FOLDER.fullmatch(path.name)
            fields = _fields(named["fields"]) if named else {}
            if named is None or item_id_problem(fields.get(ITEM)):
                self._tree.note(path, "its name tells no item: not used")
            else:
                yield Folder(path, fields[ITEM], int(named["time"]))

    def _ends(self, folder: Folder) -> tuple["_Ends", list[Note]]:
        """The line that says what became of it and the one that says why, and what was amiss."""
        tree = Tree(self._tree.base)
        end = reason = None
        why: dict[str, _Found] = {}  # task -> the last that says why; another's says it of itself
        for found in self._evidence(tree, folder):
            if found.rule in self._rules.ends:
                end, reason, why = found, why.get(found.evidence.task), {}
            else:
                why[found.evidence.task] = found
        return (end, reason), tree.notes

    def _evidence(self, tree: Tree, folder: Folder) -> Iterator["_Found"]:
        """What the rules say of its logs, each task's parts in order."""
        for path, task in _streams(tree, folder.path):
            stream = tree.open(path)
            if stream is None:
                continue
            with stream:
                for hit in self._sieve(task).hits(stream):
                    yield _Found(hit.rule, Evidence(task, path, hit.line, clean(hit.text)))

    def _sieve(self, task: str) -> Sieve:
        if task not in self._sieves:
            table = (*self._rules.ends, *self._rules.rules)
            self._sieves[task] = Sieve([rule for rule in table if rule.is_for(task)])
        return self._sieves[task]


def _streams(tree: Tree, folder: Path) -> Sequence[tuple[Path, str]]:
    named = [
        ((match["task"], match["stream"], int(match["part"])), path)
        for path in tree.entries(folder).files
        if (match := _STREAM.fullmatch(path.name))
    ]
    return [(path, order[0]) for order, path in sorted(named)]


@dataclass(frozen=True)
class _Found:
    rule: Rule
    evidence: Evidence


_Ends = tuple[_Found | None, _Found | None]


def _attempt(
    folder: Folder, step: str, number: int, end: _Found | None, why: _Found | None
) -> Attempt:
    if end is None:  # it may run, or be lost: its log cannot tell
        reason = "its log has no end: it runs, or it was lost"
        state = AttemptState.RUNNING
        return Attempt(folder.item, step, number, state, None, reason, folder.path, is_open=True)
    state, kind, said = _verdict(end, why)
    return Attempt(
        folder.item,
        step,
        number,
        state,
        kind,
        said.text,
        folder.path,
        evidence=said,
        times=Times(ended_at=_time_of(said.text)),
    )


def _verdict(end: _Found, why: _Found | None) -> tuple[AttemptState, FailureKind | None, Evidence]:
    kind = end.rule.kind
    if not isinstance(kind, FailureKind):
        return AttemptState(str(kind)), None, end.evidence
    if kind is FailureKind.UNKNOWN and why is not None:
        assert isinstance(why.rule.kind, FailureKind)
        return AttemptState.FAILED, why.rule.kind, why.evidence
    return AttemptState.FAILED, kind, end.evidence


def _time_of(text: str) -> float | None:
    """Seconds since the epoch of the first time in a line, which is taken for UTC."""
    try:
        found = _TIME.search(text)
        return a_time(datetime.fromisoformat(f"{found[0]}+00:00").timestamp()) if found else None
    except ValueError:
        return None


def _fields(text: str) -> dict[str, str]:
    pairs = (part.partition("=") for part in _FIELD_END.split(text))
    return {name: value for name, _, value in pairs}
