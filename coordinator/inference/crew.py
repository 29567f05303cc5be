"""The processes that hold a model: started, spoken to, and noticed when they die."""

import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Any

from coordinator.debugging.standstill import is_held, steady
from coordinator.domain.reach import Reach
from coordinator.errors import ModelError
from coordinator.inference.wire import Nonsense, pack, receive, revive
from coordinator.inference.work import LANES, Lane, Work

SERVER = (sys.executable, "-m", "coordinator.inference.server")
_PATIENCE = 5.0  # seconds for a process to end by itself
_HELD = 2.0  # seconds for its pipes to end after it: what has left its group may hold them open
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
        given = self.gpus[seat :: self.processes] or self.gpus[seat % max(len(self.gpus), 1) :][:1]
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
    """A message of a process; None: it has gone, and says nothing any more."""

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
    started: float = field(default_factory=steady)
    asked: int = 0
    outbox: SimpleQueue[bytes | None] = field(default_factory=SimpleQueue)
    threads: list[threading.Thread] = field(default_factory=list)
    gone: threading.Event = field(default_factory=threading.Event)  # it has ended, and was reaped

    @property
    def heads(self) -> list[Work]:
        """What it is working on; the rest of its lanes waits."""
        return [lane[0][1] for lane in self.lanes.values() if lane]

    @property
    def in_hand(self) -> list[Work]:
        return [work for lane in self.lanes.values() for _, work in lane]

    @property
    def suspects(self) -> list[Work]:
        """What may be to blame for its end."""
        if self.guilty is None:
            return self.heads
        if self.guilty not in self.in_hand:  # it answered at the very moment when it was killed
            return []
        # A translation that holds the interpreter holds up the other two.
        return [self.guilty] if self.guilty.lane == "translate" else self.heads

    def give(self, work: Work) -> None:
        """Ask for it. Never waits: what the process does not take is kept for it.

        Raises:
            ModelError: it is too long to be said.
        """
        request = pack({"id": self.asked + 1, **work.request()})
        self.asked += 1
        lane = self.lanes[work.lane]
        if not lane:
            self.since[work.lane] = steady()
        lane.append((self.asked, work))
        self.outbox.put(request)

    def answered(self, message: Any) -> Work:
        """The work that is answered, which must be the first of its lane.

        Raises:
            Nonsense: it is not.
        """
        number = message.get("id") if isinstance(message, dict) else None
        for name, lane in self.lanes.items():
            if lane and lane[0][0] == number:
                self.since[name] = steady()
                return lane.popleft()[1]
        raise Nonsense(f"an answer to {number!r}, which was not asked")

    def let_go(self) -> list[Work]:
        """What it had in hand, which is its affair no more."""
        works = self.in_hand
        for lane in self.lanes.values():
            lane.clear()
        return works

    def spoilt_by(self, work: Work, why: Exception) -> None:
        """It answered, and said that nothing more can come of it."""
        self.lanes[work.lane].appendleft((0, work))
        self.kill(why, work)

    def kill(self, why: Exception, guilty: Work | None = None) -> None:
        """With all that it started. Its end is heard like any other."""
        if self.fate is None:
            self.fate, self.guilty = why, guilty
        self.end()

    def end(self) -> None:
        """End it and all that it started, if it is still there."""
        if not self.gone.is_set():
            _kill_group(self.process.pid)


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

    def do_without(self, member: Member) -> None:
        """Nobody takes the place of one that has gone."""
        self.members.remove(member)

    def kill_slow_loaders(self, limit: float) -> None:
        """Kill who has been loading the model for more than so many seconds."""
        for member in self.members:
            loading = not member.ready and member.fate is None
            if loading and steady() - member.started > limit and not is_held():
                what = f"loading the model {self._setup.folder} took longer than {limit:g} s"
                member.kill(TimeoutError(f"{what}: the option load_timeout allows no more"))

    def close(self) -> None:
        """End them all: at once where they idle, else they are killed."""
        for member in self.members:
            if member.in_hand or not member.ready:
                member.end()
            member.outbox.put(None)
        for member in self.members:
            bury(member)

    def _started(self, seat: int) -> Member:
        member = Member(seat, _spawn(self._setup, seat))
        listener = _thread(self._listen, member)
        for life in (self._write, self._pass_on):
            member.threads.append(_thread(life, member))
        member.threads.append(_thread(self._wait_for, member, listener))
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
        """Until it says no more; who lives on after that is of no use."""
        try:
            with _pipe(member.process.stdout) as stream, suppress(EOFError, OSError):
                while True:
                    self._hear(Said(member, receive(stream)))
        except Nonsense as nonsense:
            member.kill(ModelError("the model's process speaks nonsense", why=str(nonsense)))
        if not member.gone.wait(_PATIENCE):
            member.kill(ModelError("the model's process closed its pipe, and lived on"))

    def _wait_for(self, member: Member, listener: threading.Thread) -> None:
        """Its end is told once it has ended, not when its pipes do: others may hold them open."""
        pid = member.process.pid
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # not reaped: its group is its own
        _kill_group(pid)
        member.process.wait()
        member.gone.set()
        listener.join(_HELD)
        self._hear(Said(member, None))

    def _pass_on(self, member: Member) -> None:
        """What the model prints, line by line."""
        with _pipe(member.process.stderr) as stream, suppress(OSError):
            while data := stream.readline(_LONGEST_LINE):
                if line := data.decode("utf-8", "backslashreplace").rstrip():
                    self._on_line(line)


def _spawn(setup: Setup, seat: int) -> subprocess.Popen[bytes]:
    """A new process, in a group of its own with all that it starts.

    Stops are the worker's affair: until it has said so itself they wait.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)
    try:
        return subprocess.Popen(
            setup.command,
            env=setup.environment(seat),
            process_group=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None
    return stream


def _thread(life: Callable[..., None], *given: Any) -> threading.Thread:
    thread = threading.Thread(target=life, args=given, daemon=True)
    thread.start()
    return thread


def _kill_group(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def bury(member: Member) -> Exception:
    """Wait until it has ended, and what it printed was read; why it ended."""
    member.outbox.put(None)
    if not member.gone.wait(_PATIENCE):
        member.end()
        member.gone.wait()
    for thread in member.threads:
        thread.join(_HELD)
    return member.fate or _end(member.process.returncode)


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
