"""Verbs that only look: status, ls, report, compare, job-name."""

from typing import Annotated

from cyclopts import App, Group, Parameter
from rich.table import Table
from rich.text import Text

from coordinator.bootstrap import make_clock
from coordinator.cli.options import NO_COMMON, Common
from coordinator.cli.output import Output
from coordinator.cli.show import counts_line, status_lines
from coordinator.commands import status as looking
from coordinator.domain.names import JobName
from coordinator.domain.shown import for_terminal
from coordinator.errors import BadInput, ExitCode

_LOOK = Group("Look", sort_key=3)


def add_to(app: App) -> None:
    app.command(status, group=_LOOK)
    app.command(ls, group=_LOOK)
    app.command(job_name, group=_LOOK)


def status(
    batch: Annotated[str, Parameter(help="the batch")],
    item: Annotated[str | None, Parameter(help="one item: all its attempts")] = None,
    /,
    *,
    failed: Annotated[bool, Parameter(help="list the failed items", negative="")] = False,
    common: Common = NO_COMMON,
) -> int:
    """Where a batch stands, read from its ledger; nothing is changed.

    Examples:
    coordinator status my-batch --failed

    coordinator status my-batch eng-fra
    """
    output, settings, clock = Output(as_json=common.json), common.load(), make_clock()
    if item is not None:
        attempts = looking.item_history(settings, batch, item, clock)
        output.result({"item": item, "attempts": attempts}, _attempts_table(attempts))
        return ExitCode.OK
    found = looking.status(settings, batch, clock)
    output.result({"status": found.to_json()}, *status_lines(found, failed=failed))
    return ExitCode.OK


def ls(*, common: Common = NO_COMMON) -> int:
    """The batches whose ledgers are on this machine.

    Examples:
    coordinator ls

    coordinator ls --json
    """
    output, settings = Output(as_json=common.json), common.load()
    lines, documents = [], []
    for found in looking.list_batches(settings, make_clock()):
        if isinstance(found, tuple):
            name, reason = found
            lines.append(f"{name}  cannot be read: {for_terminal(reason)}")
            documents.append({"batch": name, "error": reason})
        else:
            lines.append(counts_line(found.results))
            documents.append(found.to_json())
    nothing = f"no batches in {settings.state_dir}"
    output.result({"batches": documents}, *(lines or [nothing]))
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
    table = Table(*columns, box=None, pad_edge=False)
    for attempt in attempts:
        table.add_row(*(Text(for_terminal(str(attempt[c] or ""))) for c in columns))
    return table
