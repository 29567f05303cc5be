"""What a batch will take: its packs, the lanes' hours, when it ends; and what came of it."""

from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from itertools import chain
from typing import Any

from pydantic import BaseModel, ValidationError

from coordinator.bootstrap import batch_folder
from coordinator.clock import Clock
from coordinator.commands.record import BatchRecord, record_of
from coordinator.commands.status import open_ledger
from coordinator.engine import (
    Makespan,
    Pack,
    Rate,
    Rule,
    full_packs,
    kept_rates,
    largest_first,
    makespan,
    new_packs,
)
from coordinator.errors import CoordinatorError
from coordinator.ledger import FILE, Ledger
from coordinator.pipelines import Pipeline, Step
from coordinator.settings import Settings

Rates = Mapping[str, Rate]  # by the step's name

_KEY = "forecast"  # of what was foreseen, in the ledger
_MOST_BATCHES = 20  # that are looked through for rates, newest first


@dataclass(frozen=True)
class StepForecast:
    """What one step will send. `hours`: of lanes, with loading; None = its rate is not known."""

    name: str
    job: str
    packs: int
    largest: int
    tokens: int
    gpus: int  # of each dispatch
    hours: float | None


@dataclass(frozen=True)
class Forecast:
    """What a batch will take on so many lanes. The shares and seconds are 0 where nothing is known.

    Attributes:
        lanes: dispatches that run at a time; 0 = not known.
        seconds: from the first start to the last end.
        idle_share: of the lanes' time, what nothing will run in.
        load_share: of the time in which something runs, what goes into loading.
        basis: what its rates were measured in; "" = nowhere yet.
    """

    lanes: int
    steps: tuple[StepForecast, ...]
    seconds: float
    idle_share: float
    load_share: float
    basis: str

    @property
    def is_whole(self) -> bool:
        """Whether the rates of all steps are known, and so the time that the batch will take."""
        return self.lanes > 0 and all(step.hours is not None for step in self.steps)

    @property
    def gpu_hours(self) -> float:
        """Of steps whose rates are known."""
        return sum((step.hours or 0.0) * step.gpus for step in self.steps)

    @property
    def hours(self) -> float:
        """Of lanes, of steps whose rates are known."""
        return sum(step.hours or 0.0 for step in self.steps)

    def to_json(self) -> dict[str, Any]:
        sums = {"hours": self.hours, "gpu_hours": self.gpu_hours, "is_whole": self.is_whole}
        return {**asdict(self), **sums}


@dataclass(frozen=True)
class Known:
    """Rates, and the batch that they were measured in."""

    rates: Rates
    basis: str = ""


def forecast(
    pipeline: Pipeline, costs: Sequence[Sequence[int]], lanes: int, room: int, known: Known
) -> Forecast:
    """What is to come.

    Args:
        pipeline: its steps.
        costs: of each step, those of the items that it has to do; tokens.
        lanes: dispatches that run at a time; 0 = not known.
        room: items that may be in flight.
        known: how fast packs are worked off.
    """
    packs = [
        _packs(step, own, lanes, room, known.rates.get(step.name, Rate()), first=index == 0)
        for index, (step, own) in enumerate(zip(pipeline.steps, costs, strict=True))
    ]
    rates = [known.rates.get(step.name, Rate()) for step in pipeline.steps]
    runs = chain.from_iterable(
        (pack.run(rate) for pack in own)
        for own, rate in zip(packs, rates, strict=True)
        if rate.is_known
    )
    took = makespan(runs, lanes or 1)
    steps = map(_step_forecast, pipeline.steps, packs, rates)
    basis = known.basis if any(rate.is_known for rate in rates) else ""
    return Forecast(lanes, tuple(steps), took.seconds, took.idle_share, took.load_share, basis)


def _packs(
    step: Step, costs: Sequence[int], lanes: int, room: int, rate: Rate, *, first: bool
) -> list[Pack]:
    if not first:
        return list(full_packs(costs, step.pack.size, room=room))
    rule = Rule(lanes or None, step.pack.size, rate.loading)
    ordered = costs if step.pack.sort_by else largest_first(costs)
    return list(new_packs(ordered, rule, room=room))


def _step_forecast(step: Step, packs: Sequence[Pack], rate: Rate) -> StepForecast:
    runs = [pack.run(rate) for pack in packs] if rate.is_known else []
    hours = sum(run.load + run.work for run in runs) / 3600
    return StepForecast(
        name=step.name,
        job=step.job,
        packs=len(packs),
        largest=max((pack.items for pack in packs), default=0),
        tokens=sum(pack.cost for pack in packs),
        gpus=step.resources.gpus,
        hours=hours if rate.is_known or not packs else None,
    )


def known_rates(
    settings: Settings, pipeline: Pipeline, model: str, cluster: str, clock: Clock
) -> Known:
    """What the newest batch of this model, these steps and this cluster measured, if any did."""
    for batch in _newest(settings):
        with suppress(CoordinatorError):
            ledger = Ledger.open(batch_folder(settings, batch), clock, read_only=True)
            with closing(ledger):
                record, rates = record_of(ledger), kept_rates(ledger)
            if rates and (record.model, record.cluster) == (model, cluster):
                asked = [_does(step) for step in pipeline.steps]
                alike = {step.name for step in record.pipeline.steps if _does(step) in asked}
                if found := {name: rate for name, rate in rates.items() if name in alike}:
                    return Known(found, batch)
    return Known({})


