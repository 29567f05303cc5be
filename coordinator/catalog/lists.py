"""An item list: one id a line."""

import codecs
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from coordinator.catalog.base import BadItem, shown_id
from coordinator.domain.names import item_id_problem
from coordinator.errors import BadInput, Problem
from coordinator.storage.hrefs import shown
from coordinator.storage.locations import open_location

LONGEST_LINE = 4096  # bytes; no id comes near


@dataclass(frozen=True)
class ItemList:
    """What an item list says.

    Attributes:
        ids: the distinct good ids, in the order of their first lines.
        lines: id, good or bad -> its first line, from 1.
        repeated: how many lines named an id again.
        comments: how many comment lines there were.
        bad: lines that are no item id.
    """

    ids: tuple[str, ...]
    lines: Mapping[str, int] = field(default_factory=dict)
    repeated: int = 0
    comments: int = 0
    bad: tuple[BadItem, ...] = ()


def read_item_list(path: Path) -> ItemList:
    """The item list at `path`: `#` starts a comment line, blank lines do not count.

    Raises:
        BadInput: it cannot be read, is empty, or has a line longer than LONGEST_LINE bytes.
    """
    reading = _Reading(path)
    for number, line in _lines(path):
        reading.take(number, line)
    if not reading.lines:
        raise BadInput(
            f"{shown(str(path))} lists no item",
            why="it is empty, or holds only comments and blank lines",
            hint="write one item id a line",
        )
    return ItemList(
        ids=tuple(reading.ids),
        lines=reading.lines,
        repeated=reading.repeated,
        comments=reading.comments,
        bad=tuple(reading.bad),
    )


class _Reading:
    """What has been read of a list so far."""

    def __init__(self, path: Path) -> None:
        self.name = shown(str(path))
        self.ids: list[str] = []
        self.lines: dict[str, int] = {}
        self.bad: list[BadItem] = []
        self.repeated = self.comments = 0

    def take(self, number: int, line: bytes) -> None:
        text = line.decode("utf-8", "surrogateescape").strip()
        if not text:
            return
        if text.startswith("#"):
            self.comments += 1
            return
        reason = _id_problem(text)
        item_id = shown_id(text) if reason else text
        if item_id in self.lines:
            self.repeated += 1
            return
        self.lines[item_id] = number
        if reason:
            problem = Problem(f"{self.name}:{number}", f"{item_id}: {reason}", field="id")
            self.bad.append(BadItem(item_id, problem))
        else:
            self.ids.append(text)


def _id_problem(text: str) -> str | None:
    if any("\udc80" <= character <= "\udcff" for character in text):
        return "not UTF-8"
    return item_id_problem(text)


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    with open_location(str(path)) as stream:
        number = 0
        while line := stream.readline(LONGEST_LINE + 1):
            number += 1
            if len(line) > LONGEST_LINE:
                raise _too_long(path, number)
            yield number, line.removeprefix(codecs.BOM_UTF8) if number == 1 else line


def _too_long(path: Path, number: int) -> BadInput:
    return BadInput(
        f"{shown(str(path))}:{number} is longer than {LONGEST_LINE} bytes",
        why="no item id is that long",
        hint="give a text file with one item id a line",
    )
