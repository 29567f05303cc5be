"""The side of a worker: it answers to debuggers from its first moment on, and costs nothing else.

One thread, the ear, waits for SIGUSR2 and writes every thread's stack with the interpreter's lock
in hand, so that no stack changes meanwhile. Where the lock is not to be had, because some C call
keeps it, SIGUSR1 to the same thread makes faulthandler write them without it. Both go to the ear
alone: no system call of the job's own is interrupted, and no signal handler of its code is run.
"""

import _thread
import faulthandler
import os
import signal
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import FrameType

from coordinator.debugging import folder as files
from coordinator.debugging.asking import ask_all
from coordinator.debugging.folder import Process, debug_folder
from coordinator.debugging.own_code import own_folders

_LARGEST = 1 << 20  # bytes of stacks that are kept


class Answerer:
    """What this process is to debuggers."""

    def __init__(self, folder: Path, role: str) -> None:
        self.folder, self._role, self._pid = folder, role, os.getpid()
        self._is_open = False  # whether the prompt is, in its first conversation
        self._path = folder / f"{self._pid}{files.STACKS}"
        self._wish = folder / f"{self._pid}{files.WISH}"
        folder.mkdir(mode=0o700, exist_ok=True)
        self._out = _new_file(self._path)

    def start(self) -> None:
        """Be ready for signals first, and only then say so."""
        faulthandler.register(signal.SIGUSR1, self._out, all_threads=True, chain=False)
        signal.signal(signal.SIGUSR2, self._asked)
        ready = threading.Event()
        self._ear = threading.Thread(target=self._listen, args=(ready,), name="ear", daemon=True)
        self._ear.start()
        ready.wait()
        os.write(self._out, self._about().to_line())

    def own_code_has_signals(self) -> bool:
        """Whether the code that runs here has taken SIGUSR1 or SIGUSR2 for itself."""
        taken = signal.getsignal(signal.SIGUSR1) is not signal.SIG_DFL
        return taken or signal.getsignal(signal.SIGUSR2) != self._asked

    def withdraw(self) -> None:
        """Say that this process is not to be sent signals any more."""
        with suppress(OSError):
            self._path.rename(self._path.with_suffix(files.TAKEN))

    def _about(self) -> Process:
        return Process(
            pid=self._pid,
            role=self._role,
            main=threading.main_thread().ident or 0,
            ear=self._ear.ident or 0,
            ear_id=self._ear.native_id or 0,
            python=sys.executable,
            own=own_folders(),
        )

    def _listen(self, ready: threading.Event) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
        ready.set()
        while True:
            with suppress(OSError):
                signal.sigwait({signal.SIGUSR2})
                self._answer()

    def _answer(self) -> None:
        if self._wish.exists():
            self._call_main()
            return
        self._make_room()
        faulthandler.dump_traceback(self._out, all_threads=True)

    def _call_main(self) -> None:
        """Have the main thread open the prompt at its next line; none of its calls is interrupted.

        Where its own code has taken the signal meanwhile, that must not hear of it.
        """
        if self.own_code_has_signals():
            self.withdraw()
        else:
            _thread.interrupt_main(signal.SIGUSR2)

    def _make_room(self) -> None:
        if os.fstat(self._out).st_size > _LARGEST:
            os.ftruncate(self._out, 0)
            os.write(self._out, self._about().to_line())

    def _asked(self, _number: int, frame: FrameType | None) -> None:
        """SIGUSR2 to the whole process: a debugger is wanted here, or every process is asked."""
        if os.getpid() != self._pid or self._is_open:
            return  # a copy of the process that was meant, or a signal too many
        if frame is not None and self._wish.exists():
            from coordinator.debugging.prompt import open_prompt  # pdb takes a while to import

            self._is_open = True
            open_prompt(self.folder, self._pid, frame)
            self._is_open = False
        elif self._role == "worker":
            threading.Thread(target=ask_all, args=(self.folder,), daemon=True).start()


_known: Answerer | None = None


def answer_debuggers(role: str, environment: Mapping[str, str] = os.environ) -> None:
    """Let this process answer from now on; to be called by its main thread, as early as can be.

    Outside of a job, or where the job's folder cannot be written, it changes nothing.
    """
    global _known
    folder = debug_folder(environment)
    if folder is None or _known is not None:
        return
    with suppress(OSError, ValueError, RuntimeError):
        answerer = Answerer(folder, role)
        answerer.start()
        _known = answerer


def heed_own_signals() -> None:
    """Send no signals here any more, once the code that runs here has a use of its own for them."""
    global _known
    if _known is not None and _known.own_code_has_signals():
        _known.withdraw()
        _known = None


def _new_file(path: Path) -> int:
    """Of an earlier process with the same number nothing is left."""
    with suppress(FileNotFoundError):
        path.unlink()
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_NOFOLLOW
    return os.open(path, flags, 0o600)
