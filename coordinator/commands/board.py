"""TensorBoard as a child process: the library's own program, over a folder."""

import importlib.util
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from coordinator.errors import UsageError

HOST, PORT = "127.0.0.1", 6006
_START_SECONDS = 90.0
_END_SECONDS = 5.0
_RELOAD_SECONDS = 5
_TOLD = 600  # characters of what it said, where it does not start
_INHERITED = ("HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH", "PYTHONPATH", "TMPDIR")
# It ends with the thread that started it (prctl 1 = PR_SET_PDEATHSIG), even if that is killed.
_PROGRAM = (
    "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 15);"
    " os.getppid() == int(sys.argv.pop(1)) or sys.exit(1);"
    " from tensorboard.main import run_main; run_main()"
)


@dataclass(frozen=True)
class Board:
    """One that answers."""

    url: str
    process: subprocess.Popen[bytes]

    @property
    def has_ended(self) -> bool:
        return self.process.poll() is not None


def free_port(host: str, port: int) -> int:
    """`port`, or a free one for 0.

    Raises:
        UsageError: TensorBoard is not installed, or the address cannot be had.
    """
    if importlib.util.find_spec("tensorboard") is None:
        raise UsageError(
            "TensorBoard is not installed",
            why="the coordinator brings it as an extra only",
            hint="pip install 'coordinator[tensorboard]'; --no-serve collects without it",
        )
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with closing(socket.socket(family, socket.SOCK_STREAM)) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            found: int = probe.getsockname()[1]
            return found
    except (OSError, OverflowError, UnicodeError) as error:  # the last: 127.0.0..1
        raise UsageError(
            f"TensorBoard cannot listen on {host}:{port}",
            why=getattr(error, "strerror", None) or str(error),
            hint="--port 0 takes any that is free",
        ) from error


@contextmanager
def board(folder: Path, host: str, port: int) -> Iterator[Board]:
    """TensorBoard over `folder`, from when it answers until the context ends.

    Raises:
        UsageError: it did not start, with its own words.
    """
    with TemporaryFile() as said:
        process = _started(folder, host, port, said)
        try:
            shown = f"[{host}]" if ":" in host else host
            running = Board(f"http://{shown}:{port}/", process)
            _wait_for(running, said)
            yield running
        finally:
            _end(process)


def _started(folder: Path, host: str, port: int, said: IO[bytes]) -> subprocess.Popen[bytes]:
    """In a session of its own: Ctrl-C is for who started it."""
    command = [sys.executable, "-c", _PROGRAM, str(os.getpid()), "--logdir", str(folder.absolute())]
    flags = ["--host", host, "--port", str(port), "--reload_interval", str(_RELOAD_SECONDS)]
    # Steps of an item are files of one run; a run whose folder is gone must go too.
    flags += ["--reload_multifile", "true", "--load_fast", "false"]
    environment = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    return subprocess.Popen(
        [*command, *flags],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=said,
        stderr=said,
        start_new_session=True,
    )


def _wait_for(started: Board, said: IO[bytes]) -> None:
    last = time.monotonic() + _START_SECONDS
    while not _answers(started.url):
        if started.has_ended or time.monotonic() > last:
            said.seek(0)
            words = said.read().decode("utf-8", "replace").strip()[-_TOLD:]
            raise UsageError(
                "TensorBoard did not start",
                why=words or f"nothing came from it for {_START_SECONDS:.0f} s",
                hint="--port 0 takes another port; python -m tensorboard.main says more",
            )
        time.sleep(0.1)


def _answers(url: str) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with suppress(OSError, ValueError), opener.open(f"{url}data/environment", timeout=5) as answer:
        return bool(answer.status == 200)
    return False


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
