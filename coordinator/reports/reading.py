"""All that the log folder of one batch says."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from coordinator.domain.paths import REDONE_FILE
from coordinator.domain.shown import for_terminal
from coordinator.reports.batches import BATCH_FILE
from coordinator.reports.dispatch_folders import Reader
from coordinator.reports.dispatches import Attempt, Dispatch, read_dispatch
from coordinator.reports.redone import read_redone
from coordinator.reports.rules import Rules
from coordinator.reports.run_list import (
    ITEMS_FILE,
    RunList,
    batch_run_list,
    seen_run_list,
    with_skipped,
)
from coordinator.reports.tree import Tree


@dataclass(frozen=True)
class BatchLogs:
    """A batch as its logs tell it.

    Attributes:
        steps: all its steps, in order; every attempt's step is among them.
        attempts: item -> its attempts, in no order.
        skipped: items that were left out when the batch was submitted -> why.
        limited: what was left out of the batch, in words; "" = nothing.
        redone: item -> step -> its first attempt that counts, of items that were done again.
        is_foreign: whether another batch system ran it.
    """

    batch: str
    steps: tuple[str, ...]
    attempts: Mapping[str, Sequence[Attempt]]
    run_list: RunList
    skipped: Mapping[str, str]
    redone: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    limited: str = ""
    is_foreign: bool = False


@dataclass(frozen=True)
class _Record:
    """The part of `batch.json` that reports use."""

    batch: str = ""
    steps: tuple[str, ...] = ()
    items: int | None = None
    skipped: Mapping[str, str] = field(default_factory=dict)
    limited: str = ""


def read_batch(tree: Tree, folder: Path, given: RunList | None) -> BatchLogs:
    """Read the logs in `folder`. `given` is the run list that was asked for, if one was.

    What cannot be used is noted in `tree`; nothing is raised for it.
    """
    entries = tree.entries(folder)
    record = _record(tree, folder / BATCH_FILE) if folder / BATCH_FILE in entries.files else None
    record = record or _Record()
    listed = given or _own_list(tree, folder, entries.files)
    known = listed.ids if listed else ()
    dispatches = list(_dispatches(tree, entries.folders, known))
    attempts = _by_item(dispatches)
    run_list = with_skipped(listed or seen_run_list(set(attempts)), record.skipped)
    if given is None and record.items is not None and len(run_list.ids) < record.items:
        tree.note(folder / BATCH_FILE, f"asks for {record.items} items; {run_list.source} has less")
    return BatchLogs(
        batch=record.batch or _batch_of(dispatches) or folder.name,
        steps=_steps(record.steps, dispatches),
        attempts=attempts,
        run_list=run_list,
        skipped=record.skipped,
        redone=_redone(tree, folder, entries.files),
        limited=record.limited or _limited_by(attempts),
    )


def read_by_rules(tree: Tree, folder: Path, given: RunList | None, rules: Rules) -> BatchLogs:
    """Read the logs of another batch system in `folder`, laid out as `rules` say."""
    attempts: defaultdict[str, list[Attempt]] = defaultdict(list)
    for attempt in Reader(tree, rules).attempts(folder):
        attempts[attempt.item].append(attempt)
    run_list = given or seen_run_list(set(attempts))
    # A dispatch writes over what the one before it made: of each item only the newest counts.
    newest = {item: {rules.driver: len(tries)} for item, tries in attempts.items()}
    return BatchLogs(
        folder.name, (rules.driver,), dict(attempts), run_list, {}, newest, is_foreign=True
    )


def read_record(tree: Tree, folder: Path) -> Mapping[str, Any]:
    """All of the record in `folder`, to be shown; {} = there is none that can be read."""
    path = folder / BATCH_FILE
    data = tree.document(path) if path in tree.entries(folder).files else None
    try:
        document = json.loads(data or b"{}")
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _limited_by(attempts: Mapping[str, Iterable[Attempt]]) -> str:
    """What the outcomes say, where the batch's own record is not there."""
    outcomes = (a.outcome for tries in attempts.values() for a in tries if a.outcome)
    said = (outcome.facts.get("limited") for outcome in outcomes)
    return next((for_terminal(str(words)) for words in said if words), "")


def _own_list(tree: Tree, folder: Path, files: Sequence[Path]) -> RunList | None:
    path = folder / ITEMS_FILE
    return batch_run_list(tree, path) if path in files else None


def _redone(tree: Tree, folder: Path, files: Sequence[Path]) -> Mapping[str, Mapping[str, int]]:
    path = folder / REDONE_FILE
    return read_redone(tree, path) if path in files else {}


def _dispatches(tree: Tree, steps: Iterable[Path], known: Sequence[str]) -> Iterator[Dispatch]:
    for step in steps:
        for folder in tree.counted(f"dispatches of {step.name} read", tree.entries(step).folders):
            yield read_dispatch(tree, folder, known)


def _by_item(dispatches: Iterable[Dispatch]) -> dict[str, list[Attempt]]:
    found: defaultdict[str, list[Attempt]] = defaultdict(list)
    for dispatch in dispatches:
        for attempt in dispatch.attempts:
            found[attempt.item].append(attempt)
    return dict(found)


def _batch_of(dispatches: Iterable[Dispatch]) -> str:
    names = Counter(d.record.batch for d in dispatches if d.record is not None)
    return names.most_common(1)[0][0] if names else ""


def _steps(stated: Sequence[str], dispatches: Sequence[Dispatch]) -> tuple[str, ...]:
    """The batch's own word, else a dispatch's, else the folders' names.

    A step that only occurs is put in front, so that its success never counts as the item's.
    """
    ordered = stated or next((d.record.steps for d in dispatches if d.record), ())
    occurring = {attempt.step for d in dispatches for attempt in d.attempts}
    return (*sorted(occurring - set(ordered)), *ordered)


def _record(tree: Tree, path: Path) -> _Record | None:
    data = tree.document(path)
    if data is None:
        return None
    try:
        return _record_of(json.loads(data))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        tree.note(path, "damaged: the report goes by the dispatches alone")
        return None


def _record_of(document: dict[str, Any]) -> _Record:
    """Raises the errors of a document that is not as it should be."""
    steps, items = document["steps"], document["items"]
    if not isinstance(steps, list) or not isinstance(items, int):
        raise TypeError
    skipped = {  # their ids may be the reason: they are shown, and never a path
        for_terminal(str(s["id"])): str(s.get("reason", "")) for s in document.get("skipped", ())
    }
    return _Record(
        batch=str(document.get("batch", "")),
        steps=tuple(map(str, steps)),
        items=items,
        skipped=skipped,
        limited=for_terminal(str(document.get("limited") or "")),
    )
