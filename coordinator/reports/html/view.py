"""All that the page shows, in the order in which it shows it; plain data for the template."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from coordinator.domain.shown import for_terminal
from coordinator.reports.html import charts
from coordinator.reports.html.columns import (
    choose,
    columns_of,
    log_names,
    main_metric,
    state_counts,
)
from coordinator.reports.html.failures import Failures, failures_of
from coordinator.reports.html.figures import Figure, lane_figures, progress_figures
from coordinator.reports.html.inputs import History, Inputs
from coordinator.reports.html.lanes import MOST_LANES, Job, jobs_of, lane_count
from coordinator.reports.html.links import Links
from coordinator.reports.html.provenance import Provenance, provenance_of
from coordinator.reports.html.scores import MOST_LANGUAGES, Metric, cells_of, metric_of
from coordinator.reports.html.use import StepUse, advice, uses_of
from coordinator.reports.html.verdict import Verdict, moment, verdict_of
from coordinator.reports.rows import Row

_MOST_METRICS = 20
_MOST_SIGNATURES = 10
_MOST_MOMENTS = 200
_LONGEST = 1_000  # characters of one text


@dataclass(frozen=True)
class View:
    """The sections; `specs` and `data` are what the page's script draws."""

    batch: str
    limited: str
    verdict: Verdict
    failures: Failures
    moments: tuple[tuple[str, str, str], ...]
    progress: tuple[Figure, ...]
    scores: tuple[Metric, ...]
    resources: tuple[Figure, ...]
    lanes_left_out: int
    uses: tuple[StepUse, ...]
    advice: tuple[str, ...]
    measured: bool
    items: int
    left_out: str
    metrics: tuple[str, ...]
    provenance: Provenance
    specs: Mapping[str, Any] = field(default_factory=dict, repr=False)
    data: Mapping[str, Any] = field(default_factory=dict, repr=False)


def view_of(inputs: Inputs) -> View:
    """Everything, from what the report found."""
    summary, rows = inputs.summary, [_as_shown(row, inputs.history) for row in inputs.rows]
    metrics = _metrics(rows)
    chosen, counts = choose(rows), state_counts(rows)
    links = Links.between(inputs.report_dir, inputs.log_dir)
    jobs = jobs_of(rows)
    uses = uses_of(_steps(inputs, jobs), jobs, rows, inputs.usages, inputs.record)
    scores = [_metric(inputs, name, rows) for name in metrics]
    progress, progress_specs = progress_figures(inputs, rows)
    resources, resource_specs = lane_figures(jobs)
    score_specs = {f"distribution-{n}": charts.distribution(m) for n, m in enumerate(scores)}
    return View(
        batch=for_terminal(summary.batch),
        limited=for_terminal(summary.limited[:_LONGEST]),
        verdict=verdict_of(inputs, counts),
        failures=failures_of(inputs, links),
        moments=_moments(inputs),
        progress=progress,
        scores=tuple(scores),
        resources=resources,
        lanes_left_out=max(0, lane_count(jobs) - MOST_LANES),
        uses=tuple(uses),
        advice=tuple(advice(uses)),
        measured=bool(inputs.usages),
        items=len(rows),
        left_out=chosen.left_out,
        metrics=tuple(metrics),
        provenance=provenance_of(inputs),
        specs={**progress_specs, **resource_specs, **score_specs, **_heat(rows, metrics)},
        data={
            "columns": columns_of(
                chosen.rows, metrics, log_names(inputs.log_dir if links else None)
            ),
            "cells": cells_of(rows, metrics) if chosen.left_out and metrics else None,
            "metrics": [for_terminal(metric) for metric in metrics],
            "logs": links.prefix if links else None,
        },
    )


def _metrics(rows: Sequence[Row]) -> list[str]:
    """Those that most items have a score of; the main one first."""
    found = Counter(metric for row in rows for metric in row["scores"])
    metrics = sorted(name for name, _ in found.most_common(_MOST_METRICS))
    first = main_metric(metrics)
    return sorted(metrics, key=lambda metric: metric != first)


def _as_shown(row: Row, history: History | None) -> Row:
    """With its progress as its state, and languages from the ledger where no outcome told them."""
    changed: dict[str, Any] = {"state": row["progress"]} if row["progress"] else {}
    known = history.languages.get(row["item"]) if history else None
    if known and not row["source_language"]:
        changed |= {"source_language": known[0], "target_language": known[1]}
    return {**row, **changed} if changed else row


def _moments(inputs: Inputs) -> tuple[tuple[str, str, str], ...]:
    """(when, what, why) of the last ones."""
    found = inputs.history.moments[-_MOST_MOMENTS:] if inputs.history else ()
    return tuple(
        (moment(m.at), m.action.replace("_", " "), for_terminal(m.why[:_LONGEST])) for m in found
    )


def _heat(rows: Sequence[Row], metrics: Sequence[str]) -> dict[str, Any]:
    ends = ("source_language", "target_language")
    sources, targets = ({row[end] for row in rows if row[end]} for end in ends)
    drawn = metrics and sources and max(len(sources), len(targets)) <= MOST_LANGUAGES
    return {"heat": charts.heat(len(sources))} if drawn else {}


def _metric(inputs: Inputs, name: str, rows: Sequence[Row]) -> Metric:
    average = inputs.summary.averages.get(name)
    said = "" if average is None else str(average)
    if average is not None and average.value is not None:
        said = f"{average.value:.2f}"
    signatures = [text[:_LONGEST] for text in inputs.signatures.get(name, ())]
    return metric_of(name, rows, said, signatures[:_MOST_SIGNATURES])


def _steps(inputs: Inputs, jobs: Sequence[Job]) -> list[str]:
    """Those that jobs were of: in the order of the record, and any other after them."""
    stated = inputs.record.get("steps")
    places = {str(step): n for n, step in enumerate(stated)} if isinstance(stated, list) else {}
    seen = dict.fromkeys(job.step for job in jobs)
    return sorted(seen, key=lambda step: places.get(step, len(places)))
