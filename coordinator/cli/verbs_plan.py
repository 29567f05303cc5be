"""The verb that looks ahead: plan."""

from typing import Annotated

from cyclopts import App, Parameter, validators

from coordinator.bootstrap import make_clock
from coordinator.cli.options import NO_COMMON, Common, one_name
from coordinator.cli.outlook import outlook_lines
from coordinator.cli.output import Output
from coordinator.cli.verb import add_verb
from coordinator.commands.forecast import outlook
from coordinator.errors import ExitCode


def add_to(app: App) -> None:
    add_verb(app, plan)


def plan(
    batch: Annotated[str | None, Parameter(help="the batch")] = None,
    /,
    *,
    batch_name: Annotated[str | None, Parameter(help="the same as BATCH")] = None,
    gpus: Annotated[
        int | None,
        Parameter(
            help="as if it ran on N GPUs (N slots, where its jobs ask for none); default its own"
            " slots",
            validator=validators.Number(gte=1, lte=100_000),
        ),
    ] = None,
    quota: Annotated[
        float | None,
        Parameter(
            help="GPU-hours a day; default 24 for each GPU", validator=validators.Number(gt=0)
        ),
    ] = None,
    common: Common = NO_COMMON,
) -> int:
    """What a batch takes: packs, hours, idle lanes, when it ends; and what came of it so far.

    It reckons with what was measured: in this batch, else in the newest one here of the same
    model, steps and cluster. Before there is a batch, `submit --dry-run` says the same.

    Examples:
    coordinator plan my-batch

    coordinator plan my-batch --gpus 14 --quota 100 --json
    """
    output, settings = Output(as_json=common.json), common.load()
    name = one_name(batch, batch_name)
    output.say(f"reckoning what {name} takes, by its ledger")
    found = outlook(settings, name, gpus=gpus, quota=quota, clock=make_clock())
    output.result({"plan": found.to_json()}, *outlook_lines(found))
    return ExitCode.OK
