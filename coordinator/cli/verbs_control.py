"""Verbs that steer a batch which another process may be driving: set, pause, resume, stop."""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from coordinator.bootstrap import make_clock
from coordinator.cli.options import NO_COMMON, Common
from coordinator.cli.output import Output
from coordinator.cli.show import resume_command
from coordinator.cli.verb import add_verb
from coordinator.commands import control
from coordinator.commands.control import Word
from coordinator.domain.shown import for_terminal
from coordinator.errors import ExitCode, UsageError

BatchArgument = Annotated[str, Parameter(help="the batch")]


def add_to(app: App) -> None:
    for verb in (set_, pause, resume, stop):
        add_verb(app, verb)


def set_(
    batch: BatchArgument,
    /,
    *,
    stop_threshold: Annotated[
        int | None, Parameter(help="items in flight at which no new one is started")
    ] = None,
    resume_threshold: Annotated[
        int | None, Parameter(help="items in flight at which it goes on, 0 = none")
    ] = None,
    wait_seconds: Annotated[float | None, Parameter(help="seconds between two dispatches")] = None,
    max_same_failure: Annotated[
        int | None,
        Parameter(
            name=("--max_same_failure", "--max-same-failure"),
            help="stop when so many dispatches in a row fail the same way; 0 = never",
        ),
    ] = None,
    common: Common = NO_COMMON,
) -> int:
    """Change how a batch runs, while it runs or for its next start.

    Examples:
    coordinator set my-batch --stop_threshold 8 --resume_threshold 6

    coordinator set my-batch --max-same-failure 0
    """
    asked = {
        "stop_threshold": stop_threshold,
        "resume_threshold": resume_threshold,
        "wait_seconds": wait_seconds,
        "max_same_failure": max_same_failure,
    }
    changes = {name: value for name, value in asked.items() if value is not None}
    if not changes:
        raise UsageError(
            f"nothing to set for {batch}", hint=f"coordinator set {batch} --stop_threshold 8"
        )
    settings = common.load(**changes)
    return _said(common, control.retune(settings, batch, changes, make_clock()))


def pause(batch: BatchArgument, /, *, common: Common = NO_COMMON) -> int:
    """Send nothing new, not even later steps of items in flight; what runs goes on.

    A pause outlives the coordinator: `coordinator resume` alone lifts it.

    Examples:
    coordinator pause my-batch
    """
    return _said(common, control.pause(common.load(), batch, make_clock()))


def resume(batch: BatchArgument, /, *, common: Common = NO_COMMON) -> int:
    """Lift a pause. Where nobody drives the batch, say how to go on; the exit code is then 3.

    Examples:
    coordinator resume my-batch
    """
    word = control.lift_pause(common.load(), batch, make_clock())
    _said(common, word)
    idle = word.driven_by is None and not word.finished
    return ExitCode.STOPPED_EARLY if idle else ExitCode.OK


def stop(
    batch: BatchArgument,
    /,
    *items: Annotated[str, Parameter(help="only these items")],
    items_file: Annotated[
        Path | None, Parameter(name="--items", help="only the items in this file, one id a line")
    ] = None,
    now: Annotated[
        bool, Parameter(help="stop what runs too; those items end as stopped", negative="")
    ] = False,
    common: Common = NO_COMMON,
) -> int:
    """Start nothing more of a batch, wait for what runs, and end its coordinator.

    With items, only those are stopped, and the batch goes on. A pack that also holds other items is
    never stopped for one of them: the item is stopped when the pack has ended.

    Examples:
    coordinator stop my-batch

    coordinator stop my-batch --now

    coordinator stop my-batch eng-fra eng-deu
    """
    settings, clock = common.load(), make_clock()
    chosen = [*items, *_listed(items_file)]
    if not chosen and items_file is not None:
        raise UsageError(f"{items_file} lists no item", hint="one id a line")
    if chosen and now:
        raise UsageError(
            "--now is for a whole batch",
            why="items are stopped at once where their pack holds nothing else, or not at all",
            hint="leave out --now, or the items",
        )
    if chosen:
        return _said(common, control.stop_items(settings, batch, chosen, clock))
    return _said(common, control.stop(settings, batch, clock, now=now))


def _listed(file: Path | None) -> tuple[str, ...]:
    if file is None:
        return ()
    from coordinator.catalog import read_item_list

    return tuple(read_item_list(file).ids)


def _said(common: Common, word: Word) -> int:
    document = {
        "batch": word.batch,
        "did": list(word.did),
        "driven_by": word.driven_by,
        "finished": word.finished,
    }
    lines = [f"{word.batch}  {for_terminal(did)}" for did in word.did]
    Output(as_json=common.json).result(document, *lines, _what_next(word))
    return ExitCode.OK


def _what_next(word: Word) -> str:
    if word.driven_by:
        return f"  {for_terminal(word.driven_by)} drives it and follows within a moment"
    kept = "kept for its next start" if word.kept else "go on with"
    if word.finished:
        return f"  the batch is finished{f'; {kept}' if word.kept else ''}"
    return f"  nobody drives it; {kept}: {resume_command(word.batch)}"
