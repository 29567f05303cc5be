"""Nomad's event stream, as a hint that something may have changed: never as the truth."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress

import requests
import urllib3

from coordinator.cluster.nomad.api import NomadApi
from coordinator.errors import CoordinatorError

FIRST_SECONDS = 5.0  # a stream that is open says so at once; one that is refused says nothing
HEARTBEAT_SECONDS = 45.0  # one and a half of the server's
_AGAIN_SECONDS = (0.5, 30.0)
_CHUNK = 65_536
_ENDS = (  # how a stream ends; the next one is opened whatever it was
    CoordinatorError,
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    OSError,
)


class EventHints:
    """Watches the stream in a thread of its own and calls `on_change` for what concerns us.

    Whoever listens looks for itself: events are lost when a server restarts, without a sign.
    `is_open` tells whether hints can be expected; `on_change` is called at each (re)connection too.
    """

    def __init__(self, api: NomadApi, prefix: str, on_change: Callable[[], None]) -> None:
        """`prefix`: of the ids of all jobs that matter."""
        self._api, self._prefix, self._on_change = api, f'"{prefix}'.encode(), on_change
        self._closed = threading.Event()
        self.is_open = False
        threading.Thread(target=self._watch, name="nomad-events", daemon=True).start()

    def close(self) -> None:
        """Listen no more; the thread ends when the stream next says something."""
        self._closed.set()

    def _watch(self) -> None:
        wait = _AGAIN_SECONDS[0]
        while not self._closed.wait(wait):
            began = time.monotonic()
            with suppress(*_ENDS):
                self._follow()
            self.is_open = False
            lasted = time.monotonic() - began > HEARTBEAT_SECONDS
            wait = _AGAIN_SECONDS[0] if lasted else min(_AGAIN_SECONDS[1], 2 * wait)

    def _follow(self) -> None:
        # An event of a job carries all of it; whatever happens to a job happens to its allocations.
        topic = "Allocation"
        reply = self._api.stream("event", "stream", topic=topic, read_seconds=FIRST_SECONDS)
        with reply:
            rest = b""
            while not self._closed.is_set() and (chunk := reply.raw.read1(_CHUNK)):
                if not self.is_open:
                    self._opened(reply)
                lines = (rest + chunk).split(b"\n")
                rest = lines.pop()[-10 * _CHUNK :]
                if any(self._prefix in line for line in lines):
                    self._on_change()

    def _opened(self, reply: requests.Response) -> None:
        self.is_open = True
        connection = getattr(reply.raw, "_connection", None)
        if connection is not None and connection.sock is not None:
            connection.sock.settimeout(HEARTBEAT_SECONDS)
        self._on_change()
