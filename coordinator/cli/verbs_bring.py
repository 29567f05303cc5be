"""Verbs that bring things here: the log of an item, the outputs of a batch."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter, validators
from rich.text import Text

from coordinator.bootstrap import make_clock
from coordinator.cli.live import Checking
from coordinator.cli.options import NO_COMMON, Common
from coordinator.cli.output import Output
from coordinator.cli.verb import add_verb
from coordinator.cli.words import plural
from coordinator.commands import fetch as fetching
from coordinator.commands import logs as reading
from coordinator.commands.logs import Chosen, LogLine, LogRequest
from coordinator.domain.shown import for_terminal
from coordinator.errors import ExitCode, UsageError


def add_to(app: App) -> None:
    add_verb(app, logs)
    add_verb(app, fetch)


def logs(
    batch: Annotated[str, Parameter(help="the batch")],
    item: Annotated[str, Parameter(help="the item")],
    /,
    *,
    follow: Annotated[bool, Parameter(help="go on until its job has ended", negative="")] = False,
    only_model: Annotated[
        bool,
        Parameter(
            name="--only-model",
            help="only what the model, handler or command said, and its traceback",
            negative="",
        ),
    ] = False,
    attempt: Annotated[
        int | None,
        Parameter(help="this attempt; default the newest", validator=validators.Number(gte=1)),
    ] = None,
    step: Annotated[str | None, Parameter(help="of this step; default the newest")] = None,
    stdout: Annotated[bool, Parameter(help="only standard output", negative="")] = False,
    stderr: Annotated[bool, Parameter(help="only standard error", negative="")] = False,
    common: Common = NO_COMMON,
) -> int:
    """What was written while an item was worked on: from the cluster while it runs, then from here.

    Examples:
    coordinator logs my-batch fra-spa --only-model

    coordinator logs my-batch eng-fra --step translate --attempt 1
    """
    output = Output(as_json=common.json)
    if follow and output.as_json:
        raise UsageError("--follow is for a person, --json for a program", hint="leave out one")
    streams = ((reading.STDOUT,) if stdout else ()) + ((reading.STDERR,) if stderr else ())
    request = LogRequest(batch, item, step, attempt, streams, only_model, follow)
    chosen: list[Chosen] = []

    def on_choice(choice: Chosen) -> None:
        chosen.append(choice)
        output.say(_heading(item, choice, stdout=stdout))

    lines = reading.read(common.load(), request, make_clock(), on_choice)
    try:
        return _shown(output, item, lines, chosen)
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED


def _shown(output: Output, item: str, lines: Iterator[LogLine], chosen: list[Chosen]) -> int:
    if not output.as_json:
        for line in lines:
            output.out.print(Text(for_terminal(line.text)))
        return ExitCode.OK
    listed = [asdict(line) for line in lines]
    found = chosen[0]
    document = {
        "item": item,
        "step": found.step,
        "attempt": found.attempt,
        "dispatch": found.dispatch.name,
        "job_id": found.dispatch.job_id,
        "pack": list(found.pack),
        "lines": listed,
    }
    output.result({"log": document})
    return ExitCode.OK


def _heading(item: str, chosen: Chosen, *, stdout: bool) -> str:
    state = "ended" if chosen.dispatch.state is None else str(chosen.dispatch.state)
    line = f"{item}  {chosen.step}, attempt {chosen.attempt}, {chosen.dispatch.name}, {state}"
    if len(chosen.pack) == 1:
        return line
    shared = f"  with {plural(len(chosen.pack) - 1, 'other item')} in its pack"
    whose = (
        "standard output is that of them all"
        if stdout
        else "--stdout shows their standard output, which is not told apart"
    )
    return f"{line}{shared}: {whose}"


def fetch(
    batch: Annotated[str, Parameter(help="the batch")],
    /,
    *,
    to: Annotated[Path, Parameter(help="folder to bring them to; made if it is not there")],
    summary: Annotated[
        bool, Parameter(help="only batch.json and the summary", negative="")
    ] = False,
    output_root: Annotated[
        str | None, Parameter(help="where its outputs are, for a batch that is not known here")
    ] = None,
    common: Common = NO_COMMON,
) -> int:
    """Bring the outputs of a batch here. Done again, it brings only what is missing or changed.

    Examples:
    coordinator fetch my-batch --to results

    coordinator fetch my-batch --to results --summary
    """
    output = Output(as_json=common.json)
    settings = common.load(output_root=output_root)
    with Checking(output) as checking:
        got = fetching.fetch(
            settings,
            batch,
            to,
            make_clock(),
            summary_only=summary,
            root=output_root,
            on_progress=lambda done: checking.on_progress("fetched", done, None),
        )
    lines = [
        f"{batch}  {plural(got.fetched, 'file')} fetched ({got.bytes:,} bytes),"
        f" {got.kept:,} here already  ->  {for_terminal(str(to))}"
    ]
    lines += [f"  left out: {for_terminal(key)}: {why}" for key, why in got.refused]
    output.result({"fetched": asdict(got)}, *lines)
    return ExitCode.SOME_FAILED if got.refused else ExitCode.OK
