"""`report` and `compare`: what the log tree says of batches."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from coordinator.bootstrap import batch_folder
from coordinator.clock import Clock
from coordinator.commands.record import BatchRecord, record_of
from coordinator.domain.paths import BatchKeys
from coordinator.errors import BadInput, BatchMissing
from coordinator.ledger import Ledger
from coordinator.reports import (
    ComparisonRow,
    Summary,
    compare_scores,
    local_reports,
    read_limited,
    read_scores,
)
from coordinator.reports.batches import find_batch
from coordinator.reports.diagnostics import write_diagnostics
from coordinator.settings import Settings
from coordinator.storage import open_storage

SCORES = "scores.csv"


@dataclass(frozen=True)
class Report:
    """A report that was written."""

    summary: Summary
    folder: Path
    published: str  # where the scores were put beside the outputs, or ""
    diagnostics: int = 0  # dispatches that TensorBoard can show


def report(
    settings: Settings,
    batch: str | None,
    clock: Clock,
    *,
    log_dir: Path | None = None,
    run_list: Path | None = None,
    report_dir: Path | None = None,
    tensorboard: Path | None = None,
) -> Report:
    """Write the report of a batch from its logs alone; publish the scores if its ledger is here.

    Args:
        settings: where logs, reports and ledgers are.
        batch: its name; None = the only one there.
        clock: for opening the ledger.
        log_dir: read these logs, wherever the batch's own are.
        run_list: the items that should have run; None = the batch's own list.
        report_dir: where to; None = the batch's folder among the reports.
        tensorboard: a folder for TensorBoard's run of what the dispatches used; None = none.

    Raises:
        BadInput: there are no logs, or of several batches.
    """
    if batch is None:
        batch = find_batch(log_dir or settings.log_dir, None).name
    known = known_record(settings, batch, clock)
    logs = log_dir or (Path(known.log_dir) if known else settings.log_dir)
    folder = report_dir or settings.report_dir / batch
    summary = local_reports(logs, run_list=run_list, report_dir=folder, batch=batch)
    shown = write_diagnostics(logs, batch, tensorboard) if tensorboard else 0
    return Report(summary, folder, _publish(known, folder / SCORES) if known else "", shown)


def known_record(settings: Settings, batch: str, clock: Clock) -> BatchRecord | None:
    """The batch's record, if its ledger is on this machine."""
    try:
        ledger = Ledger.open(batch_folder(settings, batch), clock, read_only=True)
    except BatchMissing:
        return None
    try:
        return record_of(ledger)
    finally:
        ledger.close()


def _publish(record: BatchRecord, scores: Path) -> str:
    """Put the table of scores beside the batch's outputs; where it is then."""
    if not scores.exists():
        return ""
    key = BatchKeys(record.batch).summary(SCORES)
    open_storage(record.output_root).upload(scores, key)
    return f"{record.output_root.rstrip('/')}/{key}"


@dataclass(frozen=True)
class Comparison:
    """Two batches side by side."""

    a: str
    b: str
    rows: tuple[ComparisonRow, ...]
    common: tuple[str, ...]  # items
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    limited_a: str = ""  # what was left out of it, in words
    limited_b: str = ""


def compare(settings: Settings, a: str, b: str, clock: Clock) -> Comparison:
    """Compare the scores of two batches, item by item.

    Raises:
        BadInput: a batch without logs, or without scores.
    """
    limited = {name: read_limited(_logs_of(settings, name, clock), name) for name in (a, b)}
    scores = {name: _scores(settings, name, clock) for name in (a, b)}
    return Comparison(
        a,
        b,
        compare_scores(scores[a], scores[b]),
        tuple(sorted(scores[a].keys() & scores[b].keys())),
        tuple(sorted(scores[a].keys() - scores[b].keys())),
        tuple(sorted(scores[b].keys() - scores[a].keys())),
        limited[a],
        limited[b],
    )


def _scores(settings: Settings, batch: str, clock: Clock) -> Mapping[str, Mapping[str, float]]:
    scores = read_scores(_logs_of(settings, batch, clock), batch)
    if not scores:
        raise BadInput(
            f"batch {batch} has no scores",
            hint=f"coordinator status {batch} says how far it is",
        )
    return scores


def _logs_of(settings: Settings, batch: str, clock: Clock) -> Path:
    known = known_record(settings, batch, clock)
    return Path(known.log_dir) if known else settings.log_dir