def _does(step: Step) -> tuple[object, ...]:
    """What a step's rate depends on: its packs may be cut otherwise."""
    return step.name, step.job, step.options, step.resources


def _newest(settings: Settings) -> list[str]:
    changed: dict[str, float] = {}
    with suppress(OSError):
        for folder in settings.state_dir.iterdir():
            with suppress(OSError):  # no batch, or one that is being removed
                changed[folder.name] = (folder / FILE).stat().st_mtime
    return sorted(changed, key=lambda name: -changed[name])[:_MOST_BATCHES]


class Foreseen(BaseModel):
    """What is compared with what happened, of a forecast as it was kept."""

    is_whole: bool
    hours: float
    seconds: float
    idle_share: float
    load_share: float
    basis: str = ""


def keep_forecast(ledger: Ledger, foreseen: Forecast) -> None:
    """Keep it, to be compared with what will have happened."""
    ledger.keep(_KEY, foreseen.to_json())


def _kept_forecast(ledger: Ledger) -> Foreseen | None:
    """None where nothing was kept, or by a version that kept something else."""
    try:
        return Foreseen.model_validate(ledger.kept(_KEY))
    except ValidationError:
        return None


@dataclass(frozen=True)
class Outlook:
    """A batch that is known here: what it takes in all, what is left, and what has happened.

    Attributes:
        foreseen: when it was submitted; None = that is not known.
        whole: all of it, by the rates that are known now, on the lanes that were asked about.
        left: what is still to be done.
        happened: what was measured by now; None = nothing has come home.
        quota: GPU-hours a day.
    """

    record: BatchRecord
    items: int
    foreseen: Foreseen | None
    whole: Forecast
    left: Forecast
    happened: "Happened | None"
    quota: float
    ends_at: float  # seconds since the epoch; 0 = not known, or it is at its end

    @property
    def is_finished(self) -> bool:
        return not any(step.packs for step in self.left.steps)

    @property
    def a_day(self) -> float:
        """How many such batches (one model each) the quota allows a day; 0 = not known."""
        hours = self.whole.gpu_hours or self.whole.hours
        return self.quota / hours if hours and self.whole.is_whole else 0.0

    def to_json(self) -> dict[str, Any]:
        return {
            "batch": self.record.batch,
            "items": self.items,
            "whole": self.whole.to_json(),
            "left": self.left.to_json(),
            "ends_at": self.ends_at,
            "quota_hours_a_day": self.quota,
            "models_a_day": self.a_day,
            "foreseen": self.foreseen and self.foreseen.model_dump(),
            "happened": self.happened and self.happened.to_json(),
        }


@dataclass(frozen=True)
class Happened:
    """What was measured of packs that are home."""

    packs: Mapping[str, int]  # by step
    made: Makespan

    @property
    def idle_share(self) -> float | None:
        """Of the lanes' time; None where nobody knows how many there were."""
        return self.made.idle_share if self.made.lanes else None

    def to_json(self) -> dict[str, Any]:
        return {
            "packs": dict(self.packs),
            "hours": (self.made.load + self.made.work) / 3600,
            "seconds": self.made.seconds,
            "idle_share": self.idle_share,
            "load_share": self.made.load_share,
        }


def outlook(
    settings: Settings, batch: str, *, gpus: int | None, quota: float | None, clock: Clock
) -> Outlook:
    """What a batch takes on `gpus` (None = on its own lanes), with `quota` GPU-hours a day.

    Raises:
        BatchMissing: it is not known here.
    """
    with closing(open_ledger(settings, batch, clock)) as ledger:
        return _outlook(settings, ledger, gpus, quota, clock)


def _outlook(
    settings: Settings, ledger: Ledger, gpus: int | None, quota: float | None, clock: Clock
) -> Outlook:
    record, own = record_of(ledger), kept_rates(ledger)
    each = max(1, *(step.resources.gpus for step in record.pipeline.steps))
    lanes = max(1, gpus // each) if gpus else record.slots
    known = known_rates(settings, record.pipeline, record.model, record.cluster, clock)
    known = Known({**known.rates, **own}, record.batch if own else known.basis)
    steps, room = len(record.steps), record.stop_threshold
    items = list(ledger.costs())
    all_costs = [[item.cost for item in items]] * steps
    costs_left = [[i.cost for i in items if i.is_left and i.step <= step] for step in range(steps)]
    whole = forecast(record.pipeline, all_costs, lanes, room, known)
    left = forecast(record.pipeline, costs_left, lanes, room, known)
    return Outlook(
        record=record,
        items=len(items),
        foreseen=_kept_forecast(ledger),
        whole=whole,
        left=left,
        happened=happened(own, record.slots),
        quota=quota if quota is not None else 24.0 * (gpus or lanes * each),
        ends_at=clock.now() + left.seconds if left.is_whole and left.seconds else 0.0,
    )


def happened(rates: Rates, lanes: int) -> Happened | None:
    """What the rates of a batch's steps say of its lanes."""
    firsts = [rate.first_at for rate in rates.values() if rate.first_at is not None]
    lasts = [rate.last_at for rate in rates.values() if rate.last_at is not None]
    if not firsts or not lasts:
        return None
    load = sum(rate.load for rate in rates.values())
    work = sum(rate.work for rate in rates.values())
    made = Makespan(lanes, max(lasts) - min(firsts), load, work)
    return Happened({name: rate.packs for name, rate in rates.items()}, made)
