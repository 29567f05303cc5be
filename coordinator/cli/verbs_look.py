"""Verbs that only look: status, ls, job-name."""

from typing import Annotated

from cyclopts import App, Parameter
from rich.table import Table
from rich.text import Text

from coordinator.bootstrap import make_clock
from coordinator.cli.options import NO_COMMON, Common
from coordinator.cli.output import Output
from coordinator.cli.show import SHOWN_FAILED, batches_table, folding_table, status_lines
from coordinator.cli.verb import add_verb
from coordinator.cli.watch import watch_batch
from coordinator.commands import status as looking
from coordinator.commands.batches import list_batches
from coordinator.commands.exits import exits_in
from coordinator.domain.names import JobName
from coordinator.domain.shown import for_terminal
from coordinator.errors import BadInput, ExitCode, UsageError


def add_to(app: App) -> None:
    add_verb(app, status)
    add_verb(app, ls)
    add_verb(app, job_name)


def status(
    batch: Annotated[
        str | None, Parameter(help="the batch; default the one that is being driven, else all")
    ] = None,
    item: Annotated[str | None, Parameter(help="one item: all its attempts")] = None,
    /,
    *,
    failed: Annotated[bool, Parameter(help="list the failed items", negative="")] = False,
    watch: Annotated[
        bool, Parameter(help="show it anew every 2 s, until the batch is finished", negative="")
    ] = False,
    exit_: Annotated[
        tuple[str, ...],
        Parameter(
            name="--exit",
            help="with --watch: end when any, all or none of the items are done, succeeded, failed,"
            " stopped, skipped, running or waiting, or the batch is paused or undriven, with this"
            " exit code: QUANTIFIER,STATE,CODE; may be repeated",
            negative="",
        ),
    ] = (),
    common: Common = NO_COMMON,
) -> int:
    """Where a batch stands and what it has running, from its ledger; nothing is changed.

    Examples:
    coordinator status

    coordinator status my-batch --watch

    coordinator status my-batch --watch --exit any,failed,1 --exit all,done,0

    coordinator status my-batch --failed

    coordinator status my-batch eng-fra
    """
    output, settings, clock = Output(as_json=common.json), common.load(), make_clock()
    exits = exits_in(exit_)
    if exits and not watch:
        raise UsageError("--exit says when a watch ends", hint="add --watch")
    if watch and failed:
        hint = "leave out one; a watch names the newest failure of each kind"
        raise UsageError("--failed lists items once, --watch goes on", hint=hint)
    driven = looking.driven_batches(settings) if batch is None else []
    batch = driven[0] if len(driven) == 1 else batch
    most = None if common.json else SHOWN_FAILED if failed else 0
    if watch:
        return watch_batch(output, settings, _named(batch), clock, exits)
    if batch is None:
        return ls(common=common)
    if item is not None:
        attempts = looking.item_history(settings, batch, item, clock)
        output.result({"item": item, "attempts": attempts}, _attempts_table(attempts))
        return ExitCode.OK
    found = looking.status(settings, batch, clock, most_failed=most)
    output.result({"status": found.to_json()}, *status_lines(found, failed=failed))
    return ExitCode.OK


def _named(batch: str | None) -> str:
    if batch is None:
        raise UsageError(
            "there is not one batch to watch",
            why="none is being driven on this machine, or several are",
            hint="name it: coordinator status BATCH --watch; coordinator ls lists them",
        )
    return batch


def ls(*, common: Common = NO_COMMON) -> int:
    """The batches whose ledgers are on this machine.

    Examples:
    coordinator ls

    coordinator ls --json
    """
    output, settings = Output(as_json=common.json), common.load()
    rows, lines, documents = [], [], []
    for found in list_batches(settings, make_clock()):
        if isinstance(found, tuple):
            name, reason = found
            lines.append(f"{name}  cannot be read: {for_terminal(reason)}")
            documents.append({"batch": name, "error": reason})
        else:
            rows.append(found)
            documents.append(found.to_json())
    table = [batches_table(rows)] if rows else []
    nothing = [] if documents else [f"no batches in {settings.state_dir}"]
    output.result({"batches": documents}, *table, *lines, *nothing)
    return ExitCode.OK


def job_name(
    name: Annotated[str, Parameter(help="a job's name or whole ID")],
    /,
    *,
    common: Common = NO_COMMON,
) -> int:
    """Take the name of a job apart: batch, unit, attempt.

    Examples:
    coordinator job-name my-batch--score.eng-fra--a1v1

    coordinator job-name my-batch--translate.pack-000007--a1v1
    """
    parts = JobName.parse(name)
    if parts is None:
        raise BadInput(
            f"{name!r} is no job name of this coordinator",
            hint="they look like my-batch--score.eng-fra--a1v1",
        )
    lines = [f"{key:<8} {value}" for key, value in vars(parts).items()]
    Output(as_json=common.json).result(vars(parts), *lines)
    return ExitCode.OK


def _attempts_table(attempts: list[dict[str, object]]) -> Table:
    columns = ("step", "attempt", "state", "kind", "reason", "dispatch")
    table = folding_table(*columns, folded=("reason", "dispatch"))
    for attempt in attempts:
        table.add_row(*(Text(for_terminal(str(attempt[c] or ""))) for c in columns))
    return table
