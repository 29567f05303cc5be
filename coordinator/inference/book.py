"""The items in hand: which sentences they lack, which are whole, and which have failed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from coordinator.inference.pool import Direction, Unit

T = TypeVar("T")
_MOST_KNOWN = 200_000  # sentences whose translations are kept for those that come again


@dataclass(frozen=True)
class Text:
    """The sentences of an item, and what they are to be translated from and into."""

    name: str
    sentences: Sequence[str]
    source: str
    target: str
    folder: str = ""  # where its event files go; "" = nowhere

    @property
    def direction(self) -> Direction:
        return self.source, self.target


@dataclass(frozen=True)
class Translated:
    """An item that is whole.

    Attributes:
        translations: one a sentence, in order; blank ones stay blank.
        seconds: its share of the time that the batches took.
        tokens: of its sentences, each counted once.
        truncated: sentences of which the end could not be read or written.
    """

    translations: list[str]
    seconds: float
    tokens: int
    truncated: int


@dataclass
class _Item(Generic[T]):
    """An item in hand."""

    thing: T
    text: Text
    translations: list[str | None]  # None = lacking
    lacking: int = 0
    seconds: float = 0.0
    tokens: int = 0
    truncated: int = 0


class Book(Generic[T]):
    """Every sentence of one direction is translated once, however often it occurs.

    Args:
        every_line: no, every line is, for the model makes of the whole item what it likes.
    """

    def __init__(self, *, every_line: bool = False) -> None:
        self._every_line = every_line
        self._items: dict[int, _Item[T]] = {}
        self._known: dict[tuple[Direction, str], Unit | str] = {}
        self._ended: list[tuple[T, Translated | Exception]] = []
        self._taken = 0

    def __len__(self) -> int:
        """How many items are in hand."""
        return len(self._items)

    def take(self, thing: T, text: Text) -> list[Unit]:
        """Begin an item; its sentences that are not known or on their way yet."""
        number, self._taken = self._taken, self._taken + 1
        item = _Item(thing, text, [""] * len(text.sentences))
        self._items[number] = item
        fresh = []
        for line, sentence in enumerate(text.sentences):
            if self._every_line or sentence.strip():
                fresh += self._place(item, number, line)
        self._end_if_whole(number)
        self._keep_within_bounds()
        return fresh

    def settle(
        self, unit: Unit, translation: str, seconds: float, *, truncated: bool = False
    ) -> None:
        """A sentence has been translated, which took `seconds`."""
        if not self._every_line:
            self._known[unit.direction, unit.text] = translation
        for number, line in unit.places:
            item = self._items.get(number)
            if item and item.translations[line] is None:
                item.translations[line] = translation
                item.lacking -= 1
        if first := self._items.get(unit.item):
            first.seconds += seconds
            first.tokens += unit.tokens
            first.truncated += truncated
        for number in {number for number, _ in unit.places}:
            self._end_if_whole(number)

    def places(self, unit: Unit) -> Iterator[tuple[str, int]]:
        """The items in hand that hold it, and the line where each has it first, from 1."""
        seen = set()
        for number, line in unit.places:
            if number in self._items and number not in seen:
                seen.add(number)
                yield self._items[number].text.name, line + 1

    def fail(self, unit: Unit, errors: Sequence[Exception]) -> None:
        """A sentence cannot be translated: `errors`, one for each of its `places`."""
        self.forget(unit)
        numbers = dict.fromkeys(n for n, _ in unit.places if n in self._items)
        for number, error in zip(numbers, errors, strict=True):
            self._ended.append((self._items.pop(number).thing, error))

    def refuse(self, thing: T, error: Exception) -> None:
        """An item cannot be begun."""
        self._ended.append((thing, error))

    def is_wanted(self, unit: Unit) -> bool:
        """Whether an item that holds it is in hand; if not, it is forgotten."""
        wanted = any(number in self._items for number, _ in unit.places)
        if not wanted:
            self.forget(unit)
        return wanted

    def forget(self, unit: Unit) -> None:
        if self._known.get((unit.direction, unit.text)) is unit:
            del self._known[unit.direction, unit.text]

    def ended(self) -> Iterator[tuple[T, Translated | Exception]]:
        """What has become of items since this was asked last."""
        ended, self._ended = self._ended, []
        yield from ended

    def _place(self, item: _Item[T], number: int, line: int) -> list[Unit]:
        """Note where a sentence occurs; a unit, where it is new."""
        sentence = item.text.sentences[line]
        known = self._known.get((item.text.direction, sentence))
        if isinstance(known, str):
            item.translations[line] = known
            return []
        item.translations[line] = None
        item.lacking += 1
        if known is not None:
            known.places.append((number, line))
            return []
        folder = item.text.folder if self._every_line else ""  # else other items share it
        unit = Unit(sentence, item.text.direction, [(number, line)], folder=folder)
        if not self._every_line:
            self._known[item.text.direction, sentence] = unit
        return [unit]

    def _end_if_whole(self, number: int) -> None:
        item = self._items.get(number)
        if item is not None and not item.lacking:
            del self._items[number]
            whole = [text for text in item.translations if text is not None]
            found = Translated(whole, item.seconds, item.tokens, item.truncated)
            self._ended.append((item.thing, found))

    def _keep_within_bounds(self) -> None:
        if len(self._known) > _MOST_KNOWN:
            self._known = {key: v for key, v in self._known.items() if isinstance(v, Unit)}
