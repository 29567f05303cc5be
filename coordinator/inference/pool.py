"""The rows of the items in hand, and how batches are made of them. Nothing here runs a model."""

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field

from coordinator.inference.backend import Row

Direction = tuple[str, str]  # source and target language, as the items name them
Place = tuple[int, int]  # the number of an item in hand, and a line in it, both from 0
_Key = tuple[int, int]  # tokens, and the number of the row: what rows are sorted by


@dataclass(eq=False)
class Unit:
    """A sentence of one direction, wherever it occurs.

    Attributes:
        places: where it occurs; the first is in the oldest item.
        row: the sentence as the model takes it; None until it has been encoded.
        folder: where a model that asks for whole items may write event files; "" = nowhere.
        losses: processes that died when they had nothing but this sentence in hand.
    """

    text: str
    direction: Direction
    places: list[Place] = field(default_factory=list)
    row: Row | None = None
    losses: int = 0
    folder: str = ""

    @property
    def item(self) -> int:
        return self.places[0][0]

    @property
    def tokens(self) -> int:
        return self.row.tokens if self.row else 0


def cost(units: Sequence[Unit]) -> int:
    """What a batch takes up, in tokens: its rows are padded to the longest."""
    return len(units) * max((unit.tokens for unit in units), default=0)


class Pool:
    """Rows that wait. A batch holds those of like length, of whichever item.

    Args:
        mixes_directions: rows of several directions may share a batch.
        whole_items: rows of several items may not, and those of one keep their order.
    """

    def __init__(self, *, mixes_directions: bool, whole_items: bool = False) -> None:
        self._mixes, self._whole = mixes_directions, whole_items
        self._units: dict[int, Unit] = {}
        self._items: defaultdict[int, list[_Key]] = defaultdict(list)
        self._groups: defaultdict[Hashable, list[_Key]] = defaultdict(list)
        self._added = 0
        self.tokens = 0

    def __len__(self) -> int:
        return len(self._units)

    @property
    def items(self) -> int:
        """How many items have rows here."""
        return len(self._items)

    def add(self, units: Iterable[Unit]) -> None:
        for unit in units:
            key = unit.tokens, self._added
            self._units[self._added] = unit
            insort(self._items[unit.item], key)
            insort(self._groups[self._group(unit)], key)
            self._added += 1
            self.tokens += unit.tokens

    def take(self, tokens: int | None, rows: int | None = None) -> list[Unit]:
        """The next batch: the longest row of the oldest item, and its neighbours in length.

        Args:
            tokens: at most so many, rows times the longest of them; None = no limit. A row that
                is longer by itself stands alone.
            rows: at most so many; None = no limit.
        """
        if not self._units:
            return []
        seed = self._items[min(self._items)][-1]
        group = self._group(self._units[seed[1]])
        keys = self._groups[group]
        first, last = _window(keys, bisect_left(keys, seed), tokens, rows)
        taken = keys[first : last + 1]
        del keys[first : last + 1]
        if not keys:
            del self._groups[group]
        if self._whole:
            taken.sort(key=lambda key: key[1])
        return [self._removed(key) for key in taken]

    def _group(self, unit: Unit) -> Hashable:
        """Rows of one group may share a batch."""
        if self._whole:
            return unit.item
        return None if self._mixes else unit.direction

    def _removed(self, key: _Key) -> Unit:
        unit = self._units.pop(key[1])
        keys = self._items[unit.item]
        del keys[bisect_left(keys, key)]
        if not keys:
            del self._items[unit.item]
        self.tokens -= unit.tokens
        return unit


def _window(keys: list[_Key], seed: int, tokens: int | None, rows: int | None) -> tuple[int, int]:
    """The first and the last place of a batch around `seed`: the nearer in length comes first."""
    first = last = seed
    while rows is None or last - first + 1 < rows:
        shorter = keys[seed][0] - keys[first - 1][0] if first else None
        longer = keys[last + 1][0] - keys[seed][0] if last + 1 < len(keys) else None
        count = last - first + 2
        fits = longer is not None and (tokens is None or count * keys[last + 1][0] <= tokens)
        if fits and (shorter is None or (longer or 0) < shorter):
            last += 1
        elif shorter is not None and (tokens is None or count * keys[last][0] <= tokens):
            first -= 1
        else:
            break
    return first, last
