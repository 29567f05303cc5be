"""`report` and `compare`: what the log tree says of batches."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from coordinator.bootstrap import batch_folder
from coordinator.clock import Clock
from coordinator.commands.record import record_of
from coordinator.domain.paths import BatchKeys
from coordinator.errors import BadInput, BatchMissing
from coordinator.ledger import Ledger
from coordinator.reports import ComparisonRow, Summary, compare_scores, local_reports, read_scores
from coordinator.settings import Settings
from coordinator.storage import open_storage

SCORES = "scores.csv"


@dataclass(frozen=True)
class Report:
    """A report that was written."""

    summary: Summary
    folder: Path
    published: str  # where the scores were put beside the outputs, or ""


def report(
    settings: Settings,
    batch: str | None,
    clock: Clock,
    *,
    run_list: Path | None = None,
    report_dir: Path | None = None,
) -> Report:
    """Write the report of a batch from its logs alone; where its ledger is here, publish the scores.

    Raises:
        BadInput: there are no logs, or of several batches.
    """
    folder = report_dir or settings.report_dir / (batch or settings.log_dir.name)
    summary = local_reports(settings.log_dir, run_list=run_list, report_dir=folder, batch=batch)
    return Report(summary, folder, _publish(settings, summary.batch, folder / SCORES, clock))


def _publish(settings: Settings, batch: str, scores: Path, clock: Clock) -> str:
    """Put the table of scores beside the batch's outputs."""
    try:
        ledger = Ledger.open(batch_folder(settings, batch), clock, read_only=True)
    except BatchMissing:
        return ""
    try:
        root = record_of(ledger).output_root
    finally:
        ledger.close()
    if not scores.exists():
        return ""
    key = BatchKeys(batch).summary(SCORES)
    open_storage(root).upload(scores, key)
    return f"{root.rstrip('/')}/{key}"


@dataclass(frozen=True)
class Comparison:
    """Two batches side by side."""

    a: str
    b: str
    rows: tuple[ComparisonRow, ...]
    only_a: tuple[str, ...]  # items
    only_b: tuple[str, ...]


def compare(settings: Settings, a: str, b: str) -> Comparison:
    """Compare the scores of two batches, item by item.

    Raises:
        BadInput: a batch without logs, or without scores.
    """
    scores = {name: _scores(settings, name) for name in (a, b)}
    return Comparison(
        a,
        b,
        compare_scores(scores[a], scores[b]),
        tuple(sorted(scores[a].keys() - scores[b].keys())),
        tuple(sorted(scores[b].keys() - scores[a].keys())),
    )


def _scores(settings: Settings, batch: str) -> Mapping[str, Mapping[str, float]]:
    scores = read_scores(settings.log_dir, batch)
    if not scores:
        raise BadInput(
            f"batch {batch} has no scores in {settings.log_dir}",
            hint=f"coordinator status {batch} says how far it is",
        )
    return scores
