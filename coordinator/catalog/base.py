"""What every source of items gives, and what is said of an item that cannot be used."""

import hashlib
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from coordinator.domain.shown import for_terminal
from coordinator.errors import BadInput, Problem
from coordinator.storage.hrefs import shown

Progress = Callable[[str, int, int | None], None]  # stage, how many are done, of how many if known

LONGEST_ID_SHOWN = 80
MOST_KNOWN = 20_000  # ids that are kept to find similar ones among
MOST_BAD = 100_000  # items; where more are wrong, the source or the list is


@dataclass(frozen=True)
class RawItem:
    """An item as it was found: nothing of it has been checked.

    Attributes:
        document: its JSON; None where it could not be read.
        location: absolute path or URL of the file that it stands in.
        place: where in that file, e.g. `:12`; "" = it is the whole file.
        name: what its link calls it, where it came by a link.
        fault: why it could not be read, or "".
    """

    document: Any
    location: str
    place: str = ""
    name: str = ""
    fault: str = ""

    @property
    def where(self) -> str:
        return f"{shown(self.location)}{self.place}"

    @property
    def id(self) -> object:
        """Its id, whatever that is; None where there is none."""
        return self.document.get("id") if isinstance(self.document, dict) else None


class ItemSource(Protocol):
    """A catalog or an API. Items are read as they are asked for.

    Both methods raise, when the reading gets there, BadInput where a part of the source cannot be
    used and SourceUnreachable where it does not answer.
    """

    def items(self) -> Iterator[RawItem]:
        """Every item, in the source's order."""
        ...

    def by_ids(self, ids: Collection[str]) -> Iterator[RawItem]:
        """The items of these ids, in any order; what is not there is left out.

        Each id is there once. Whether one of them is, is asked for every item of the source.

        Items that cannot be read, and so may be of these ids, are given as well.
        """
        ...

    def known_ids(self) -> Collection[str]:
        """The first ids that were met, asked for or not, where the source keeps them."""
        ...


@dataclass(frozen=True)
class BadItem:
    """An item that cannot be run.

    Attributes:
        id: as the list or the item has it, else where it stands: to be printed, never a path.
        problem: all that is wrong with it, in one.
    """

    id: str
    problem: Problem


def shown_id(item_id: object) -> str:
    """An id from outside as it may be printed: one line, no control characters, not too long."""
    text = for_terminal(item_id if isinstance(item_id, str) else repr(item_id))
    if len(text) <= LONGEST_ID_SHOWN:
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{text[:LONGEST_ID_SHOWN]}...({digest})"  # long ids that differ are shown to differ


def bad_item(item_id: str, problems: Sequence[Problem]) -> BadItem:
    """One bad item of its `problems`, of which there is at least one."""
    first = problems[0]
    if len(problems) == 1:
        return BadItem(item_id, first)
    reasons = "; ".join(f"{p.field}: {p.reason}" if p.field else p.reason for p in problems)
    return BadItem(item_id, Problem(first.where, reasons, first.fix))


def too_many_bad(where: str) -> BadInput:
    """What is said where it would take too long to say all."""
    return BadInput(
        f"more than {MOST_BAD:,} items of {where} cannot be used",
        why="it is hardly what was meant",
        hint="check the item list and the catalog, and try a few items first: --limit_items 10",
    )
