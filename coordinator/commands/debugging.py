"""`debug`: where the processes of a running item are, and pdb in one of them."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from coordinator.bootstrap import batch_folder, make_cluster
from coordinator.clock import Clock
from coordinator.cluster import Inside, JobId
from coordinator.commands.logs import Chosen, LogRequest, choose
from coordinator.commands.record import record_of
from coordinator.commands.status import open_ledger
from coordinator.debugging import exits
from coordinator.debugging.folder import LONGEST_ABOUT, STACKS, TAKEN, Process, process_in
from coordinator.debugging.stacks import Frame, Stacks, read_stacks
from coordinator.debugging.standstill import OF_DISPATCHES, AlreadyAttached, attached
from coordinator.errors import BadInput, ClusterError, CoordinatorError, UsageError
from coordinator.settings import Settings

_ANSWERS = 4.0  # seconds for all processes to answer; those that C code holds take one more
_LOOK = 0.1
_MOST = 100  # processes of a job that are looked at
_LARGEST = 1 << 21  # bytes of one set of stacks
_BRIDGE = "coordinator.workers.attach"


@dataclass(frozen=True)
class Running:
    """An item that is being worked on, and the way into its job."""

    batch: str
    item: str
    chosen: Chosen
    inside: Inside

    @property
    def job_id(self) -> str:
        return self.chosen.dispatch.job_id or ""


@dataclass(frozen=True)
class At:
    """A line that is being run, and whether it is the user's own code."""

    process: Process
    frame: Frame
    is_handler: bool


@dataclass(frozen=True)
class Looked:
    """Where the processes of a job were."""

    running: Running
    stacks: tuple[Stacks, ...]  # the models' first, the worker's last
    silent: tuple[str, ...]  # of which processes nothing is known, and why

    @property
    def at(self) -> At | None:
        """The line of the user's code; where none is being run, the innermost of the first process
        that answered; None: none did.
        """
        for stacks in self.stacks:
            if stacks.line:
                return At(stacks.process, stacks.line, True)
        first = next((s for s in self.stacks if s.threads and s.threads[0].frames), None)
        return At(first.process, first.threads[0].frames[0], False) if first else None

    def to_json(self) -> dict[str, Any]:
        chosen, at = self.running.chosen, self.at
        return {
            "batch": self.running.batch,
            "item": self.running.item,
            "step": chosen.step,
            "attempt": chosen.attempt,
            "items_in_job": len(chosen.pack),
            "job_id": self.running.job_id,
            "node": chosen.dispatch.node,
            "at": _at_document(at) if at else None,
            "processes": [_document(stacks) for stacks in self.stacks],
            "silent": list(self.silent),
        }


def _at_document(at: At) -> dict[str, Any]:
    return {"pid": at.process.pid, "is_handler": at.is_handler, **asdict(at.frame)}


def _document(stacks: Stacks) -> dict[str, Any]:
    process = stacks.process
    threads = [
        {"main": thread.id == process.main, "frames": [asdict(frame) for frame in thread.frames]}
        for thread in stacks.threads
    ]
    return {"pid": process.pid, "role": process.role, "threads": threads}


@contextmanager
def entered(
    settings: Settings, batch: str, item: str, step: str | None, clock: Clock
) -> Iterator[Running]:
    """The way into the job that works on an item.

    Raises:
        BadInput: no such item, or nobody works on it.
        ClusterError, CredentialsError: its job cannot be entered.
    """
    ledger = open_ledger(settings, batch, clock)
    try:
        chosen, venue = choose(ledger, LogRequest(batch, item, step)), record_of(ledger).venue
    finally:
        ledger.close()
    if chosen.dispatch.state is None or not chosen.dispatch.job_id:
        raise _not_at_work(batch, item, chosen)
    cluster = make_cluster(settings, venue)
    try:
        yield Running(batch, item, chosen, cluster.inside(JobId(chosen.dispatch.job_id)))
    finally:
        cluster.close()


def _not_at_work(batch: str, item: str, chosen: Chosen) -> BadInput:
    attempt, what = f"attempt {chosen.attempt} of {chosen.step}", f"{item} is not being worked on"
    if chosen.dispatch.state is None:
        hint = f"coordinator why {batch} {item}; coordinator run-one {batch} {item} runs it here"
        return BadInput(what, why=f"{attempt} has ended", hint=hint)
    hint = "the same again in a moment"
    return BadInput(what, why=f"{attempt} is only about to be sent", hint=hint)


def look(running: Running, say: Callable[[str], None] = lambda _: None) -> Looked:
    """The stacks of all threads of all its processes; nothing is stopped.

    Raises:
        ClusterError, CredentialsError: they cannot be asked.
    """
    inside, before = running.inside, running.inside.files()
    known = _processes(inside, before)
    inside.ask()
    found = _answers(inside, known, before)
    silent = [_has_taken(name) for name in before if name.endswith(TAKEN)]
    if missing := known.keys() - found.keys():
        say(f"{len(missing)} of {len(known)} processes did not answer; they are asked once more")
        found |= _insisted(inside, known, missing, before, silent)
    listed = inside.files()
    silent += [_no_answer(known[name]) for name in known if name in listed and name not in found]
    order = sorted(found.values(), key=lambda stacks: stacks.process.role == "worker")
    return Looked(running, tuple(order), tuple(silent))


