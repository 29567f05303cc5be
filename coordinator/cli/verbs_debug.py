"""Verbs for somebody who wants to look inside: debug, run-one."""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from coordinator.bootstrap import make_clock
from coordinator.cli.debug_shown import Screen, looked_lines, ran_lines, welcome_lines
from coordinator.cli.options import NO_COMMON, Common
from coordinator.cli.output import Output
from coordinator.cli.verb import add_verb
from coordinator.commands import debugging
from coordinator.commands import run_one as here
from coordinator.commands.debugging import Looked
from coordinator.debugging.folder import Process
from coordinator.errors import BadInput, ClusterError, ExitCode, UsageError

BatchArgument = Annotated[str, Parameter(help="the batch")]
ItemArgument = Annotated[str, Parameter(help="the item")]


def add_to(app: App) -> None:
    add_verb(app, debug)
    add_verb(app, run_one)


def debug(
    batch: BatchArgument,
    item: ItemArgument,
    /,
    *,
    step: Annotated[str | None, Parameter(help="its step; default the newest one sent")] = None,
    pdb: Annotated[
        bool, Parameter(help="open pdb in the process that runs the handler", negative="")
    ] = False,
    process: Annotated[
        int | None, Parameter(help="with --pdb: the number of another process of the job")
    ] = None,
    common: Common = NO_COMMON,
) -> int:
    """Show where a running item is, to the line, without stopping its job.

    The stacks of all threads of all its processes, also of one that is stuck in C. With --pdb, a
    debugger in the main thread: c, q or the end of the input let the job go on.

    Examples:
    coordinator debug my-batch eng-fra

    coordinator debug my-batch eng-fra --pdb
    """
    if pdb and common.json:
        raise UsageError("--pdb has no --json", why="it is a conversation", hint="leave one out")
    output, settings, clock = Output(as_json=common.json), common.load(), make_clock()
    with debugging.entered(settings, batch, item, step, clock) as job:
        looked = debugging.look(job, output.say)
        if not pdb:
            output.result({"debug": looked.to_json()}, *looked_lines(looked))
            return ExitCode.OK
        chosen = _chosen(looked, process)
        for line in welcome_lines(looked, chosen):
            output.say(line)
        try:
            debugging.attach(settings, job, chosen, Screen().show)
        except KeyboardInterrupt:
            output.say("left by Ctrl-C: the job goes on")
            return ExitCode.INTERRUPTED
    return ExitCode.OK


def run_one(
    batch: BatchArgument,
    item: ItemArgument,
    /,
    *,
    step: Annotated[str | None, Parameter(help="its step; default the newest one sent")] = None,
    pdb: Annotated[
        bool,
        Parameter(help="in one process on this terminal; pdb opens where it fails", negative=""),
    ] = False,
    model: Annotated[
        Path | None, Parameter(help="a model folder in place of the batch's, say an edited copy")
    ] = None,
    common: Common = NO_COMMON,
) -> int:
    """Work one item off on this machine, by the handoff that its job was given.

    Neither the batch's ledger nor its outputs are touched; what comes of it stays in a folder of
    its own. With --pdb, `breakpoint()` works in a handler.

    Examples:
    coordinator run-one my-batch eng-fra

    coordinator run-one my-batch eng-fra --step translate --model models/mine
    """
    if pdb and common.json:
        raise UsageError("--pdb has no --json", why="it is a conversation", hint="leave one out")
    output, settings = Output(as_json=common.json), common.load()
    prepared = here.prepare(settings, batch, item, make_clock(), step=step, model=model)
    for note in prepared.notes:
        output.say(f"note: {note}")
    output.say(f"{item}, {prepared.handoff.step}: it runs in {prepared.folder}")
    ran = here.run(settings, prepared, under_pdb=pdb)
    output.result({"run_one": ran.to_json()}, *ran_lines(ran))
    return ExitCode.OK if ran.has_succeeded else ExitCode.SOME_FAILED


def _chosen(looked: Looked, pid: int | None) -> Process:
    """The process for pdb: the one that was named, or that runs the user's code."""
    known = [stacks.process for stacks in looked.stacks]
    if not known:
        raise ClusterError("no process of the job answered", why="; ".join(looked.silent))
    if pid is None:
        return looked.at.process if looked.at else known[0]
    for process in known:
        if process.pid == pid:
            return process
    listed = ", ".join(f"{process.pid} ({process.role})" for process in known)
    raise BadInput(f"the job has no process {pid}", why=f"it has {listed}", hint="name one")
