"""Several processes that score. One that dies is noticed, and costs the rest nothing."""

import multiprocessing
import signal
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import cast

from coordinator.debugging.answering import answer_debuggers
from coordinator.errors import CoordinatorError, ExitCode, Problem
from coordinator.scoring.desk import Desk, Outcome, Setup
from coordinator.scoring.plan import Direction

_TRIES = 2  # of a direction whose process died
_FALSE_STARTS = 5  # deaths of processes that had not begun anything, with nothing done in between
_PATIENCE = 5.0  # seconds for a process to end
_AHEAD = 2  # directions that a process has at a time, so that it never waits for the next

Life = Callable[[Setup, Connection], None]  # what a process does, from beginning to end


class CrewLost(CoordinatorError):
    """The processes die before they begin."""

    exit_code = ExitCode.STOPPED_EARLY


class Queue:
    """Directions by target language, so that who takes one has its references at hand already."""

    def __init__(self, directions: Iterable[Direction]) -> None:
        self._left: defaultdict[str, list[Direction]] = defaultdict(list)
        for direction in sorted(directions, key=lambda d: (d.size, d.item)):
            self._left[direction.target].append(direction)  # the largest is taken first
        self._taken: set[str] = set()

    def take(self, language: str) -> Direction | None:
        """The next into `language`; where none is left, of a language that nobody has begun, the
        most work first; else of whichever has the most left.
        """
        if not self._left.get(language):
            left = [name for name, directions in self._left.items() if directions]
            fresh = [name for name in left if name not in self._taken]
            language = max(fresh or left, key=self._work, default="")
        self._taken.add(language)
        return self._left[language].pop() if self._left.get(language) else None

    def __len__(self) -> int:
        return sum(map(len, self._left.values()))

    def put_back(self, direction: Direction) -> None:
        self._left[direction.target].append(direction)

    def _work(self, language: str) -> tuple[int, str]:
        return sum(direction.size for direction in self._left[language]), language


@dataclass
class _Member:
    """A process, and what it was given: it works on the first."""

    process: SpawnProcess
    link: Connection
    given: deque[Direction] = field(default_factory=deque)
    language: str = ""


class Crew:
    """So many processes; used as a context manager, which ends them.

    Each is a new Python: nothing of this process is copied, and its threads and locks do not
    matter. A member that is left alone, because this process was killed, ends by itself.
    """

    def __init__(self, setup: Setup, processes: int, life: Life | None = None) -> None:
        self._setup, self._count, self._life = setup, processes, life or serve
        self._members: list[_Member] = []
        self._deaths: Counter[str] = Counter()
        self._false_starts = 0

    def __enter__(self) -> "Crew":
        return self

    def __exit__(self, *_: object) -> None:
        for member in self._members:
            member.process.terminate()
        for member in self._members:
            _end(member)

    def work_off(self, directions: Iterable[Direction]) -> Iterator[Outcome]:
        """What becomes of each direction, as it comes.

        Raises:
            BadInput: a metric cannot be loaded.
            StorageError: results cannot be written.
            CrewLost: processes die before they begin.
        """
        queue = Queue(directions)
        for _ in range(self._count):
            self._hire(queue)
        while busy := {member.link: member for member in self._members}:
            for link in wait(list(busy)):
                yield from self._heard(busy[cast(Connection, link)], queue)

    def _heard(self, member: _Member, queue: Queue) -> Iterator[Outcome]:
        """What a member says; nothing more is heard of one that died."""
        try:
            said = member.link.recv()
        except (EOFError, OSError):
            yield from self._buried(member, queue)
            return
        if isinstance(said, CoordinatorError):
            raise said
        if isinstance(said, Outcome):
            member.given.popleft()
            self._false_starts = 0
        self._give(member, queue)
        if isinstance(said, Outcome):
            yield said

    def _buried(self, member: _Member, queue: Queue) -> Iterator[Outcome]:
        self._members.remove(member)
        why = _how_it_ended(_end(member))
        if member.given:
            yield from self._blamed(member.given.popleft(), why, queue)
        else:
            self._false_starts += 1
        for direction in member.given:
            queue.put_back(direction)
        if self._false_starts >= _FALSE_STARTS:
            raise CrewLost("the scoring processes die before they begin", why=why)
        self._hire(queue)

    def _blamed(self, direction: Direction, why: str, queue: Queue) -> Iterator[Outcome]:
        """It is tried once more; then its item fails."""
        self._deaths[direction.item] += 1
        if (tries := self._deaths[direction.item]) < _TRIES:
            queue.put_back(direction)
            return
        reason = f"{tries} processes died of it, the last one {why}"
        fix = "its texts may be too large for the memory: --processes 1"
        yield Outcome(direction.item, problem=Problem(direction.item, reason, fix))

    def _hire(self, queue: Queue) -> None:
        """Another process, if there is work for it."""
        if queue:
            self._members.append(_started(self._life, self._setup))

    def _give(self, member: _Member, queue: Queue) -> None:
        """What it works on next; a member that has nothing left ends by itself."""
        while len(member.given) < self._share(queue):
            direction = queue.take(member.language)
            assert direction is not None
            member.given.append(direction)
            member.language = direction.target
            with suppress(OSError):  # it died: that is heard
                member.link.send(direction)
        if not member.given:
            self._members.remove(member)
            _end(member)

    def _share(self, queue: Queue) -> int:
        """Directions that a member may have: near the end one, so that all end together."""
        left = len(queue)
        return _AHEAD if left > _AHEAD * len(self._members) else min(left, 1)


def _started(life: Life, setup: Setup) -> _Member:
    """A new process. Ctrl-C is this process's affair: the new one never hears of it."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=life, args=(setup, there), daemon=True)
    resource_tracker.ensure_running()  # it would unblock the signal again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    there.close()  # so that the end of the process is the end of the link
    return _Member(process, here)


def _end(member: _Member) -> int | None:
    """Wait until it has ended; its exit code."""
    member.link.close()
    member.process.join(_PATIENCE)
    if member.process.is_alive():
        member.process.kill()
        member.process.join()
    return member.process.exitcode


def _how_it_ended(code: int | None) -> str:
    if code is None or code >= 0:
        return f"with exit code {code}"
    name = signal.Signals(-code).name if -code in signal.valid_signals() else str(-code)
    return f"killed by {name}" + (", perhaps for lack of memory" if -code == signal.SIGKILL else "")


def serve(setup: Setup, link: Connection) -> None:
    """The whole life of a member: say that it is ready; take a direction, say what became of it."""
    answer_debuggers("scorer")
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        try:
            desk = Desk(setup)
            link.send(None)  # ready
            while True:
                link.send(desk.work_off(link.recv()))
        except CoordinatorError as error:
            link.send(error)
