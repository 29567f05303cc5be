"""The charts with their words: what each shows, in one sentence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from coordinator.reports.html import charts
from coordinator.reports.html.inputs import Inputs
from coordinator.reports.html.lanes import Job, lanes_of
from coordinator.reports.html.progress import progress_of
from coordinator.reports.rows import Row

Specs = Mapping[str, charts.Spec]  # id of a figure -> what is drawn in it


@dataclass(frozen=True)
class Figure:
    """A chart."""

    id: str
    title: str
    about: str


_IN_FLIGHT = Figure(
    "in-flight",
    "Items in flight",
    "Items that were started and not finished, over time; dashed lines are the thresholds at which "
    "the coordinator stops and goes on starting items, bands are pauses.",
)
_THROUGHPUT = Figure(
    "throughput", "Throughput", "Items that ended a minute, whether they succeeded or failed."
)
_TOKENS = Figure(
    "tokens", "Tokens", "Tokens a second, counted when the item that they belong to ended."
)
_ESTIMATES = Figure(
    "estimates",
    "Estimated end",
    "When the batch would have ended at its pace up to each moment, by items: a level line means "
    "that the estimate held.",
)
_LANES = Figure(
    "lanes",
    "Where the time went",
    "What each place on each node did over time: working on items, loading the model, or nothing.",
)


def progress_figures(inputs: Inputs, rows: Sequence[Row]) -> tuple[tuple[Figure, ...], Specs]:
    """How the batch went on; none where nothing has begun."""
    found = progress_of(rows, inputs.now)
    if found is None:
        return (), {}
    moments = inputs.history.moments if inputs.history else ()
    shown = [
        (_IN_FLIGHT, charts.in_flight(found, _thresholds(inputs), moments)),
        (_THROUGHPUT, charts.throughput(found)),
    ]
    if any(count for *_, count in found.finished):
        shown.append((_TOKENS, charts.tokens(found)))
    if found.estimates:
        shown.append((_ESTIMATES, charts.estimates(found)))
    return tuple(figure for figure, _ in shown), {figure.id: spec for figure, spec in shown}


def lane_figures(jobs: Sequence[Job]) -> tuple[tuple[Figure, ...], Specs]:
    """What the jobs did; none where no job has told."""
    if not jobs:
        return (), {}
    return (_LANES,), {_LANES.id: charts.lanes(lanes_of(jobs))}


def _thresholds(inputs: Inputs) -> list[tuple[str, int]]:
    """(what it is called, items), as `batch.json` says."""
    known = ((name, inputs.record.get(f"{name}_threshold")) for name in ("stop", "resume"))
    return [
        (f"{name} {value:,}", value)
        for name, value in known
        if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1e12
    ]
