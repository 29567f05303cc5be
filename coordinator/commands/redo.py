"""`rescore` and `rerun`: items that have ended are done again from a step on, in the same batch.

Each gets a new attempt of that step, with fresh retries, and goes on from there. What it came to
before stays until the new attempt wins, and counts no more from the moment that this is asked.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coordinator.clock import Clock
from coordinator.commands.control import whoami
from coordinator.commands.driving import Driven, Watch, drive
from coordinator.commands.record import BatchRecord, as_document, record_of
from coordinator.commands.status import open_ledger
from coordinator.commands.unknown import not_in_batch
from coordinator.domain.paths import BatchKeys
from coordinator.domain.shown import for_terminal
from coordinator.domain.states import ItemState
from coordinator.errors import BadInput, BatchBusy, BatchMissing, Problem, UsageError
from coordinator.ledger import Finished, Ledger, PortableLedger, RedoDesk, addresses
from coordinator.metrics import parse_metrics
from coordinator.pipelines import Pipeline, Step
from coordinator.secrecy import MARK
from coordinator.settings import Settings, nearest, parse_yaml
from coordinator.storage import open_storage

Metrics = tuple[dict[str, Any], ...]  # as a pipeline file has them


@dataclass(frozen=True)
class Wanted:
    """What somebody wants done again.

    Attributes:
        step: the name of a step, or the kind of job of the only one of that kind; "" = scoring.
        items: only these; None = all that have ended.
        metrics: of the scoring step from now on; None = as before.
    """

    batch: str
    step: str = ""
    items: tuple[str, ...] | None = None
    metrics: Metrics | None = None


@dataclass(frozen=True)
class Left:
    """How many items are not touched, and why."""

    failed: int  # before the step
    no_data: int  # before it: there is nothing to do it on
    unfinished: int  # they go on by themselves

    def in_words(self, step: str) -> Iterator[str]:
        if self.failed:
            yield f"{self.failed:,} failed or were stopped before {step}"
        if self.no_data:
            yield f"{self.no_data:,} ended without data before {step}"
        if self.unfinished:
            yield f"{self.unfinished:,} have not ended"


@dataclass(frozen=True)
class RedoPlan:
    """Which items are done again from which step on, and which are left alone."""

    batch: str
    step: int
    steps: tuple[str, ...]  # that are done again
    items: tuple[Finished, ...]
    left: Left
    metrics: Metrics | None  # what changes; None = nothing does

    @property
    def metric_names(self) -> tuple[str, ...]:
        return tuple(spec.name for spec in parse_metrics(self.metrics)) if self.metrics else ()

    def to_json(self) -> dict[str, Any]:
        return {
            "batch": self.batch,
            "steps": self.steps,
            "items": [item.id for item in self.items],
            "left": vars(self.left),
            "metrics": self.metrics,
        }


def plan_rescore(settings: Settings, wanted: Wanted, clock: Clock) -> RedoPlan:
    """Plan to score again, from the stored translations: nothing but scoring is run.

    Raises:
        UsageError: there is no such step, others follow it, or the metrics cannot change so.
        BadInput: an item that cannot be done again.
    """
    if wanted.metrics is not None and wanted.items is not None:
        raise UsageError(
            "other metrics for some items only",
            why="the scores of one batch are of the same metrics, or they make no average",
            hint="leave out the items, or --metrics",
        )
    return _plan(settings, wanted, clock, scoring=True)


def plan_rerun(settings: Settings, wanted: Wanted, clock: Clock) -> RedoPlan:
    """Plan to do a step again, and all after it. Raises as `plan_rescore` does."""
    return _plan(settings, wanted, clock, scoring=False)


def redo(plan: RedoPlan, settings: Settings, clock: Clock, watch: Watch) -> Driven:
    """Have the planned items wait for new attempts, and drive the batch to its end.

    Raises:
        BatchBusy: the batch is being driven.
        StaleMove: an item has moved since it was planned; nothing is changed.
    """

    def prepare(ledger: Ledger) -> None:
        record = record_of(ledger)
        why = f"by {whoami()}: {len(plan.items):,} items from {plan.steps[0]} on"
        with ledger.together():
            if plan.metrics is not None:
                _refuse_out(ledger, plan.batch, plan.step)
                ledger.set_record(as_document(_with_metrics(record, plan.step, plan.metrics)))
                why += f", with metrics {json.dumps(plan.metrics)}"
            RedoDesk(ledger).redo(plan.items, plan.step, why)

    return drive(settings, plan.batch, clock, watch, prepare)


def metrics_of(text: str) -> Metrics:
    """The metrics of `--metrics`: names with commas between them, or a list as a pipeline has it.

    Raises:
        BadInput: they cannot be used.
    """
    listed = text if text.lstrip().startswith("[") else f"[{text}]"
    entries = parse_yaml(f"metrics: {listed}\n".encode(), "--metrics").data.get("metrics")
    specs = parse_metrics(entries, where="--metrics", base=Path.cwd())
    return tuple(spec.to_option() for spec in specs)


# what is planned


def _plan(settings: Settings, wanted: Wanted, clock: Clock, *, scoring: bool) -> RedoPlan:
    ledger = open_ledger(settings, wanted.batch, clock)
    try:
        record = record_of(ledger)
        step = _step_of(record.pipeline, wanted, scoring=scoring)
        if scoring:
            _refuse_other_work(record.pipeline, wanted.batch, step)
        metrics = _changed(record.pipeline.steps[step], wanted.metrics)
        if metrics is not None:
            _refuse_out(ledger, wanted.batch, step)
        if wanted.items is not None:
            _refuse_unfit(ledger, wanted, step, record.steps[step])
        items = tuple(RedoDesk(ledger).finished(step, wanted.items))
        _refuse_forgotten(ledger, record.pipeline.steps[step:], items)
        _refuse_gone(ledger, record, step, items)
        steps = record.steps[step:]
        return RedoPlan(wanted.batch, step, steps, items, _left(ledger, step), metrics)
    finally:
        ledger.close()


def _step_of(pipeline: Pipeline, wanted: Wanted, *, scoring: bool) -> int:
    """The step of this name; where there is none, the only one whose job is called so."""
    name, steps = wanted.step or "scoring", pipeline.steps
    fitting = [i for i, step in enumerate(steps) if not scoring or step.job == "scoring"]
    found = [i for i in fitting if steps[i].name == name]
    found = found or [i for i in fitting if steps[i].job == name]
    if len(found) == 1:
        return found[0]
    names = [steps[i].name for i in fitting]
    kind = "scoring steps" if scoring else "steps"
    called = f" called {for_terminal(name)}" if wanted.step else ""
    raise UsageError(
        f"{wanted.batch} has {len(found) or 'no'} {kind}{called}",
        why=f"its {kind}: {', '.join(names) or 'none'}",
        hint=nearest(name, names) or (f"name one: --step {names[0]}" if names and scoring else ""),
    )


def _refuse_other_work(pipeline: Pipeline, batch: str, step: int) -> None:
    others = [each.name for each in pipeline.steps[step:] if each.job != "scoring"]
    if others:
        raise UsageError(
            f"more than scoring would be done again in {batch}",
            why=f"{', '.join(others)} comes after {pipeline.steps[step].name}",
            hint=f"coordinator rerun {batch} --from {pipeline.steps[step].name}, if that is meant",
        )


def _changed(step: Step, metrics: Metrics | None) -> Metrics | None:
    return None if metrics is None or list(metrics) == step.options.get("metrics") else metrics


def _with_metrics(record: BatchRecord, index: int, metrics: Metrics) -> BatchRecord:
    steps = list(record.pipeline.steps)
    options = {**steps[index].options, "metrics": list(metrics)}
    steps[index] = steps[index].model_copy(update={"options": options})
    pipeline = record.pipeline.model_copy(update={"steps": tuple(steps)})
    return record.model_copy(update={"pipeline": pipeline})


def _left(ledger: Ledger, step: int) -> Left:
    """What is left alone of all items, whichever are asked for."""
    tally = ledger.tally()

    def before(*states: ItemState) -> int:
        return sum(n for (at, state), n in tally.standing.items() if at < step and state in states)

    waiting, running = (tally.items.get(s, 0) for s in (ItemState.WAITING, ItemState.IN_FLIGHT))
    return Left(
        failed=before(ItemState.FAILED, ItemState.STOPPED),
        no_data=before(ItemState.NO_DATA),
        unfinished=waiting + running,
    )


# what is refused


def _refuse_out(ledger: Ledger, batch: str, step: int) -> None:
    """What is scored just now is scored with the metrics that it was sent with."""
    out = sum(dispatch.step == step for dispatch in ledger.out())
    if out:
        raise BatchBusy(
            f"the metrics of {batch} cannot change now",
            why=f"{out:,} dispatches with the ones before are out",
            hint=f"wait for them: coordinator submit --batch_name {batch} --resume",
        )


def _refuse_unfit(ledger: Ledger, wanted: Wanted, step: int, name: str) -> None:
    asked = dict.fromkeys(wanted.items or ())
    fit = {item.id for item in RedoDesk(ledger).finished(step, asked)}
    others = [item for item in asked if item not in fit]
    known = ledger.known_ids(others)
    problems = [
        Problem(item, f"has not ended, or did not come to {name}")
        if item in known
        else not_in_batch(ledger, item)
        for item in others
    ]
    if problems:
        raise BadInput(
            f"{len(problems):,} of the items of {wanted.batch} cannot be done again from {name} on",
            problems=problems,
            hint=f"coordinator status {wanted.batch} says where it stands",
        )


def _refuse_forgotten(ledger: Ledger, steps: Sequence[Step], items: Collection[Finished]) -> None:
    """An address that held a secret is forgotten when its batch has ended well."""
    if (ledger.path.parent / addresses.FILE).exists():
        return
    references = (ref for step in steps for ref in step.inputs.values())
    assets = {ref.removeprefix("asset/") for ref in references if ref.startswith("asset/")}
    wanted = {item.id for item in items}
    lost = sum(item in wanted for item in _without_address(ledger, assets))
    if lost:
        raise BadInput(
            f"{lost:,} of the items cannot be done again",
            why="their addresses held a password or a signature, which is forgotten when a batch"
            " has ended well",
            hint="submit them as a new batch, with addresses that are valid now",
        )


def _refuse_gone(ledger: Ledger, record: BatchRecord, step: int, items: Sequence[Finished]) -> None:
    """Where the outputs were moved away, each item would lack what earlier steps left."""
    earlier = record.steps[:step]
    references = (ref for each in record.pipeline.steps[step:] for ref in each.inputs.values())
    needed = [name for name in (ref.partition("/")[0] for ref in references) if name in earlier]
    if not needed or not items or not ledger.published(items[0].id):
        return
    storage, key = open_storage(record.output_root), BatchKeys(record.batch).record
    if storage.size(key) is None:
        again = f"coordinator rerun {record.batch} --from {min(needed, key=earlier.index)}"
        raise BatchMissing(
            f"there are no outputs of {record.batch}",
            why=f"{storage.uri}/{key} is not there",
            hint=f"put them back, or make them again: {again}",
        )


def _without_address(ledger: Ledger, assets: Collection[str]) -> Iterator[str]:
    marked: Iterable[str] = (d for d in PortableLedger(ledger).documents() if MARK in d)
    for document in map(json.loads, marked):
        if any(MARK in address for n, address in document["assets"].items() if n in assets):
            yield document["id"]
