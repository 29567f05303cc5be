"""pdb in a running process, for one who comes by a socket. Whatever becomes of it, the job goes on.

It is opened by a signal handler, so in the main thread and between two lines of Python. The frames
of the handler's code are shown rather than those of the libraries that it has called.
"""

import os
import pdb
import socket
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

from coordinator.debugging import folder as files
from coordinator.debugging.own_code import lies_in, own_folders
from coordinator.debugging.standstill import is_attached

COMES = 10.0  # seconds for the one who wished for it to come
_LOOK = 0.5  # seconds between two looks whether somebody is attached
GOES_ON = "The job goes on.\n"


def open_prompt(folder: Path, pid: int, frame: FrameType) -> None:
    """Wait for who wished for it, and let them look from `frame` on; never raises."""
    try:
        if is_attached(folder):  # else the wish is of somebody who was killed
            line = _Line(_caller(folder, pid))
            Prompt(line, folder).open_at(_shown(frame))
    except Exception:
        traceback.print_exc()  # to the job's log
    finally:
        (folder / f"{pid}{files.WISH}").unlink(missing_ok=True)


def _shown(frame: FrameType) -> FrameType:
    """The innermost frame of the user's code, if there is one."""
    own = own_folders()
    at: FrameType | None = frame
    while at is not None:
        if not lies_in(at.f_code.co_filename, own):
            return at
        at = at.f_back
    return frame


def _caller(folder: Path, pid: int) -> socket.socket:
    """The first who connects.

    Raises:
        OSError: nobody does.
    """
    path = folder / f"{pid}{files.SOCKET}"
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as door, short_path(path) as name:
        before = os.umask(0o177)
        try:
            door.bind(name)
        finally:
            os.umask(before)
        try:
            door.listen(1)
            door.settimeout(COMES)
            caller, _ = door.accept()
        finally:
            path.unlink(missing_ok=True)
    caller.settimeout(None)
    return caller


@contextmanager
def short_path(path: Path) -> Iterator[str]:
    """Another name of a socket: its own may be longer than the 107 bytes that there are for it."""
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}/{path.name}"
    finally:
        os.close(descriptor)


class _Line:
    """The other end, as a stream of text; once it has gone, nothing is read or written."""

    def __init__(self, caller: socket.socket) -> None:
        self._in = caller.makefile("r", encoding="utf-8", errors="replace")
        self._caller = caller

    def readline(self) -> str:
        with suppress(OSError, ValueError):
            return self._in.readline()
        return ""

    def write(self, text: str) -> int:
        with suppress(OSError, ValueError):
            self._caller.sendall(text.encode("utf-8", "backslashreplace"))
        return len(text)

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        with suppress(OSError):
            self._in.close()
            self._caller.close()


class Prompt(pdb.Pdb):
    """pdb that never ends the process: to leave it is to let the job go on.

    One who has gone with breakpoints set may have left them where the job never comes; it would be
    traced for ever, and many times slower. What tells is the lock: who types by a pipe has come to
    the end of the input and waits.
    """

    def __init__(self, line: _Line, folder: Path) -> None:
        own = ["coordinator.debugging.*"]
        super().__init__(stdin=line, stdout=line, nosigint=True, readrc=False, skip=own)  # type: ignore[arg-type]
        self._line, self._is_over = line, False
        self._folder, self._look_at = folder, time.monotonic() + _LOOK

    def open_at(self, frame: FrameType) -> None:
        """Ask at once, and then wherever it is told to stop."""
        self.reset()
        outermost = frame
        while outermost.f_back is not None:
            outermost = outermost.f_back
        self.botframe = outermost
        self.interaction(frame, None)
        if self._is_over:
            return
        at: FrameType | None = frame
        while at is not None:
            at.f_trace = self.trace_dispatch
            at = at.f_back
        sys.settrace(self.trace_dispatch)

    def trace_dispatch(self, frame: FrameType, event: str, arg: Any) -> Any:
        if self._is_over:
            return None
        if self._was_left():
            self.clear_all_breaks()
            self.set_continue()
            return None
        return super().trace_dispatch(frame, event, arg)

    def _was_left(self) -> bool:
        if (now := time.monotonic()) < self._look_at:
            return False
        self._look_at = now + _LOOK
        return not is_attached(self._folder)

    def set_continue(self) -> None:
        """With breakpoints it stays, for they are to stop the job; else it is over."""
        super().set_continue()
        if not self.breaks and not self._is_over:
            self._is_over = True
            self._line.write(GOES_ON)
            self._line.close()

    def do_quit(self, arg: str) -> bool | None:
        """Leave, and let the job go on. It is not ended: `coordinator stop` does that."""
        self.clear_all_breaks()
        self.set_continue()
        return True

    do_q = do_exit = do_EOF = do_quit

    def do_run(self, arg: str) -> bool | None:
        """A job is not started again from here."""
        self.message("Not here: coordinator run-one runs an item on your machine.")
        return None

    do_restart = do_run

    def do_interact(self, _argument: str) -> None:
        """Its lines would be read from the job's own standard input, which is empty."""
        self.message("Not here: ! runs a statement, and p prints an expression.")
