"""Bounded concurrency for what waits on the network."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
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
