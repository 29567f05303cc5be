"""The clock, behind a protocol so that tests and simulations move time by hand."""

import time
from contextlib import suppress
from datetime import UTC, datetime
from queue import Empty, SimpleQueue
from typing import Protocol


class Clock(Protocol):
    """Wall time for records, monotonic time for every decision."""

    def now(self) -> float:
        """Seconds since the epoch: for records only, it may jump."""
        ...

    def monotonic(self) -> float:
        """Seconds that only grow: for intervals, limits and waits."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait, or return earlier after `wake`."""
        ...

    def wake(self) -> None:
        """End a sleep now; safe to call from a signal handler."""
        ...


class SystemClock:
    """The machine's clock."""

    def __init__(self) -> None:
        # An Event has a lock, which the thread that a signal interrupts may hold just then.
        self._wakes: SimpleQueue[None] = SimpleQueue()

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        with suppress(Empty):
            self._wakes.get(timeout=max(0.0, seconds))
            while True:  # however often it was woken, that was one sleep
                self._wakes.get_nowait()

    def wake(self) -> None:
        self._wakes.put(None)


class SimulatedClock:
    """A clock that stands still until it is moved."""

    def __init__(self, epoch: float = 1_700_000_000.0) -> None:
        self._epoch, self._time = epoch, 0.0

    def now(self) -> float:
        return self._epoch + self._time

    def monotonic(self) -> float:
        return self._time

    def sleep(self, seconds: float) -> None:
        self.advance(seconds)

    def wake(self) -> None:
        """Nobody sleeps: time has passed already."""

    def advance(self, seconds: float) -> None:
        self._time += max(0.0, seconds)

    def step(self, seconds: float) -> None:
        """Set the wall clock on, or back; what is steady stays so."""
        self._epoch += seconds


def timestamp(seconds: float) -> str:
    """Epoch seconds as ISO 8601 in UTC, to the millisecond."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
