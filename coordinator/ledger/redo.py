"""Doing finished items again from a step on, and which attempts count since then."""

import json
from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from typing import NamedTuple

from coordinator.ledger.ledger import _CHUNK, Ledger


class Finished(NamedTuple):
    """An item that has ended, as it was read: nothing is done if it has moved since."""

    id: str
    seq: int
    round: int


class CountedFrom(NamedTuple):
    """The first attempt of a step that counts, of an item that was done again."""

    item: str
    step: int
    number: int


class RedoDesk:
    """The ledger's own other half, apart only so that each fits a screen."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def finished(self, step: int, ids: Collection[str] | None = None) -> Iterator[Finished]:
        """Items that have ended at `step` or later, in list order; None = whatever their id."""
        asked = None if ids is None else json.dumps(list(ids))
        rows = self._ledger._each("finished_from", step=step, ids=asked)
        return (Finished(row["id"], row["seq"], row["round"]) for row in rows)

    def redo(self, items: Iterable[Finished], step: int, why: str) -> int:
        """Have items wait for a new attempt of `step`, with fresh retries; how many.

        What they came to before stays as it is: its attempts are history.

        Raises:
            StaleMove: one of them is not as it was read, or never came to `step`; none is moved.
        """
        left, count = ((item.seq, item.round) for item in items), 0
        with self._ledger._transaction():
            while chunk := list(islice(left, _CHUNK)):
                self._ledger._guarded_all("redo_items", chunk, step=step)
                self._ledger._guarded_all("add_redone", chunk, step=step)
                count += len(chunk)
            self._ledger._event("redone", why=why)
        return count

    def counted_from(self) -> Iterator[CountedFrom]:
        """Of each item that was done again after a success, where what counts begins.

        From the step on at which it was redone last; what it came to before that is out of date,
        whether or not the new attempts have begun.
        """
        rows = self._ledger._each("counted_from")
        return (CountedFrom(row["id"], row["step"], row["number"]) for row in rows)
