"""The way into a job of this machine: its folder, and the processes that it names."""

import os
import stat
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from coordinator.cluster.inside import OnOutput
from coordinator.cluster.local.logs import open_regular
from coordinator.debugging.asking import ask_all
from coordinator.debugging.folder import LOCAL_JOB, NAME
from coordinator.debugging.streams import pass_out


class LocalInside:
    """One running job; `folder` is the job's."""

    def __init__(self, folder: Path) -> None:
        self._home, self._folder = folder, folder / NAME

    def files(self) -> dict[str, int]:
        found = {}
        with suppress(OSError), os.scandir(self._folder) as entries:
            for entry in entries:
                facts = entry.stat(follow_symlinks=False)
                if stat.S_ISREG(facts.st_mode):
                    found[entry.name] = facts.st_size
        return found

    def read(self, name: str, offset: int, length: int) -> bytes:
        with open_regular(self._folder / name) as stream:
            stream.seek(offset)
            return stream.read(length)

    def ask(self) -> None:
        ask_all(self._folder)

    def insist(self, python: str, *, main_is_silent: bool) -> None:
        """Nothing: each process was asked by itself."""

    def run(self, python: str, arguments: Sequence[str], on_output: OnOutput) -> int:
        """By our own interpreter, which the jobs here have too: theirs is hearsay."""
        environment = {**os.environ, LOCAL_JOB: str(self._home)}
        command = [sys.executable, *arguments]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment)
        return pass_out(process, on_output)
