"""`report`: what the log tree says of a batch."""

import json
from dataclasses import dataclass
from pathlib import Path

from coordinator.bootstrap import batch_folder
from coordinator.clock import Clock
from coordinator.commands.batch_logs import LogsFound, logs_of
from coordinator.commands.record import BatchRecord
from coordinator.domain.items import WorkItem
from coordinator.domain.paths import BatchKeys
from coordinator.ledger import Ledger, PortableLedger, holder
from coordinator.reports import History, Moment, PageWish, Summary, local_reports
from coordinator.reports.diagnostics import write_diagnostics
from coordinator.reports.rules import read_rules
from coordinator.reports.tree import OnProgress
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
    rules: Path | None = None,
    tensorboard: Path | None = None,
    on_progress: OnProgress = lambda _what, _done, _total: None,
    page: bool = True,
) -> Report:
    """Write the report of a batch from its logs alone; publish the scores if its ledger is here.

    Args:
        settings: where logs, reports and ledgers are.
        batch: its name; None = the only one there.
        clock: for opening the ledger.
        log_dir: read these logs, wherever the batch's own are; a folder, or s3://bucket/prefix.
        run_list: the items that should have run; None = the batch's own list.
        report_dir: where to; None = the batch's folder among the reports.
        rules: a table of what lines of logs mean; None = our own logs need none.
        on_progress: hears what is done: what, how many, of how many (None = nobody knows).
        tensorboard: a folder for TensorBoard's run of what the dispatches used; None = none.
        page: whether to write `report.html`.

    Raises:
        BadInput: there are no logs, or of several batches, or the rules cannot be used.
    """
    table = read_rules(rules) if rules else None
    with logs_of(settings, batch, clock, log_dir, on_progress) as found:
        known, folder = found.record, report_dir or settings.report_dir / found.batch
        history = _history(settings, found.batch, clock, known) if page else None
        summary = local_reports(
            found.folder,
            run_list=run_list,
            report_dir=folder,
            batch=found.batch,
            rules=table,
            page=PageWish(clock.now(), history) if page else None,
            log_address=found.address,
            on_progress=on_progress,
        )
        shown = write_diagnostics(found.folder, found.batch, tensorboard) if tensorboard else 0
        is_own = _is_own(found, log_dir) and run_list is None and rules is None
    published = _publish(known, folder / SCORES) if known and is_own else ""
    return Report(summary, folder, published, shown)


def _is_own(found: LogsFound, log_dir: Path | None) -> bool:
    """Whether the batch's own logs were read: the scores of others are not put in their place."""
    if found.record is None or log_dir is None:
        return found.record is not None
    own = Path(found.record.log_dir).resolve()
    return log_dir.resolve() in (own, own / found.batch)


def _history(
    settings: Settings, batch: str, clock: Clock, known: BatchRecord | None
) -> History | None:
    """What the batch's ledger adds to its logs, if it is on this machine."""
    if known is None:
        return None
    folder = batch_folder(settings, batch)
    ledger = Ledger.open(folder, clock, read_only=True)
    try:
        moments = tuple(Moment(event.at, event.action, event.why) for event in ledger.moments())
        return History(moments, _languages(ledger), holder(folder))
    finally:
        ledger.close()


def _languages(ledger: Ledger) -> dict[str, tuple[str, str]]:
    """Item -> source and target language, of the items that have both."""
    found = {}
    for document in PortableLedger(ledger).documents():
        item = WorkItem.from_json(json.loads(document))
        source, target = (item.properties.get(f"mt:{end}_language") for end in ("source", "target"))
        if isinstance(source, str) and isinstance(target, str):
            found[item.id] = (source, target)
    return found


def _publish(record: BatchRecord, scores: Path) -> str:
    """Put the table of scores beside the batch's outputs; where it is then."""
    if not scores.exists():
        return ""
    key = BatchKeys(record.batch).summary(SCORES)
    open_storage(record.output_root).upload(scores, key)
    return f"{record.output_root.rstrip('/')}/{key}"
