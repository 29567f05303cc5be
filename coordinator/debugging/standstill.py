"""Deadlines stand still while a debugger is attached.

A file in a folder counts the seconds for which that was so. Whoever has deadlines reads it; when
the one who counts is killed, counting ends with it, and nothing has to be tidied up. One who is
stopped, say by Ctrl-Z, does not count, but keeps its lock: no deadline ends anything meanwhile.
"""

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from coordinator.debugging.folder import debug_folder

NAME = "attached"  # the file in a job's debug folder
OF_DISPATCHES = "attached"  # the folder in a batch's, with a file of each dispatch
_TICK = 0.25  # seconds: by so much a deadline may pass too early


class AlreadyAttached(Exception):
    """Somebody else is attached."""


def stood_still(folder: Path | None, name: str = NAME) -> float:
    """Seconds for which debuggers were attached so far."""
    if folder is None:
        return 0.0
    try:
        return float((folder / name).read_bytes()[:32])
    except (OSError, ValueError):
        return 0.0


def steady() -> float:
    """Seconds of a clock that stands still while a debugger is attached to this job."""
    return time.monotonic() - stood_still(debug_folder(os.environ))


def is_held() -> bool:
    """Whether a debugger is attached to this job just now, even one that is stopped itself."""
    folder = debug_folder(os.environ)
    return folder is not None and is_attached(folder)


def is_attached(folder: Path, name: str = NAME) -> bool:
    with suppress(OSError), (folder / name).open("rb") as stream:
        return not _locked(stream.fileno(), fcntl.LOCK_SH)
    return False


@contextmanager
def attached(folder: Path, name: str = NAME) -> Iterator[None]:
    """Let deadlines stand still for as long as the block runs.

    Raises:
        AlreadyAttached: another one does so.
        OSError: the folder cannot be written.
    """
    descriptor = os.open(folder / name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        if not _locked(descriptor, fcntl.LOCK_EX):
            raise AlreadyAttached
        over = threading.Event()
        counter = threading.Thread(
            target=_count, args=(descriptor, stood_still(folder, name), over), daemon=True
        )
        counter.start()
        try:
            yield
        finally:
            over.set()
            counter.join()
    finally:
        os.close(descriptor)


def _count(descriptor: int, before: float, over: threading.Event) -> None:
    began = time.monotonic()
    while True:
        is_over = over.wait(_TICK)
        with suppress(OSError):  # a full disk: the deadlines go on
            os.pwrite(descriptor, b"%-16.3f" % (before + time.monotonic() - began), 0)
        if is_over:
            return


def _locked(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
