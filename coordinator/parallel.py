"""Bounded concurrency for what waits on the network."""

import functools
import os
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
    """`work` of every thing, in order, `lanes` at a time; a single one needs no thread.

    `work` itself must not come back here.
    """
    if len(things) < 2:
        return [work(thing) for thing in things]
    return list(_pool(lanes, os.getpid()).map(work, things))


@functools.cache
def _pool(lanes: int, _process: int) -> ThreadPoolExecutor:
    """Kept: starting threads costs more than most of what they wait for. A fork has its own."""
    return ThreadPoolExecutor(lanes)
