"""An item list: one id a line."""

import codecs
from collections import ChainMap
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from coordinator.catalog.base import MOST_BAD, BadItem, shown_id, too_many_bad
from coordinator.catalog.stored import StoredMap
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

    ids: Collection[str]
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
    if not reading.good and not reading.bad:
        raise BadInput(
            f"{shown(str(path))} lists no item",
            why="it is empty, or holds only comments and blank lines",
            hint="write one item id a line",
        )
    return ItemList(
        ids=reading.good.keys(),
        lines=ChainMap(reading.good, reading.lines_of_bad),
        repeated=reading.repeated,
        comments=reading.comments,
        bad=tuple(reading.bad),
    )


class _Reading:
    """What has been read of a list so far."""

    def __init__(self, path: Path) -> None:
        self.name = shown(str(path))
        self.good: StoredMap[int] = StoredMap()  # id -> line
        self.lines_of_bad: dict[str, int] = {}
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
        if reason:
            self._take_bad(number, shown_id(text), reason)
        elif text in self.lines_of_bad or not self.good.add(text, number):
            self.repeated += 1

    def _take_bad(self, number: int, item_id: str, reason: str) -> None:
        if item_id in self.lines_of_bad or item_id in self.good:
            self.repeated += 1
            return
        if len(self.bad) == MOST_BAD:
            raise too_many_bad(self.name)
        self.lines_of_bad[item_id] = number
        problem = Problem(f"{self.name}:{number}", f"{item_id}: {reason}", field="id")
        self.bad.append(BadItem(item_id, problem))


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
