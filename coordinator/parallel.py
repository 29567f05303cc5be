"""Bounded concurrency for what waits on the network."""

import os
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

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


class Stage(Protocol):
    """What does the work of all lanes in place of threads, in an order of its own."""

    def start(self, work: Callable[[], B]) -> "Future[B]":
        """Do it, now or later: whoever asks the future for its result makes it happen."""
        ...

    def pass_time(self, seconds: float) -> None:
        """Somebody waits so long for what was started."""
        ...


_stage: Stage | None = None  # None = threads


@contextmanager
def staged(stage: Stage) -> Iterator[None]:
    """Start no threads for as long as the block runs: a simulation has one, and one order."""
    global _stage
    before, _stage = _stage, stage
    try:
        yield
    finally:
        _stage = before


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
        if _stage is not None:
            return _one_by_one(work, things)
        return list(self._pool().map(work, things))

    def start(self, work: Callable[[A], B], thing: A) -> Future[B]:
        """Begin `work` of one thing, when there is a lane, and go on."""
        if _stage is not None:
            return _stage.start(lambda: work(thing))
        return self._pool().submit(work, thing)

    def _pool(self) -> ThreadPoolExecutor:
        process = os.getpid()
        if self._made is None or self._made[0] != process:  # a fork has no threads
            self._made = (process, ThreadPoolExecutor(self._count))
        return self._made[1]


def arrived(started: Collection[Future[Any]], patience: float) -> set[Future[Any]]:
    """Those of what was started that are done, after at most `patience` seconds."""
    if _stage is not None:
        _stage.pass_time(patience)
        return {each for each in started if each.done()}
    return wait(started, timeout=patience).done


def _one_by_one(work: Callable[[A], B], things: Sequence[A]) -> list[B]:
    """All are done, as threads would, before the first error is raised."""
    results, errors = [], []
    for thing in things:
        try:
            results.append(work(thing))
        except Exception as error:
            errors.append(error)
    if errors:
        raise errors[0]
    return results


def done(work: Callable[[], B]) -> Future[B]:
    """The future of what is done at once, here."""
    future: Future[B] = Future()
    try:
        future.set_result(work())
    except Exception as error:
        future.set_exception(error)
    return future


class Inline:
    """Does everything at once, in the thread that asks for it."""

    def start(self, work: Callable[[], B]) -> Future[B]:
        return done(work)

    def pass_time(self, _seconds: float) -> None:
        """Nothing is waited for."""
