"""What `debug` and `run-one` show. Whatever comes from a job is made safe here."""

import codecs
import shlex
import sys
from collections.abc import Iterator

from coordinator.commands.debugging import Looked, Running
from coordinator.commands.run_one import Ran
from coordinator.debugging.folder import Process
from coordinator.debugging.stacks import Frame, Stacks
from coordinator.domain.shown import for_terminal

_KEPT = "\n\t"


def looked_lines(looked: Looked) -> Iterator[str]:
    """What is shown: first the line that is being run, then the stacks."""
    yield _headline(looked)
    yield f"  {_job_in_words(looked.running)}"
    for stacks in looked.stacks:
        yield ""
        yield from _stacks_lines(stacks)
    yield from (f"! {for_terminal(words)}" for words in looked.silent)


def _headline(looked: Looked) -> str:
    pack, who = len(looked.running.chosen.pack), looked.running.item
    who = f"the pack of {who} ({pack:,} items)" if pack > 1 else who
    at = looked.at
    if at is None:
        return f"{who}: no process answered"
    if at.is_handler:
        return f"{who} is at {_place(at.frame)}"
    named = for_terminal(f"process {at.process.pid} ({at.process.role})")
    return f"{who} is in no line of a handler; {named} is at {_place(at.frame)}"


def _job_in_words(running: Running) -> str:
    chosen = running.chosen
    node = f" on {chosen.dispatch.node}" if chosen.dispatch.node else ""
    words = f"{chosen.step}, attempt {chosen.attempt}, job {running.job_id}{node}"
    return for_terminal(words)


def _stacks_lines(stacks: Stacks) -> Iterator[str]:
    process = stacks.process
    yield for_terminal(f"process {process.pid} ({process.role})")
    for thread in stacks.threads:
        yield "  main thread" if thread.id == process.main else "  thread"
        for frame in thread.frames:
            yield f"    {_place(frame)}"


def _place(frame: Frame) -> str:
    return for_terminal(f"{frame.file}:{frame.line or '?'} in {frame.function}")


def welcome_lines(looked: Looked, process: Process) -> Iterator[str]:
    """What is said before pdb opens."""
    yield _headline(looked)
    yield (
        f"pdb in process {process.pid} ({process.role}): c, q or ^D let the job go on. Its own"
        " deadlines stand still meanwhile; a limit in its Nomad job file does not. It opens at the"
        " next line of Python, within 10 s."
    )


class Screen:
    """What comes from a job, made safe for a terminal."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def show(self, data: bytes) -> None:
        text = self._decoder.decode(data)
        sys.stdout.write("".join(c if c in _KEPT else for_terminal(c) for c in text))
        sys.stdout.flush()


def ran_lines(ran: Ran) -> Iterator[str]:
    """What came of an item that was worked off here."""
    (item,), outcome = ran.prepared.handoff.items, ran.outcome
    if outcome is None:
        yield f"{item.item}: no outcome; the worker ended with exit code {ran.exit_code}"
    elif outcome.failure:
        failure = outcome.failure
        yield for_terminal(f"{item.item}: failed, {failure.kind}: {failure.message}")
        yield from (f"  {for_terminal(line)}" for line in failure.traceback.splitlines()[-8:])
    else:
        yield f"{item.item}: {outcome.status}"
    yield from (f"  {for_terminal(str(path))}" for path in ran.files)
    yield f"all of it: {for_terminal(str(ran.prepared.folder))}"
    folder, key = str(ran.prepared.folder), ran.prepared.key
    again = [sys.executable, "-m", "coordinator.workers.run_here", folder, key]
    yield f"once more, under a debugger: {for_terminal(shlex.join(again))}"
