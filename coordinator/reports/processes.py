"""Reading many logs in several processes, in their order."""

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Any, TypeVar

MOST = 8  # processes: beyond that a disk is what takes the time
WORTH = 32  # things; fewer are read sooner than processes are started
_CHUNKS = 16  # for each process, so that a large log delays few others

A = TypeVar("A")
B = TypeVar("B")


def read_each(work: Callable[[A], B], things: Sequence[A]) -> Iterator[B]:
    """`work` of each thing, in order. Things and results are plain data; `work` may be anything.

    Processes are forked, so that they share the memory that is taken already. What a process that
    was killed leaves undone is done here.
    """
    done = 0
    if processes := _processes(len(things)):
        try:
            for result in _forked(work, things, processes):
                yield result
                done += 1
        except BrokenProcessPool:
            pass
    for thing in things[done:]:
        yield work(thing)


def _processes(things: int) -> int:
    """How many to start; 0 = do it here. A fork beside threads may take a lock for ever."""
    alone = threading.active_count() == 1
    count = min(MOST, len(os.sched_getaffinity(0)))
    return count if alone and count > 1 and things >= WORTH else 0


def _forked(work: Callable[[A], B], things: Sequence[A], processes: int) -> Iterator[B]:
    chunk = max(1, len(things) // (processes * _CHUNKS))
    with ProcessPoolExecutor(processes, get_context("fork"), _begin, (work,)) as pool:
        try:
            yield from pool.map(_do, things, chunksize=chunk)
        finally:
            pool.shutdown(cancel_futures=True)


_work: Callable[[Any], Any]


def _begin(work: Callable[[Any], Any]) -> None:
    global _work
    _work = work
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever waits for this process hears of it


def _do(thing: Any) -> Any:
    return _work(thing)
