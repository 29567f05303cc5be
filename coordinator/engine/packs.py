"""How many items share a dispatch, and how many dispatches are worth having out."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

# Of a pack, once it is known how long loading takes: of what was tried in the simulation of
# benchmarks/packs.py, what leaves the least of idle and loading time together.
_SHARES = 1.5  # packs of this size a lane, that what is left would make
_WORTH = 1.0  # times as long as its loading, at least, it should work


@dataclass(frozen=True)
class Left:
    """What is ready at a step: how many items, and what they cost together."""

    items: int
    cost: int  # tokens

    def less(self, items: int, cost: int) -> "Left":
        """What is left without these; never less than an item and a token for each."""
        items = max(0, self.items - items)
        return Left(items, max(items, self.cost - cost))


@dataclass(frozen=True)
class Rule:
    """What packs of a step are cut by.

    Attributes:
        lanes: dispatches that run at a time; None = any number.
        largest: items of a pack, at most.
        loading: tokens that are worked off in the time that a dispatch takes to load its model; 0 =
            not known yet.
    """

    lanes: int | None
    largest: int
    loading: float = 0.0


def cut(costs: Iterable[int], left: Left, rule: Rule, *, room: float, most: float) -> list[int]:
    """Sizes of the next packs, in items.

    Args:
        costs: of the ready items in their order, in tokens; as many as may be needed.
        left: all that is ready, these too.
        rule: what packs are cut by.
        room: items that may be sent in all.
        most: packs that may be sent in all.
    """
    sizes: list[int] = []
    waiting = _Waiting(iter(costs))
    while left.items and room > 0 and len(sizes) < most:
        wanted = _wanted(left, rule, free=most - len(sizes))
        size, cost = waiting.take(wanted, min(room, rule.largest))
        if not size:
            break
        sizes.append(size)
        left, room = left.less(size, cost), room - size
    return sizes


def most_out(lanes: int | None) -> float:
    """Dispatches that may be out: the lanes and a short queue, so that no lane waits for a tick.

    Work that is ready waits here rather than there, and so comes to share packs.
    """
    return math.inf if lanes is None else lanes + max(1, lanes // 4)


def _wanted(left: Left, rule: Rule, *, free: float) -> float:
    """Tokens of the next pack: guided self-scheduling (Polychronopoulos and Kuck, 1987), by cost.

    A pack takes a share of what is left, so packs shrink towards the end and the lanes end
    together. Each dispatch loads its model anew, so there is a least that is worth it, which gives
    way where it would leave a lane without work. While nobody knows how long loading takes, the
    share is 1 / (2 x lanes) and the least is half the largest.
    """
    if not rule.lanes:
        return math.inf
    if rule.loading:
        least = min(_WORTH * rule.loading, left.cost / min(free, rule.lanes))
        return max(left.cost / (_SHARES * rule.lanes), least)
    least = min(rule.largest // 2 * left.cost // left.items, -(-left.cost // rule.lanes))
    return max(-(-left.cost // (2 * rule.lanes)), least)


class _Waiting:
    """Items in their order, taken from the front; one that was looked at is not lost."""

    def __init__(self, costs: Iterator[int]) -> None:
        self._costs = costs
        self._next = next(costs, None)

    def take(self, wanted: float, most: float) -> tuple[int, int]:
        """Items until they cost about what is wanted: how many, 1 or more, and what they cost."""
        size = cost = 0
        while self._next is not None and size < most:
            if size and cost + self._next / 2 >= wanted:
                break
            size, cost = size + 1, cost + self._next
            self._next = next(self._costs, None)
        return size, cost
