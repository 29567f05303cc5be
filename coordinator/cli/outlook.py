"""Packs, hours and ends as lines: of a batch that is planned, runs or has run."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from coordinator.cli.words import duration, plural
from coordinator.domain.shown import for_terminal as safe

if TYPE_CHECKING:
    from coordinator.commands.forecast import Forecast, Foreseen, Happened, Outlook, StepForecast


def step_lines(forecast: Forecast) -> Iterator[str]:
    """A line for each step: its packs and, where its rate is known, its hours."""
    for index, step in enumerate(forecast.steps):
        label = "steps" if index == 0 else ""
        packs = f"{plural(step.packs, 'pack')}, largest {step.largest:,}{_hours(step)}"
        yield f"{label:<10} {step.name:<12} {step.job:<10} {packs}"


def time_lines(forecast: Forecast) -> Iterator[str]:
    """How long it will take, where that is known."""
    if not forecast.is_whole or not forecast.seconds:
        return
    yield (
        f"takes      {duration(forecast.seconds)} on {plural(forecast.lanes, 'lane')}:"
        f" {_shares(forecast.idle_share, forecast.load_share)}; measured in {forecast.basis}"
    )


def outlook_lines(found: Outlook) -> Iterator[str]:
    """All of it, what is left, and how it went against what was foreseen."""
    whole = found.whole
    tokens = max((step.tokens for step in whole.steps), default=0)
    known = f", about {tokens:,} tokens" if tokens > found.items else ""
    yield f"batch      {found.record.batch}  {plural(found.items, 'item')}{known}"
    yield from step_lines(whole)
    yield from time_lines(whole)
    yield from _unknown(whole)
    if found.ends_at:
        at = time.strftime("%Y-%m-%d %H:%M", time.localtime(found.ends_at))
        yield f"left       {duration(found.left.seconds)}; driven from now on, it ends at {at}"
    if found.is_finished:
        yield "left       nothing: the batch is finished"
    if found.a_day:
        unit = "GPU-hours" if whole.gpu_hours else "hours of a lane"
        models = models_a_day(found.a_day)
        yield f"quota      {found.quota:,.4g} {unit} a day: {models} models a day"
    if found.happened:
        yield from _compared(found.foreseen, found.happened)


def _hours(step: StepForecast) -> str:
    if step.hours is None:
        return ""
    if step.gpus:
        return f", about {step.hours * step.gpus:,.3g} GPU-hours"
    return f", about {duration(step.hours * 3600)} of one lane"


def _unknown(forecast: Forecast) -> Iterator[str]:
    unknown = [step.name for step in forecast.steps if step.hours is None]
    if unknown:
        yield f"time       not known: nothing has measured {', '.join(map(safe, unknown))} yet"
    elif not forecast.lanes:
        yield "time       not known: nobody knows how many jobs run at a time; try --gpus N"


def _compared(foreseen: Foreseen | None, came: Happened) -> Iterator[str]:
    packs = ", ".join(f"{safe(name)} {plural(n, 'pack')}" for name, n in came.packs.items())
    hours = duration(came.made.load + came.made.work)
    yield (
        f"measured   {packs}: {hours} of work in {duration(came.made.seconds)},"
        f" {_shares(came.idle_share, came.made.load_share)}"
    )
    if not foreseen or not foreseen.is_whole:
        yield "foreseen   nothing: its rates were not known when it was submitted"
        return
    yield (
        f"foreseen   {duration(foreseen.hours * 3600)} of work in {duration(foreseen.seconds)},"
        f" {_shares(foreseen.idle_share, foreseen.load_share)};"
        f" it took {_times(came.made.seconds, foreseen.seconds)}"
    )


def models_a_day(value: float) -> str:
    """Three digits at least: 2.82, 35.1, 20,571."""
    return f"{value:,.3g}" if value < 100 else f"{value:,.0f}"


def _times(seconds: float, foreseen: float) -> str:
    return f"{seconds / foreseen:.2f} times as long" if foreseen else "longer"


def _shares(idle: float | None, load: float) -> str:
    loading = f"loading {load:.1%} of busy time"
    return loading if idle is None else f"idle {idle:.1%} of lane time, {loading}"
