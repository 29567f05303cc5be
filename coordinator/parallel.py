"""Bounded concurrency for what waits on the network."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

LANES = 8

A = TypeVar("A")
B = TypeVar("B")


def ordered_map(work: Callable[[A], B], things: Iterable[A], lanes: int = LANES) -> Iterator[B]:
    """`work` of each thing, in order, `lanes` at a time, few of them ahead of need."""
    with ThreadPoolExecutor(lanes) as pool:
        window: deque[Future[B]] = deque()
        try:
            for thing in things:
                window.append(pool.submit(work, thing))
                if len(window) >= 2 * lanes:
                    yield window.popleft().result()
            while window:
                yield window.popleft().result()
        finally:
            for waiting in window:
                waiting.cancel()


def map_all(work: Callable[[A], B], things: Sequence[A], lanes: int = LANES) -> list[B]:
    """`work` of every thing, in order, `lanes` at a time; a single one needs no thread."""
    if len(things) < 2:
        return [work(thing) for thing in things]
    return list(ordered_map(work, things, lanes))
