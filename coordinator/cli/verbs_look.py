"""Verbs that only look: status, ls, report, compare, job-name."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter
from rich.table import Table
from rich.text import Text

from coordinator.bootstrap import make_clock
from coordinator.cli.options import LOOK, NO_COMMON, Common, one_name
from coordinator.cli.output import Output
from coordinator.cli.show import counts_line, status_lines
from coordinator.cli.verb import add_verb
from coordinator.cli.watch import watch_batch
from coordinator.commands import status as looking
from coordinator.commands.reporting import Comparison
from coordinator.commands.reporting import compare as compare_batches
from coordinator.commands.reporting import report as write_report
from coordinator.domain.names import JobName
from coordinator.domain.shown import for_terminal
from coordinator.errors import BadInput, ExitCode, UsageError
from coordinator.reports import render


def add_to(app: App) -> None:
    add_verb(app, status, LOOK)
    add_verb(app, ls, LOOK)
    add_verb(app, report, LOOK)
    add_verb(app, compare, LOOK)
    add_verb(app, job_name, LOOK)


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
    common: Common = NO_COMMON,
) -> int:
    """Where a batch stands and what it has running, from its ledger; nothing is changed.

    Examples:
    coordinator status

    coordinator status my-batch --watch

    coordinator status my-batch --failed

    coordinator status my-batch eng-fra
    """
    output, settings, clock = Output(as_json=common.json), common.load(), make_clock()
    driven = looking.driven_batches(settings) if batch is None else []
    batch = driven[0] if len(driven) == 1 else batch
    if watch:
        return watch_batch(output, lambda: looking.status(settings, _named(batch), clock), failed)
    if batch is None:
        return ls(common=common)
    if item is not None:
        attempts = looking.item_history(settings, batch, item, clock)
        output.result({"item": item, "attempts": attempts}, _attempts_table(attempts))
        return ExitCode.OK
    found = looking.status(settings, batch, clock)
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
    lines, documents = [], []
    for found in looking.list_batches(settings, make_clock()):
        if isinstance(found, tuple):
            name, reason = found
            lines.append(f"{name}  cannot be read: {for_terminal(reason)}")
            documents.append({"batch": name, "error": reason})
        else:
            limited = "  (limited)" if found.results.limited else ""
            lines.append(f"{counts_line(found.results)}{limited}")
            documents.append(found.to_json())
    nothing = f"no batches in {settings.state_dir}"
    output.result({"batches": documents}, *(lines or [nothing]))
    return ExitCode.OK


def report(
    batch: Annotated[str | None, Parameter(help="the batch; default the only one there")] = None,
    /,
    *,
    batch_name: Annotated[str | None, Parameter(help="the same as BATCH")] = None,
    run_list: Annotated[
        Path | None, Parameter(help="items that should have run, one id a line; default all")
    ] = None,
    report_dir: Annotated[
        Path | None, Parameter(help="folder of the report; default local-reports/<batch>")
    ] = None,
    tensorboard: Annotated[
        Path | None,
        Parameter(help="write what the jobs used to this folder, as TensorBoard's run Diagnostics"),
    ] = None,
    common: Common = NO_COMMON,
) -> int:
    """Turn the logs of a batch into lists, tables and a summary that adds up.

    It reads the log tree alone, at any moment: no ledger and no cluster is needed.

    Examples:
    coordinator report my-batch

    coordinator report --log_dir local-logs --run_list inputs/test-run.txt
    """
    output = Output(as_json=common.json)
    made = write_report(
        common.load(),
        one_name(batch, batch_name) if batch or batch_name else None,
        make_clock(),
        log_dir=common.log_dir,
        run_list=run_list,
        report_dir=report_dir,
        tensorboard=tensorboard,
    )
    beside = [f"scores beside the outputs: {for_terminal(made.published)}"]
    lines = beside if made.published else []
    if tensorboard:
        shown = for_terminal(str(tensorboard))
        lines.append(f"{made.diagnostics:,} series of use: tensorboard --logdir {shown}")
    document = {
        **made.summary.to_json(),
        "published": made.published,
        "diagnostics": made.diagnostics,
    }
    output.result({"report": document}, render(made.summary), *lines)
    return ExitCode.OK


def compare(
    a: Annotated[str, Parameter(help="the batch to compare with")],
    b: Annotated[str, Parameter(help="the batch that is compared")],
    /,
    *,
    significance: Annotated[
        Literal["bootstrap", "randomization"] | None,
        Parameter(help="test each item's difference too, by its sentences"),
    ] = None,
    common: Common = NO_COMMON,
) -> int:
    """Compare the scores of two batches over the items that both have.

    Examples:
    coordinator compare my-batch my-other-batch

    coordinator compare my-batch my-other-batch --significance bootstrap
    """
    output, settings, clock = Output(as_json=common.json), common.load(), make_clock()
    found = compare_batches(settings, a, b, clock)
    document = asdict(found)
    lines: list[Table | str] = [_comparison_table(found), *_left_out(found)]
    if significance:
        from coordinator.cli.significance import significance_shown  # numpy takes a while to import

        document["significance"], more = significance_shown(
            output, settings, clock, found, significance
        )
        lines += ["", *more]
    output.result({"comparison": document}, *lines)
    return ExitCode.OK


def _comparison_table(found: Comparison) -> Table:
    names = (found.a, found.b)
    columns = ("metric", "items", *names, "difference", "better", "worse", "equal", "p (sign test)")
    table = Table(*columns, box=None, pad_edge=False)
    for row in found.rows:
        numbers = (row.mean_a, row.mean_b, row.difference)
        means = ["" if number is None else f"{number:.2f}" for number in numbers]
        counts = [f"{count:,}" for count in (row.better, row.worse, row.equal)]
        p = f"{row.p_value:.3g}"
        table.add_row(Text(for_terminal(row.metric)), f"{row.common:,}", *means, *counts, p)
    return table


def _left_out(found: Comparison) -> list[str]:
    limited = {found.a: found.limited_a, found.b: found.limited_b}
    lines = [f"! {name} is {for_terminal(words)}" for name, words in limited.items() if words]
    if found.limited_a != found.limited_b:
        lines.append("! not the same was left out of both: a difference may come of that alone")
    return lines + [
        f"{len(items):,} items only in {name}, left out of every number"
        for name, items in ((found.a, found.only_a), (found.b, found.only_b))
        if items
    ]


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
