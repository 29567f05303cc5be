"""Faults at chosen system calls of a small batch, by strace: each call of each kind is a point."""

import os
import select
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support import REPOSITORY, require_program

# All that changes a file, a folder or a lock. (Advisory locks of SQLite, by fcntl, die with it.)
CALLS = (
    "pwrite64",
    "write",
    "fdatasync",
    "fsync",
    "ftruncate",
    "rename",
    "link",
    "linkat",
    "unlink",
    "mkdir",
    "flock",
    "vfork",
    "clone",
)


@dataclass(frozen=True)
class Point:
    """The so manieth time that a process makes a system call."""

    call: str
    nth: int

    def __str__(self) -> str:
        return f"{self.call} {self.nth}"

    @property
    def options(self) -> list[str]:
        """Of an strace that kills there."""
        inject = f"inject={self.call}:signal=KILL:when={self.nth}"
        return ["-e", f"trace={self.call}", "-e", inject]


def failing(call: str, first: int, error: str = "EIO") -> list[str]:
    """Options of an strace that fails a system call from the first-th on."""
    return ["-e", f"trace={call}", "-e", f"inject={call}:error={error}:when={first}+"]


class Nursery:
    """Runs small batches, each as a process of its own that was loaded before."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self._strace = require_program("strace")

    def run(
        self,
        folder: Path,
        options: Sequence[str] = (),
        log: str = "/dev/null",
        patience: float | None = None,
        duty: str = "batch",
    ) -> int:
        """Begin the batch there or go on with it; its exit code, or less than 0 for a signal.

        `duty`: what else to do there.

        `patience`: seconds after which it is asked to leave.
        """
        folder.mkdir(exist_ok=True)
        self._tell(f"{duty} {folder}\n")
        pid = int(self._answer())
        if not options:
            self._tell("g")
            return self._ended(pid, patience)
        command = [self._strace, "-qq", "-o", log, *options, "-p", str(pid)]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL):
            wait_for_tracer(pid)
            self._tell("g")
            return int(self._answer())

    def _ended(self, pid: int, patience: float | None) -> int:
        if not select.select([self._process.stdout], [], [], patience)[0]:
            os.kill(pid, signal.SIGTERM)
        return int(self._answer())

    def points(self, folder: Path, duty: str = "batch") -> list[Point]:
        """Every point that a calm run passes."""
        log = folder.with_suffix(".log")
        assert self.run(folder, ["-e", f"trace={','.join(CALLS)}"], str(log), duty=duty) == 0
        lines = log.read_text(errors="replace").splitlines()
        made = Counter(line.partition("(")[0] for line in lines)
        return [Point(call, nth) for call in CALLS for nth in range(1, made[call] + 1)]

    def _tell(self, words: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(words)
        self._process.stdin.flush()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


@contextmanager
def nursery() -> Iterator[Nursery]:
    command = [sys.executable, "-m", "tests.faults.small_batch"]
    with subprocess.Popen(
        command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Nursery(process)
        finally:
            process.kill()


def wait_for_tracer(pid: int) -> None:
    status, deadline = Path(f"/proc/{pid}/status"), time.monotonic() + 30
    while "TracerPid:\t0\n" in status.read_text():
        assert time.monotonic() < deadline, "strace cannot attach"
        time.sleep(0.002)