def _processes(inside: Inside, files: dict[str, int]) -> dict[str, Process]:
    names = [name for name in sorted(files) if name.endswith(STACKS)][:_MOST]
    read = ((name, process_in(inside.read(name, 0, LONGEST_ABOUT))) for name in names)
    found = {name: process for name, process in read if process}
    if not any(process.role == "worker" for process in found.values()):
        raise ClusterError(
            "the processes of the job cannot be asked",
            why="it has just started or ended, cannot write its folder, or is of an older version",
            hint="try it again in a moment; on its node `py-spy dump --pid PID` may do, which"
            " takes the right to trace processes",
        )
    return found


def _answers(
    inside: Inside, known: dict[str, Process], before: dict[str, int]
) -> dict[str, Stacks]:
    """What each process has written since, once it has ended writing; some write nothing."""
    deadline, last = time.monotonic() + _ANSWERS, dict[str, int]()
    while time.monotonic() < deadline:
        time.sleep(_LOOK)
        now = inside.files()
        grown = {name: now[name] for name in known if now.get(name, before[name]) != before[name]}
        if grown == last and grown.keys() >= known.keys() & now.keys():
            found = _read_all(inside, known, before, grown)
            if all(stacks.is_whole for stacks in found.values()):
                return found
        last = grown
    return _read_all(inside, known, before, last)


def _read_all(
    inside: Inside, known: dict[str, Process], before: dict[str, int], now: dict[str, int]
) -> dict[str, Stacks]:
    read = {name: _read(inside, known[name], before[name], size) for name, size in now.items()}
    return {name: stacks for name, stacks in read.items() if stacks}


def _read(inside: Inside, process: Process, before: int, now: int) -> Stacks | None:
    offset = before if now > before else 0  # it was made anew, as it had become too large
    return read_stacks(process, inside.read(f"{process.pid}{STACKS}", offset, _LARGEST))


def _insisted(
    inside: Inside,
    known: dict[str, Process],
    missing: set[str],
    before: dict[str, int],
    silent: list[str],
) -> dict[str, Stacks]:
    """What those say that did not answer at first; in `silent`, why they could not be asked."""
    main = next(name for name, process in known.items() if process.role == "worker")
    try:
        inside.insist(known[main].python, main_is_silent=main in missing)
    except CoordinatorError as error:
        silent.append(f"they were not asked once more: {error}; {error.hint}")
    return _answers(inside, {name: known[name] for name in missing}, before)


def _has_taken(name: str) -> str:
    return (
        f"process {name.removesuffix(TAKEN)} is not asked: its code has a use of its own for"
        " SIGUSR1 or SIGUSR2"
    )


def _no_answer(process: Process) -> str:
    return f"process {process.pid} ({process.role}) did not answer"


def attach(
    settings: Settings,
    running: Running,
    process: Process,
    on_output: Callable[[bytes], None],
) -> None:
    """Open pdb in a process's main thread, until it is left; the job's deadlines stand still.

    Raises:
        UsageError: somebody else is attached, or the process takes no debugger.
        ClusterError: it reached no line of Python, or the way to it broke.
    """
    python = _python(running)
    folder = batch_folder(settings, running.batch) / OF_DISPATCHES
    folder.mkdir(exist_ok=True)
    try:
        with attached(folder, running.chosen.dispatch.name):
            code = running.inside.run(python, ["-m", _BRIDGE, "pdb", str(process.pid)], on_output)
    except AlreadyAttached:
        code = exits.BUSY
    if code:
        raise _failed(running, process, code)


def _python(running: Running) -> str:
    """The interpreter of the job, as its worker says."""
    found = _processes(running.inside, running.inside.files()).values()
    return next(process.python for process in found if process.role == "worker")


def _failed(running: Running, process: Process, code: int) -> CoordinatorError:
    again = f"coordinator debug {running.batch} {running.item}"
    match code:
        case exits.STUCK:
            return ClusterError(
                f"process {process.pid} is stuck in C: no Python line was reached within 10 s",
                why="pdb begins at the next line of Python in the main thread",
                hint=f"{again} shows where it is",
            )
        case exits.BUSY:
            return UsageError(
                f"somebody else is attached to the job of {running.item}",
                hint="there is room for one debugger; try it again later",
            )
        case exits.GONE:
            return UsageError(
                f"process {process.pid} takes no debugger",
                why="it has ended, or its code has a use of its own for SIGUSR2",
                hint=f"{again} lists the processes",
            )
    return ClusterError(
        "the debugger could not be opened",
        why=f"`python -m {_BRIDGE}` ended with exit code {code} beside the job",
        hint="the job goes on",
    )
