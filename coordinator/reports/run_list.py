"""The items that a report is about: a given list, the batch's own, or those that left logs."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from coordinator.domain.names import item_id_problem
from coordinator.errors import BadInput, Problem
from coordinator.reports.tree import Tree, numbered_lines

ITEMS_FILE = "items.txt"
_MOST_PROBLEMS = 20
_BOM = "\ufeff"


@dataclass(frozen=True)
class RunList:
    """Which items were meant to run.

    Attributes:
        ids: sorted by code point, each once.
        source: where they come from, in words.
        repeated: how many lines named an item again.
        complete: whether it names items that left no logs too.
        is_given: whether the user gave it.
    """

    ids: tuple[str, ...]
    source: str
    repeated: int = 0
    complete: bool = True
    is_given: bool = False


def read_run_list(path: Path) -> RunList:
    """The run list that a user gives.

    Raises:
        BadInput: it cannot be read, is empty, or names what cannot be an item.
    """
    ids = read_ids(path)
    if not ids:
        raise BadInput(f"the list {path} names no item", hint="one item id a line")
    return replace(_run_list(ids, str(path)), is_given=True)


def read_ids(path: Path) -> list[str]:
    """One id a line; `#` comments and blank lines are left out, repeated ids are not.

    Raises:
        BadInput: it cannot be read, or names what cannot be an item.
    """
    try:
        with path.open("rb") as stream:
            ids, problems = _read(stream, str(path))
    except OSError as error:
        raise BadInput(
            f"the list {path} cannot be read",
            why=error.strerror or str(error),
            hint="name a file with one item id a line",
        ) from error
    if problems:
        raise BadInput(
            f"the list {path} cannot be used", problems=problems, hint="one item id a line"
        )
    return ids


def batch_run_list(tree: Tree, path: Path) -> RunList | None:
    """The list that the coordinator left in the batch's log folder; None where there is none."""
    stream = tree.open(path)
    if stream is None:
        return None
    with stream:
        ids, problems = _read(stream, tree.relative(path))
    for problem in problems:
        tree.note(path, str(problem))
    return _run_list(ids, ITEMS_FILE) if ids else None


def seen_run_list(ids: set[str]) -> RunList:
    """The best that can be had without a list: what left logs."""
    return RunList(tuple(sorted(ids)), "the logs", complete=False)


def with_skipped(run_list: RunList, skipped: Collection[str]) -> RunList:
    """Add the items that were left out at the start: they were asked for too.

    A list that the user gave is taken as it is.
    """
    if run_list.is_given:
        return run_list
    return replace(run_list, ids=tuple(sorted({*run_list.ids, *skipped})))


def _run_list(ids: list[str], source: str) -> RunList:
    unique = tuple(sorted(set(ids)))
    return RunList(unique, source, repeated=len(ids) - len(unique))


def _read(stream: BinaryIO, name: str) -> tuple[list[str], list[Problem]]:
    ids: list[str] = []
    problems: list[Problem] = []
    for number, text in _entries(stream):
        problem = item_id_problem(text)
        if problem is None:
            ids.append(text)
        elif len(problems) < _MOST_PROBLEMS:
            problems.append(Problem(f"{name}:{number}", problem))
    return ids, problems


def _entries(stream: BinaryIO) -> Iterator[tuple[int, str]]:
    for number, line in numbered_lines(stream):
        text = line.decode("utf-8", "surrogateescape").removeprefix(_BOM if number == 1 else "")
        text = text.strip()
        if text and not text.startswith("#"):
            yield number, text
