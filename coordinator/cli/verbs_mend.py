"""Verbs that clean up and mend: purge, rm, rebuild-ledger."""

from dataclasses import asdict
from typing import Annotated

from cyclopts import App, Parameter

from coordinator.bootstrap import make_clock
from coordinator.cli.options import NO_COMMON, Common, one_name
from coordinator.cli.output import Output
from coordinator.cli.show import resume_command
from coordinator.cli.verb import add_verb
from coordinator.cli.words import plural
from coordinator.commands import purge as purging
from coordinator.commands.rebuild import rebuild
from coordinator.commands.remove import remove
from coordinator.domain.shown import for_terminal
from coordinator.errors import ExitCode


def add_to(app: App) -> None:
    add_verb(app, purge)
    add_verb(app, rm)
    add_verb(app, rebuild_ledger)


def purge(
    batch: Annotated[str | None, Parameter(help="the batch")] = None,
    /,
    *,
    batch_name: Annotated[str | None, Parameter(help="the same as BATCH")] = None,
    dry_run: Annotated[
        bool, Parameter(name="--dry-run", help="list the jobs, purge none", negative="")
    ] = False,
    include_running: Annotated[
        bool,
        Parameter(
            name="--include-running",
            help="stop and purge running jobs too; needs --yes",
            negative="",
        ),
    ] = False,
    yes: Annotated[bool, Parameter(help="yes, stop what runs", negative="")] = False,
    common: Common = NO_COMMON,
) -> int:
    """Make the cluster forget the finished jobs of one batch, whose logs are all home.

    Examples:
    coordinator purge my-batch --dry-run

    coordinator purge my-batch
    """
    output, clock, settings = Output(as_json=common.json), make_clock(), common.load()
    plan = purging.plan_purge(settings, one_name(batch, batch_name), clock)
    if not dry_run:
        plan = purging.purge(plan, settings, clock, include_running=include_running, yes=yes)
    verb = "would be purged" if dry_run else "purged"
    summary = (
        f"{plan.batch}  {plural(len(plan.finished), 'finished job')} {verb} "
        f"(logs home for all), {len(plan.running):,} running left alone"
    )
    listed = [f"  {for_terminal(job)}" for job in plan.jobs] if dry_run else []
    document = {"batch": plan.batch, "jobs": plan.jobs, "running": len(plan.running)}
    output.result({**document, "dry_run": dry_run}, *listed, summary)
    return ExitCode.OK


def rm(
    batch: Annotated[str, Parameter(help="the batch")],
    /,
    *,
    outputs: Annotated[
        bool, Parameter(help="remove its outputs too, for good", negative="")
    ] = False,
    common: Common = NO_COMMON,
) -> int:
    """Forget a batch here: its ledger and local logs; its outputs only with --outputs.

    Examples:
    coordinator rm my-batch

    coordinator rm my-batch --outputs
    """
    output = Output(as_json=common.json)
    removed = remove(common.load(), batch, make_clock(), outputs=outputs)
    lines = [f"removed {folder}" for folder in removed.folders]
    where = for_terminal(removed.outputs)
    lines += (
        [f"removed {removed.objects:,} objects of its outputs"]
        if outputs
        else [f"its outputs stay in {where}"]
    )
    output.result({"batch": batch, "folders": removed.folders, "objects": removed.objects}, *lines)
    return ExitCode.OK


def rebuild_ledger(
    batch: Annotated[str, Parameter(help="the batch")],
    /,
    *,
    output_root: Annotated[
        str | None, Parameter(help="where its outputs are; default where its logs say so")
    ] = None,
    common: Common = NO_COMMON,
) -> int:
    """Make a new ledger from what a batch left, where its own is damaged or gone.

    Examples:
    coordinator rebuild-ledger my-batch --output_root outputs
    """
    output = Output(as_json=common.json)
    made = rebuild(common.load(), batch, output_root, make_clock())
    lines = [
        f"{batch}  a new ledger of {plural(made.items, 'item')};"
        f" {made.dispatches:,} dispatches will be found again"
    ]
    if made.kept:
        lines.append(f"  the old one is kept: {for_terminal(made.kept)}")
    lines.append(f"  go on with: {resume_command(batch)}")
    output.result(asdict(made), *lines)
    return ExitCode.OK
