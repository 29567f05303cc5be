"""One driver a batch: a file lock that the kernel drops when its holder dies."""

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from coordinator.errors import BatchBusy, LedgerError

# Whoever asks for the `holder` shares the lock for a moment: that is no driver.
_TRIES, _PAUSE = 20, 0.01


@contextmanager
def driver_lock(folder: Path, batch: str) -> Iterator[None]:
    """Hold the batch in `folder` for as long as the block runs.

    Raises:
        BatchBusy: another process holds it; the message names the process and its host.
        LedgerError: the folder cannot be locked.
    """
    try:
        descriptor = os.open(folder / "driver.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise LedgerError(f"{folder} cannot be locked", why=str(error)) from error
    try:
        try:
            _take(descriptor, batch)
        except OSError as error:
            hint = "give a --state_dir on a disk of this machine"
            raise LedgerError(f"{folder} cannot be locked", why=str(error), hint=hint) from error
        yield
    finally:
        os.close(descriptor)


def holder(folder: Path) -> str | None:
    """Who drives the batch in `folder` now, or None."""
    try:
        descriptor = os.open(folder / "driver.lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _named(descriptor)
    finally:
        os.close(descriptor)
    return None


def _take(descriptor: int, batch: str) -> None:
    if not any(_locked(descriptor) for _ in range(_TRIES)):
        raise BatchBusy(
            f"batch {batch} is being driven already",
            why=f"by {_named(descriptor)}",
            hint=f"watch it with: coordinator status {batch}",
        )
    note = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.time()}
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(note).encode(), 0)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        time.sleep(_PAUSE)
        return False
    return True


def _named(descriptor: int) -> str:
    try:
        note = json.loads(os.pread(descriptor, 4096, 0))
        return f"process {int(note['pid'])} on {str(note['host'])[:100]!r}"
    except (ValueError, KeyError, TypeError):
        return "a process that has just started"
