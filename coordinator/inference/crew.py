"""The processes that hold a model: started, spoken to, and noticed when they die."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Any

from coordinator.domain.reach import Reach
from coordinator.errors import ModelError
from coordinator.inference.wire import Nonsense, pack, receive, revive
from coordinator.inference.work import LANES, Lane, Work

SERVER = (sys.executable, "-m", "coordinator.inference.server")
_PATIENCE = 5.0  # seconds for a process to end by itself
_LONGEST_LINE = 8192  # bytes of what a model prints, in one entry of the log
_STOPS = {signal.SIGTERM, signal.SIGINT}


@dataclass(frozen=True)
class Setup:
    """What every process of a crew is told.

    Attributes:
        gpus: those of this job, as CUDA_VISIBLE_DEVICES names them; they are shared out evenly.
        reach: which servers they may ask.
        command: what is started.
    """

    folder: Path
    options: Mapping[str, Any]
    device: str | None
    processes: int = 1
    gpus: Sequence[str] = ()
    reach: Reach = field(default_factory=Reach)
    command: Sequence[str] = SERVER

    def environment(self, seat: int) -> dict[str, str]:
        """The environment of the process with this number, from 0."""
        given = self.gpus[seat :: self.processes]
        return {**os.environ, **({"CUDA_VISIBLE_DEVICES": ",".join(given)} if given else {})}


@dataclass(frozen=True)
class About:
    """What a process says of its backend; see `Backend`."""

    device: str
    mixes_directions: bool
    whole_items: bool
    token_budget: int | None
    patience: float


@dataclass(frozen=True)
class Said:
    """A message of a process; None: it has gone, or speaks nonsense."""

    member: "Member"
    message: Any


@dataclass(eq=False)
class Member:
    """A process, and what it has in hand: in each lane it works in the order of asking."""

    seat: int
    process: subprocess.Popen[bytes]
    ready: bool = False
    fate: Exception | None = None  # why it was killed, where it was
    guilty: Work | None = None  # what it was killed for
    lanes: dict[Lane, deque[tuple[int, Work]]] = field(
        default_factory=lambda: {lane: deque() for lane in LANES}
    )
    since: dict[Lane, float] = field(default_factory=dict)  # when the first of a lane began
    asked: int = 0
    outbox: SimpleQueue[bytes | None] = field(default_factory=SimpleQueue)
    threads: list[threading.Thread] = field(default_factory=list)

    @property
    def heads(self) -> list[Work]:
        """What it is working on; the rest of its lanes waits."""
        return [lane[0][1] for lane in self.lanes.values() if lane]

    @property
    def in_hand(self) -> list[Work]:
        return [work for lane in self.lanes.values() for _, work in lane]

    def give(self, work: Work) -> None:
        """Ask for it. Never waits: what the process does not take is kept for it."""
        self.asked += 1
        lane = self.lanes[work.lane]
        if not lane:
            self.since[work.lane] = time.monotonic()
        lane.append((self.asked, work))
        self.outbox.put(pack({"id": self.asked, **work.request()}))

    def answered(self, message: Any) -> Work:
        """The work that is answered, which must be the first of its lane.

        Raises:
            Nonsense: it is not.
        """
        number = message.get("id") if isinstance(message, dict) else None
        for name, lane in self.lanes.items():
            if lane and lane[0][0] == number:
                self.since[name] = time.monotonic()
                return lane.popleft()[1]
        raise Nonsense(f"an answer to {number!r}, which was not asked")

    def kill(self, why: Exception, guilty: Work | None = None) -> None:
        """Its end is heard like any other."""
        self.fate, self.guilty = why, guilty
        self.process.kill()


class Crew:
    """So many processes. What they say comes to `hear`, from threads of its own."""

    def __init__(
        self, setup: Setup, hear: Callable[[Said], None], on_line: Callable[[str], None]
    ) -> None:
        self._setup, self._hear, self._on_line = setup, hear, on_line
        self.members = [self._started(seat) for seat in range(setup.processes)]

    def replace(self, member: Member) -> None:
        """Another process in the place of one that has gone."""
        self.members[self.members.index(member)] = self._started(member.seat)

    def close(self) -> None:
        """End them all: at once where they idle, else they are killed."""
        for member in self.members:
            if member.in_hand or not member.ready:
                member.process.kill()
            member.outbox.put(None)
        for member in self.members:
            bury(member)

    def _started(self, seat: int) -> Member:
        member = Member(seat, _spawn(self._setup, seat))
        for life in (self._write, self._listen, self._pass_on):
            thread = threading.Thread(target=life, args=(member,), daemon=True)
            member.threads.append(thread)
            thread.start()
        member.outbox.put(pack(self._first_words()))
        return member

    def _first_words(self) -> dict[str, Any]:
        setup = self._setup
        options, reach = dict(setup.options), setup.reach.model_dump(mode="json")
        return {
            "folder": str(setup.folder),
            "options": options,
            "device": setup.device,
            "reach": reach,
        }

    def _write(self, member: Member) -> None:
        """In a thread: a process that hangs takes nothing, and nobody may wait for it."""
        stream = _pipe(member.process.stdin)
        with suppress(OSError), stream:
            while (data := member.outbox.get()) is not None:
                stream.write(data)
                stream.flush()

    def _listen(self, member: Member) -> None:
        with _pipe(member.process.stdout) as stream, suppress(EOFError, Nonsense, OSError):
            while True:
                self._hear(Said(member, receive(stream)))
        self._hear(Said(member, None))

    def _pass_on(self, member: Member) -> None:
        """What the model prints, line by line."""
        with _pipe(member.process.stderr) as stream, suppress(OSError):
            while data := stream.readline(_LONGEST_LINE):
                if line := data.decode("utf-8", "backslashreplace").rstrip():
                    self._on_line(line)


def _spawn(setup: Setup, seat: int) -> subprocess.Popen[bytes]:
    """A new process. Stops are the worker's affair: until it has said so itself they wait."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)
    try:
        return subprocess.Popen(
            setup.command,
            env=setup.environment(seat),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None
    return stream


def bury(member: Member) -> Exception:
    """Wait until it has ended, and its threads; why it ended."""
    member.outbox.put(None)
    try:
        code = member.process.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        member.process.kill()
        code = member.process.wait()
    for thread in member.threads:  # a program that the model left behind may hold its end open
        thread.join(_PATIENCE)
    return member.fate or _end(code)


def _end(code: int) -> Exception:
    """An exit code as an error."""
    if code == -signal.SIGKILL:
        return MemoryError("the model's process was killed (SIGKILL): out of memory, most likely")
    named = -code in {int(number) for number in signal.Signals}
    how = f"exit code {code}" if code >= 0 else f"signal {-code}"
    how = f"killed by {signal.Signals(-code).name}" if named else how
    hint = "what it printed before is in the job's log"
    return ModelError("the model's process died", why=how, hint=hint)


def hello(message: Any) -> About:
    """What a process says first.

    Raises:
        ModelError, MemoryError, BadInput: the model cannot be loaded.
    """
    if isinstance(message, dict) and "error" in message:
        raise revive(message["error"])
    try:
        return About(**message["hello"])
    except (TypeError, KeyError) as error:
        why = f"it began with {str(message)[:80]!r}"
        raise ModelError("the model's process speaks nonsense", why=why) from error
