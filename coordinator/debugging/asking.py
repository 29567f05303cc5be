"""Asking processes of this machine for their stacks, each by a signal to its ear.

Whatever a file in the folder says, no process gets a signal that would end it: the kernel is asked
first whether it has a handler for it.
"""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

from coordinator.debugging.folder import Process, processes

POLITELY = 1.0  # seconds for an answer that needs the interpreter's lock
_LOOK = 0.02


def ask_all(folder: Path) -> None:
    """Let every process of the job write its stacks; files of those that have ended go."""
    asked = {}
    for path, process in processes(folder):
        if not _is_there(process):
            path.unlink(missing_ok=True)
        elif catches(process, signal.SIGUSR2):
            asked[path] = process, _size(path)
            send(process, signal.SIGUSR2)
    deadline = time.monotonic() + POLITELY
    while time.monotonic() < deadline and any(_size(p) == n for p, (_, n) in asked.items()):
        time.sleep(_LOOK)
    for path, (process, size) in asked.items():
        if _size(path) == size and catches(process, signal.SIGUSR1):
            send(process, signal.SIGUSR1)


def _is_there(process: Process) -> bool:
    return _task(process).exists()


def catches(process: Process, number: signal.Signals) -> bool:
    """Whether the process has a handler for the signal, as the kernel says."""
    with suppress(OSError):
        for line in (_task(process) / "status").read_text().splitlines():
            name, _, mask = line.partition(":")
            if name == "SigCgt":
                return bool(int(mask, 16) >> (number - 1) & 1)
    return False


def _task(process: Process) -> Path:
    return Path(f"/proc/{process.pid}/task/{process.ear_id}")


def send(process: Process, number: signal.Signals) -> None:
    """To the ear alone. A C library without tgkill leaves the process unasked."""
    import ctypes  # takes longer than all else here, and most workers are never asked

    with suppress(AttributeError):
        ctypes.CDLL(None).tgkill(process.pid, process.ear_id, int(number))


def _size(path: Path) -> int:
    """Bytes; -1 of a file that has gone."""
    try:
        return os.stat(path).st_size
    except OSError:
        return -1
