"""The packs that items will be cut into, and what they will take, before any of it runs."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from coordinator.engine.makespan import Run
from coordinator.engine.packs import Left, Rule, cut, most_out
from coordinator.engine.rates import Rate


@dataclass(frozen=True)
class Pack:
    """One dispatch to come."""

    items: int
    cost: int  # tokens

    def run(self, rate: Rate) -> Run:
        return Run(rate.load_seconds, self.cost / rate.tokens_per_second)


def largest_first(costs: Iterable[int]) -> list[int]:
    """Costs in the order in which a first step takes its items: twice as large ones go before."""
    return sorted(costs, key=lambda cost: -cost.bit_length())


def new_packs(costs: Sequence[int], rule: Rule, *, room: int) -> Iterator[Pack]:
    """The packs of a first step, as the dispatcher cuts them: many at first, then one by one.

    Args:
        costs: of its items in their order, in tokens.
        rule: what they are cut by.
        room: items that may be in flight.
    """
    left, begun, free = Left(len(costs), sum(costs)), 0, most_out(rule.lanes)
    while left.items:
        ahead = costs[begun : begun + int(min(room, rule.largest * free, len(costs)))]
        for size in cut(ahead, left, rule, room=room, most=free):
            pack = Pack(size, sum(costs[begun : begun + size]))
            left, begun = left.less(pack.items, pack.cost), begun + size
            yield pack
        free = 1


def full_packs(costs: Sequence[int], largest: int, *, room: int) -> Iterator[Pack]:
    """The packs of a later step, at best: what is ready goes out, up to the largest."""
    size = min(largest, room)
    for begin in range(0, len(costs), size):
        pack = costs[begin : begin + size]
        yield Pack(len(pack), sum(pack))
