"""Starting a job: in a free slot, in its own session, with nothing of ours left open in it."""

import fcntl
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path

from coordinator.cluster.base import JobSpec
from coordinator.cluster.local import shim
from coordinator.cluster.local.devices import VARIABLE, devices, share
from coordinator.cluster.local.job import STDERR, STDOUT, JobFolder, lock

_FIRST_FREE = 10  # descriptors from here on are not used by a shim
_RESET = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}


class Launcher:
    """The slots of this machine. A slot is a locked file, so coordinators can share a folder."""

    def __init__(
        self,
        folder: Path,
        slots: int,
        command: Callable[[JobSpec], Sequence[str]],
        environment: Callable[[], Mapping[str, str]],
        kill_timeout: float,
    ) -> None:
        self._folder, self._slots = folder, slots
        self._command, self._kill_timeout = command, kill_timeout
        self._environment = environment
        self._children: set[int] = set()  # shims, to be reaped

    def start(self, job: JobFolder, spec: JobSpec) -> bool:
        """Start the job, unless it was started or stopped meanwhile; False = no slot is free."""
        with self._free_slot() as slot:
            if slot is None:
                return False
            number, slot_lock = slot
            with lock(job.path) as job_lock:
                if job_lock is not None and job.may_start():
                    self._spawn(job, spec, number, slot_lock, job_lock)
            return True

    def reap(self) -> None:
        """Let go of the shims that have ended."""
        for child in list(self._children):
            with suppress(ChildProcessError):
                if os.waitpid(child, os.WNOHANG) == (0, 0):
                    continue
            self._children.discard(child)

    @contextmanager
    def _free_slot(self) -> Iterator[tuple[int, int] | None]:
        """A slot's number, and a descriptor that holds its lock."""
        for number in range(self._slots):
            with lock(self._slot_file(number)) as descriptor:
                if descriptor is not None:
                    yield number, descriptor
                    return
        yield None

    def _slot_file(self, number: int) -> Path:
        file = self._folder / str(number)
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
        return file

    def _spawn(
        self, job: JobFolder, spec: JobSpec, slot: int, slot_lock: int, job_lock: int
    ) -> None:
        """The shim inherits the two locks, so there is no moment at which nobody holds them."""
        append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        python = [sys.executable, "-I", "-S", shim.__file__]
        with _lifted(slot_lock) as slot_lock, _lifted(job_lock) as job_lock:
            child = os.posix_spawn(
                sys.executable,
                [*python, str(job.path), str(self._kill_timeout), *self._command(spec)],
                self._environment_of(job, spec, slot),
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_OPEN, 1, job.path / STDOUT, append, 0o600),
                    (os.POSIX_SPAWN_OPEN, 2, job.path / STDERR, append, 0o600),
                    (os.POSIX_SPAWN_DUP2, slot_lock, shim.SLOT),
                    (os.POSIX_SPAWN_DUP2, job_lock, shim.JOB),
                ],
                setsid=True,
                setsigmask=(),
                setsigdef=_RESET,
            )
        self._children.add(child)

    def _environment_of(self, job: JobFolder, spec: JobSpec, slot: int) -> dict[str, str]:
        own = {"COORDINATOR_JOB": spec.name, shim.MARK: str(job.path), "PYTHONUNBUFFERED": "1"}
        if spec.resources.gpus and self._cards:
            own[VARIABLE] = ",".join(share(self._cards, slot, spec.resources.gpus))
        threads = {"OMP_NUM_THREADS": str(spec.resources.cpu)}  # jobs share the machine's cores
        return {**threads, **self._environment(), **own}

    @cached_property
    def _cards(self) -> list[str]:
        return devices(self._environment())


@contextmanager
def _lifted(descriptor: int) -> Iterator[int]:
    """The same descriptor under a number that a shim's own cannot clash with."""
    lifted = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _FIRST_FREE)
    try:
        yield lifted
    finally:
        os.close(lifted)
