"""Being asked to stop."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from coordinator.errors import WorkInterrupted


class StopFlag:
    """Set by SIGTERM and SIGINT: what is in hand is finished, nothing else is begun."""

    def __init__(self) -> None:
        self.signal = 0

    def set(self, number: int, _frame: object) -> None:
        self.signal = number

    def is_set(self) -> bool:
        return bool(self.signal)

    def refuse_if_set(self) -> None:
        """Raises WorkInterrupted: it is set."""
        if self.signal:
            raise WorkInterrupted("asked to stop", why=f"signal {self.signal}")


@contextmanager
def stop_flag() -> Iterator[StopFlag]:
    flag = StopFlag()
    old = {number: signal.signal(number, flag.set) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield flag
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
