"""Word of a batch to somebody who does not sit before it: a command, or a POST to an address.

It goes out in the background, within a time limit, each way for itself. What goes wrong with it is
a line in the log, and stops nothing. The address is a secret: whoever has it can write there.
"""

import json
import os
import shlex
import signal
import socket
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from tempfile import TemporaryFile
from threading import Condition, Thread
from typing import Any

import structlog

from coordinator.clock import Clock, timestamp
from coordinator.commands.results import Results
from coordinator.domain.states import ItemState
from coordinator.engine import Snapshot
from coordinator.errors import CoordinatorError
from coordinator.secrecy import known
from coordinator.settings import Settings

SECONDS = 10.0  # that one message may take
_AGAIN = 60.0  # seconds before another change of the same is told
_OVER = {"paused": "the pause is over", "credentials": "credentials are good again"}
_MOST_WAITING = 32
_TOLD = 500  # bytes of what a command said that failed

Send = Callable[[bytes], None]


class Notifier:
    """Tells of one run of the driver."""

    def __init__(self, ways: Mapping[str, Send], batch: str, clock: Clock) -> None:
        """`ways`: name for the log -> what sends a message or raises."""
        log = structlog.get_logger().bind(batch=batch)
        self._ways = [_Way(send, log.bind(by=name)) for name, send in ways.items()]
        self._batch, self._clock = batch, clock
        self._told = dict.fromkeys(_OVER, "")  # what holds it, as it was told last
        self._told_at = dict.fromkeys(_OVER, -_AGAIN)

    def look(self, snapshot: Snapshot) -> None:
        """Tell where a pause or trouble with credentials begins or ends.

        Each of the two once a minute at most; what lasts is told in the end.
        """
        now = self._clock.monotonic()
        for event, why in (("paused", snapshot.stuck), ("credentials", snapshot.credentials)):
            if bool(why) != bool(self._told[event]) and now - self._told_at[event] >= _AGAIN:
                self._told[event], self._told_at[event] = why, now
                self.tell(event if why else "resumed", why or _OVER[event])

    def ended(self, results: Results, why: str = "") -> None:
        """The run is over; `why`: where the batch is not at its end."""
        counts = {str(state): n for state, n in results.counts.items()}
        good = sum(results.counts.get(s, 0) for s in (ItemState.SUCCEEDED, ItemState.NO_DATA))
        message = why or f"{good:,} of {results.total:,} succeeded"
        kinds = [{"kind": str(g.kind), "count": g.count} for g in results.failures]
        more = {"counts": counts, "skipped": results.skipped, "total": results.total}
        event = "finished" if results.is_finished else "stopped"
        exit_code = int(results.exit_code)
        self.tell(event, message, **more, failures=kinds, exit_code=exit_code)

    def tell(self, event: str, message: str, **more: Any) -> None:
        """Never waits. What finds too many before it is left out, with a line in the log."""
        document = {
            "schema": 1,
            "event": event,
            "batch": self._batch,
            "at": timestamp(self._clock.now()),
            "host": socket.gethostname(),
            "message": message,
            **more,
        }
        for way in self._ways:
            way.tell(document)

    def close(self) -> None:
        """Wait for what is on its way, for as long as one message may take; all ways together."""
        deadline = time.monotonic() + SECONDS + 1.0
        for way in self._ways:
            way.close(deadline)


class _Way:
    """One way out. It has a queue and a thread of its own: none waits for another that hangs."""

    def __init__(self, send: Send, log: Any) -> None:
        self._send, self._log = send, log
        self._waiting: deque[dict[str, Any]] = deque()  # the first is on its way
        self._changed, self._is_over = Condition(), False
        self._thread: Thread | None = None

    def tell(self, document: dict[str, Any]) -> None:
        with self._changed:
            if len(self._waiting) >= _MOST_WAITING:
                self._failed(document, f"{_MOST_WAITING} wait already")
                return
            self._waiting.append(document)
            self._changed.notify_all()
        if self._thread is None:
            self._thread = Thread(target=self._send_all, name="notifier", daemon=True)
            self._thread.start()

    def close(self, deadline: float) -> None:
        """Wait until all is sent; what still waits at the deadline is told to the log."""
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting, max(0.0, deadline - time.monotonic()))
            self._is_over = True
            self._changed.notify_all()
            for document in self._waiting:
                self._failed(document, "it was still waiting when the coordinator ended")

    def _send_all(self) -> None:
        while document := self._next():
            why = self._tried(document)
            with self._changed:
                if self._is_over:  # it is told by now
                    return
                if why:
                    self._failed(document, why)
                self._waiting.popleft()
                self._changed.notify_all()

    def _next(self) -> dict[str, Any] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_over)
            return None if self._is_over else self._waiting[0]

    def _tried(self, document: dict[str, Any]) -> str:
        """Why it could not be sent, or ""."""
        try:
            text = json.dumps(document, ensure_ascii=False)
            self._send(known.mask.text(text).encode("utf-8", "replace"))
        except Exception as error:  # whatever it is, the batch goes on
            return _plain(error)
        return ""

    def _failed(self, document: dict[str, Any], why: str) -> None:
        self._log.warning("not notified", told=document["event"], error=why)


def _plain(error: Exception) -> str:
    return str(error) if isinstance(error, CoordinatorError) else f"{type(error).__name__}: {error}"


@contextmanager
def notifying(settings: Settings, batch: str, clock: Clock) -> Iterator[Notifier]:
    """A notifier by what the settings say; an error that ends the block is told as well."""
    notifier = Notifier(dict(_ways(settings)), batch, clock)
    try:
        yield notifier
    except CoordinatorError as error:
        notifier.tell("stopped", str(error))
        raise
    finally:
        notifier.close()


def _ways(settings: Settings) -> Iterator[tuple[str, Send]]:
    if settings.notify_command:
        argv = shlex.split(settings.notify_command)
        yield "notify_command", lambda data: call(argv, data)
    if settings.notify_url:
        yield "notify_url", lambda data: post(settings.notify_url.reveal(), data)


def call(argv: list[str], data: bytes, seconds: float = SECONDS) -> None:
    """Run a command with the message on its standard input.

    Raises:
        OSError: it cannot be run.
        RuntimeError: it failed, with the end of what it said, or took too long and was ended.
    """
    with TemporaryFile() as said, TemporaryFile() as given:
        given.write(data + b"\n")
        given.seek(0)
        process = subprocess.Popen(
            argv, stdin=given, stdout=said, stderr=said, start_new_session=True
        )
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # with all that it started
            process.wait()
            raise RuntimeError(f"it took longer than {seconds:g} s") from None
        if code:
            said.seek(max(0, said.seek(0, os.SEEK_END) - _TOLD))
            words = said.read().decode("utf-8", "replace").strip()
            raise RuntimeError(f"it ended with exit code {code}: {words}")


def post(url: str, data: bytes, seconds: float = SECONDS) -> None:
    """POST the message as JSON, under the rules for what may be asked; no redirect is followed.

    Raises:
        CoordinatorError, OSError, RuntimeError: it may not be asked, did not answer or refused.
    """
    from coordinator.storage.connections import Session  # requests takes a while to import

    began = time.monotonic()
    with Session() as session:
        headers = {"Content-Type": "application/json"}
        answer = session.post(
            url, data=data, headers=headers, timeout=seconds / 2, stream=True, allow_redirects=False
        )
        answer.close()
    if not 200 <= answer.status_code < 300:
        raise RuntimeError(f"HTTP {answer.status_code} after {time.monotonic() - began:.1f} s")
