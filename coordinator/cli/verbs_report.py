"""The verb `report`: what the logs of a batch say, as lists, tables, documents and a page."""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from coordinator.bootstrap import make_clock
from coordinator.cli.exported import NO_EXPORT, Export, export
from coordinator.cli.live import Checking
from coordinator.cli.options import NO_COMMON, Common, one_name
from coordinator.cli.output import Output
from coordinator.cli.verb import add_verb
from coordinator.commands.exporting import items_of
from coordinator.commands.reporting import report as write_report
from coordinator.domain.shown import for_terminal
from coordinator.errors import UsageError
from coordinator.reports.render import render


def add_to(app: App) -> None:
    add_verb(app, report)


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
    rules: Annotated[
        Path | None, Parameter(help="what lines of logs mean, for the logs of another batch system")
    ] = None,
    tensorboard: Annotated[
        Path | None,
        Parameter(help="write what the jobs used to this folder, as TensorBoard's run Diagnostics"),
    ] = None,
    page: Annotated[
        bool, Parameter(help="write report.html too; takes the extra coordinator[report]")
    ] = True,
    rows: Export = NO_EXPORT,
    common: Common = NO_COMMON,
) -> int:
    """Turn the logs of a batch into a page, lists, tables and a summary that adds up.

    It reads the log tree alone, at any moment: no ledger and no cluster is needed.

    Examples:
    coordinator report my-batch

    coordinator report --log_dir local-logs --run_list inputs/test-run.txt

    coordinator report --log_dir their-logs --rules inputs/rules/fim-pipeline.yml

    coordinator report my-batch --format csv --fields item,kind,reason --filter state=failed

    coordinator report my-batch --format junit --out my-batch.xml --exit_code
    """
    output, settings, clock = Output(as_json=common.json), common.load(), make_clock()
    name = one_name(batch, batch_name) if batch or batch_name else None
    is_own = name and not common.log_dir  # where they are, the batch's ledger may say
    where = f"the logs of {name}" if is_own else f"logs in {common.log_dir or settings.log_dir}"
    output.say(f"reading {where}")
    if wish := rows.wish():
        if report_dir or tensorboard:
            raise UsageError(
                "--report_dir and --tensorboard are about a report",
                why="with --format rows are written in its place",
                hint="leave --format out, or name a file with --out",
            )
        with Checking(output) as checking:
            items = items_of(
                settings,
                name,
                clock,
                log_dir=common.log_dir,
                run_list=run_list,
                rules=rules,
                on_progress=checking.on_progress,
            )
        export(output, items, wish, rows.out)
        return rows.code(items.summary)
    with Checking(output) as checking:
        made = write_report(
            settings,
            name,
            clock,
            log_dir=common.log_dir,
            run_list=run_list,
            report_dir=report_dir,
            rules=rules,
            tensorboard=tensorboard,
            page=page,
            on_progress=checking.on_progress,
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
    return rows.code(made.summary)
