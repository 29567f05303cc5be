"""Stacks as faulthandler writes them, read back.

They were written by a job, so nothing of them is taken on trust: what is no such line is left out,
and what is shown of the rest has to be made safe by whoever shows it.
"""

import re
from dataclasses import dataclass

from coordinator.debugging.folder import Process

_THREAD = re.compile(r"(?P<current>Current thread|Thread) 0x(?P<id>[0-9a-f]{1,32})\b")
_FRAME = re.compile(r'  File "(?P<file>.*)", line (?P<line>\d{1,9}|\?\?\?) in (?P<function>.*)')


@dataclass(frozen=True)
class Frame:
    """A line that is being run."""

    file: str
    line: int  # 0 = not known
    function: str


@dataclass(frozen=True)
class Thread:
    """Its frames, the innermost first."""

    id: int
    frames: tuple[Frame, ...]


@dataclass(frozen=True)
class Stacks:
    """The threads of a process, its main thread first; its ear is left out."""

    process: Process
    threads: tuple[Thread, ...]

    @property
    def is_whole(self) -> bool:
        """Whether the main thread is there, which comes last."""
        return self.threads[0].id == self.process.main and bool(self.threads[0].frames)

    @property
    def line(self) -> Frame | None:
        """The innermost line of a user's code that is being run, the main thread's first."""
        frames = (frame for thread in self.threads for frame in thread.frames)
        return next((frame for frame in frames if not self.process.is_own(frame.file)), None)


def read_stacks(process: Process, data: bytes) -> Stacks | None:
    """The newest whole set of stacks in what a process wrote; None: there is none."""
    found: dict[int, list[Frame]] = {}
    frames: list[Frame] = []
    for line in data.decode("utf-8", "backslashreplace").split("\n"):
        if thread := _THREAD.match(line):
            if int(thread["id"], 16) in found:
                found = {}  # another set begins
            frames = found.setdefault(int(thread["id"], 16), [])
        elif frame := _FRAME.fullmatch(line):
            number = int(frame["line"]) if frame["line"].isdigit() else 0
            frames.append(Frame(frame["file"], number, frame["function"]))
    threads = [Thread(id, tuple(frames)) for id, frames in found.items() if id != process.ear]
    threads.sort(key=lambda thread: thread.id != process.main)
    return Stacks(process, tuple(threads)) if threads else None
