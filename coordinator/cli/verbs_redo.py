"""Verbs that do items again which have ended: rescore, rerun.

All that drives a batch takes a while to import: they say first what they look for.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from coordinator.bootstrap import make_clock
from coordinator.cli.options import NO_COMMON, Common, one_name
from coordinator.cli.output import Output
from coordinator.cli.verb import add_verb
from coordinator.cli.words import plural
from coordinator.clock import Clock
from coordinator.errors import ExitCode
from coordinator.settings import Settings

if TYPE_CHECKING:
    from coordinator.commands.redo import RedoPlan, Wanted

BatchName = Annotated[str | None, Parameter(help="the same as BATCH")]
ItemsFile = Annotated[
    Path | None, Parameter(name="--items", help="only the items in this file, one id a line")
]
DryRun = Annotated[
    bool, Parameter(name="--dry-run", help="only say what would be done again", negative="")
]
Planning = Callable[[Settings, "Wanted", Clock], "RedoPlan"]


def add_to(app: App) -> None:
    add_verb(app, rescore)
    add_verb(app, rerun)


def rescore(
    batch: Annotated[str | None, Parameter(help="the batch")] = None,
    /,
    *items: Annotated[str, Parameter(help="only these items; default all that have ended")],
    batch_name: BatchName = None,
    metrics: Annotated[
        str | None,
        Parameter(help="other metrics from now on, e.g. bleu,chrf++ or a list as in a pipeline"),
    ] = None,
    items_file: ItemsFile = None,
    step: Annotated[
        str | None, Parameter(help="the scoring step, where the pipeline has several")
    ] = None,
    dry_run: DryRun = False,
    common: Common = NO_COMMON,
) -> int:
    """Score the stored translations of a batch again; no model is run.

    Examples:
    coordinator rescore my-batch --metrics bleu,chrf++,ter --dry-run

    coordinator rescore my-batch
    """
    name = _announced(batch, batch_name, common)
    from coordinator.commands.redo import Wanted, metrics_of, plan_rescore

    changed = metrics_of(metrics) if metrics is not None else None
    wanted = Wanted(name, step or "", _chosen(items, items_file), changed)
    return _redo(plan_rescore, wanted, common, dry_run=dry_run)


def rerun(
    batch: Annotated[str | None, Parameter(help="the batch")] = None,
    /,
    *items: Annotated[str, Parameter(help="only these items; default all that have ended")],
    from_: Annotated[
        str, Parameter(name="--from", help="the first step to do again, or its kind: inference")
    ],
    batch_name: BatchName = None,
    items_file: ItemsFile = None,
    dry_run: DryRun = False,
    common: Common = NO_COMMON,
) -> int:
    """Do a step of a batch again, and all steps after it, for items that have ended.

    Examples:
    coordinator rerun my-batch --from inference --dry-run

    coordinator rerun my-batch --from translate
    """
    name = _announced(batch, batch_name, common)
    from coordinator.commands.redo import Wanted, plan_rerun

    wanted = Wanted(name, from_, _chosen(items, items_file))
    return _redo(plan_rerun, wanted, common, dry_run=dry_run)


def _announced(batch: str | None, batch_name: str | None, common: Common) -> str:
    """The batch, once it is said that it is looked into."""
    name = one_name(batch, batch_name)
    Output(as_json=common.json).say(f"looking up what has ended in {name}")
    return name


def _chosen(items: Collection[str], path: Path | None) -> tuple[str, ...] | None:
    """The items that were named, each once; None = none were."""
    from coordinator.reports import read_run_list

    listed = read_run_list(path).ids if path is not None else ()
    return tuple(dict.fromkeys((*items, *listed))) or None


def _redo(planned: Planning, wanted: Wanted, common: Common, *, dry_run: bool) -> int:
    output, clock, settings = Output(as_json=common.json), make_clock(), common.load()
    plan = planned(settings, wanted, clock)
    said = _in_words(plan, as_asked=wanted.items is not None)
    if dry_run or not plan.items:
        output.result(plan.to_json(), *said)
        return ExitCode.OK
    for line in said:
        output.say(line)
    from coordinator.cli.running import drive_shown
    from coordinator.commands.redo import redo

    return drive_shown(output, lambda watch: redo(plan, settings, clock, watch))


def _in_words(plan: RedoPlan, *, as_asked: bool) -> list[str]:
    steps = ", then ".join(plan.steps)
    lines = [f"{plural(len(plan.items), 'item')} of {plan.batch}: {steps} will be done again"]
    if not as_asked:
        lines += [f"  left alone: {words}" for words in plan.left.in_words(plan.steps[0])]
    if plan.metrics is not None:
        lines.append(f"  metrics from now on: {', '.join(plan.metric_names)}")
    return lines
