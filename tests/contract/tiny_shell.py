"""The few words of shell that the contract's scripts use, as programs of the simulated cluster.

What it does not know it refuses, so that no script passes for what it is not.
"""

import re
import signal
from collections.abc import Iterator
from pathlib import Path

from coordinator.cluster.simulated import Run, Signalled, Terminated
from coordinator.cluster.simulated.runs import Steps

_TRAP = re.compile(r"trap '(?P<script>[^']*)' TERM")
_UNTIL = re.compile(r"while \[ ! -e (?P<file>\S+) \]; do sleep (?P<pause>[\d.]+); done")
_SAY = re.compile(r"echo (?P<text>\S+)(?: (?P<where>>>witness|>&2))?")
_PRINT = re.compile(r"printf '(?P<text>[^']*)' >&2")
_COUNT = re.compile(r"seq (?P<first>\d+) (?P<last>\d+)")
_SLEEP = re.compile(r"sleep (?P<seconds>[\d.]+)")
_KILL = re.compile(r"kill -(?P<number>\d+) \$\$")
_EXIT = re.compile(r"exit (?P<code>\d+)")


class _Exit(Exception):
    def __init__(self, code: int) -> None:
        self.code = code


class _Shell:
    """One script as it runs."""

    def __init__(self, run: Run, folder: Path) -> None:
        self._run, self._folder = run, folder
        self._trap: str | None = None  # None: the signal ends it; "": it is ignored

    def steps(self, script: str) -> Steps:
        try:
            for line in _lines(script):
                yield from self._guarded(line)
        except _Exit as end:
            return end.code
        return 0

    def _guarded(self, line: str) -> Iterator[float]:
        """A line; a signal that it waits through is handled as the trap says, then it goes on."""
        steps = self._line(line)
        while True:
            try:
                yield from steps
                return
            except Terminated:
                if self._trap is None:
                    raise Signalled(signal.SIGTERM) from None
                for each in _lines(self._trap):
                    yield from self._line(each)
                steps = self._line(line)

    def _line(self, line: str) -> Iterator[float]:
        if found := _TRAP.fullmatch(line):
            self._trap = found["script"]
        elif found := _UNTIL.fullmatch(line):
            while not (self._folder / found["file"]).exists():
                yield float(found["pause"])
        elif found := _SLEEP.fullmatch(line):
            yield float(found["seconds"])
        elif found := _KILL.fullmatch(line):
            raise Signalled(int(found["number"]))
        elif found := _EXIT.fullmatch(line):
            raise _Exit(int(found["code"]))
        else:
            self._write(line)

    def _write(self, line: str) -> None:
        if found := _COUNT.fullmatch(line):
            for number in range(int(found["first"]), int(found["last"]) + 1):
                self._run.say(str(number))
        elif found := _PRINT.fullmatch(line):
            octal = re.sub(r"\\(\d{3})", lambda o: chr(int(o[1], 8)), found["text"])
            self._run.stderr += octal.encode("latin-1")
        elif found := _SAY.fullmatch(line):
            self._say(found["text"], found["where"])
        else:
            raise AssertionError(f"the tiny shell does not know: {line}")

    def _say(self, text: str, where: str | None) -> None:
        if where == ">>witness":
            with (self._folder / "witness").open("a") as witness:
                witness.write(f"{text}\n")
        elif where == ">&2":
            self._run.stderr += f"{text}\n".encode()
        else:
            self._run.say(text)


def run_script(run: Run) -> Steps:
    """The program of a job whose handoff is the path of a script, which begins with `cd FOLDER`."""
    first, _, script = Path(run.job.spec.handoff).read_text().partition("\n")
    return _Shell(run, Path(first.removeprefix("cd "))).steps(script)


def _lines(script: str) -> list[str]:
    """Commands, one each; a loop is one, and so is a trap."""
    kept = re.sub(r"trap '[^']*' TERM|while .*?done", lambda it: it[0].replace(";", "\0"), script)
    parts = (part.replace("\0", ";").strip() for part in re.split(r"[;\n]", kept))
    return [part for part in parts if part]
