"""The end of the process at a set time, for when what it waits for never answers.

A cluster or a store may keep a call waiting for minutes. Whoever asks the coordinator to leave is
not to wait for them: whatever still hangs is given up. That is as safe as a kill, at any moment.
"""

import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue

ANSWER_SECONDS = 1.0  # for whoever waits in front of it


@dataclass(frozen=True)
class _Order:
    at: float  # by the steady clock
    code: int
    last_words: Callable[[], None]


class Departure:
    """Ends this process when it is due, if nobody calls it off. One for the whole process.

    Orders may be given in a signal handler: a SimpleQueue takes no lock that the handler's own
    thread could hold.
    """

    def __init__(self) -> None:
        self._orders: SimpleQueue[_Order | None] = SimpleQueue()
        self._watching: threading.Thread | None = None
        self.is_ordered = False

    def stand_by(self) -> None:
        """Heed orders from now on."""
        if self._watching is None:
            self._watching = threading.Thread(target=self._watch, name="departure", daemon=True)
            self._watching.start()

    def within(
        self, seconds: float, code: int, last_words: Callable[[], None] = lambda: None
    ) -> None:
        """End with exit code `code` in so many seconds at the latest; the newest order holds."""
        self.is_ordered = True
        self._orders.put(_Order(time.monotonic() + seconds, code, last_words))

    def call_off(self) -> None:
        """It ends by itself."""
        self.is_ordered = False
        self._orders.put(None)

    def _watch(self) -> None:
        order: _Order | None = None
        while True:
            wait = None if order is None else max(0.0, order.at - time.monotonic())
            try:
                order = self._orders.get(timeout=wait)
            except Empty:
                assert order is not None
                _leave(order)


def _leave(order: _Order) -> None:
    with suppress(Exception):  # nobody may read them any more
        order.last_words()
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(order.code)


departure = Departure()
