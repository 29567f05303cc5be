"""Bounded concurrency for what waits on the network."""

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


class Lanes:
    """So many things at a time, in threads that are kept: starting them costs more than they do.

    Work in some lanes must not wait for work in the same ones.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._made: tuple[int, ThreadPoolExecutor] | None = None

    def map(self, work: Callable[[A], B], things: Sequence[A]) -> list[B]:
        """`work` of every thing, in order; a single one needs no thread."""
        if len(things) < 2:
            return [work(thing) for thing in things]
        return list(self._pool().map(work, things))

    def start(self, work: Callable[[A], B], thing: A) -> Future[B]:
        """Begin `work` of one thing, when there is a lane, and go on."""
        return self._pool().submit(work, thing)

    def _pool(self) -> ThreadPoolExecutor:
        process = os.getpid()
        if self._made is None or self._made[0] != process:  # a fork has no threads
            self._made = (process, ThreadPoolExecutor(self._count))
        return self._made[1]
