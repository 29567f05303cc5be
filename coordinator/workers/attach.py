"""`python -m coordinator.workers.attach pdb PID | stacks`: run beside a job, in its own place.

`pdb` joins standard input and output with a debugger in the process PID of this job, and holds its
deadlines until that is over. `stacks` has every process of the job write its stacks.
"""

import os
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

from coordinator.debugging import folder as files
from coordinator.debugging.asking import ask_all, catches, send
from coordinator.debugging.exits import BUSY, GONE, NO_JOB, STUCK
from coordinator.debugging.folder import Process, debug_folder, processes
from coordinator.debugging.prompt import short_path
from coordinator.debugging.standstill import AlreadyAttached, attached

COMES, POLITELY = 10.0, 2.0  # seconds for a line of Python to be reached
_LOOK = 0.05
_CHUNK = 2**16


def main() -> int:
    folder = debug_folder(os.environ)
    if folder is None or not folder.is_dir():
        return NO_JOB
    match sys.argv[1:]:
        case ["stacks"]:
            ask_all(folder)
            return 0
        case ["pdb", pid]:
            return _attach(folder, pid)
    sys.exit("usage: python -m coordinator.workers.attach pdb PID | stacks")


def _attach(folder: Path, pid: str) -> int:
    process = next((found for _, found in processes(folder) if str(found.pid) == pid), None)
    if process is None or not catches(process, signal.SIGUSR2):
        return GONE
    try:
        with attached(folder):
            return _talk(folder, process)
    except AlreadyAttached:
        return BUSY
    except ProcessLookupError:
        return GONE


def _talk(folder: Path, process: Process) -> int:
    wish = folder / f"{process.pid}{files.WISH}"
    wish.touch(mode=0o600)
    try:
        line = _called(process, folder / f"{process.pid}{files.SOCKET}")
    finally:
        wish.unlink(missing_ok=True)
    if line is None:
        return STUCK
    with line, suppress(KeyboardInterrupt, OSError):
        threading.Thread(target=_pass_in, args=(line,), daemon=True).start()
        while data := line.recv(_CHUNK):
            os.write(1, data)
    return 0


def _called(process: Process, path: Path) -> socket.socket | None:
    """The way to the prompt; None: no line of Python was reached.

    At first no call of the main thread's is interrupted; where it waits in one, that has to be.

    Raises:
        ProcessLookupError: it takes no debugger any more.
    """
    send(process, signal.SIGUSR2)
    if line := _connected(path, POLITELY):
        return line
    if process not in (found for _, found in processes(path.parent)):
        raise ProcessLookupError  # it has ended, or its code has taken the signal
    os.kill(process.pid, signal.SIGUSR2)
    return _connected(path, COMES - POLITELY)


def _connected(path: Path, seconds: float) -> socket.socket | None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        line = socket.socket(socket.AF_UNIX)
        with suppress(FileNotFoundError, ConnectionRefusedError), short_path(path) as name:
            line.connect(name)
            return line
        line.close()
        time.sleep(_LOOK)
    return None


def _pass_in(line: socket.socket) -> None:
    """What is typed; its end is the debugger's end too."""
    with suppress(OSError):
        while data := os.read(0, _CHUNK):
            line.sendall(data)
        line.shutdown(socket.SHUT_WR)


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # the thread that waits for what is typed would keep it
