"""`report --format`: the items of a batch as rows, for programs."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from coordinator.clock import Clock
from coordinator.commands.batch_logs import logs_of
from coordinator.errors import ExitCode, UsageError
from coordinator.files import aside
from coordinator.reports.export import texts
from coordinator.reports.export.fields import chosen
from coordinator.reports.export.filters import conditions, kept
from coordinator.reports.export.junit import junit
from coordinator.reports.export.parquet import parquet
from coordinator.reports.items import Items
from coordinator.reports.report import read_items
from coordinator.reports.rules import read_rules
from coordinator.reports.summary import Summary
from coordinator.reports.tree import OnProgress
from coordinator.settings import Settings

Format = Literal["csv", "ndjson", "json", "parquet", "junit"]
_FLAT = ("csv", "parquet")  # scores are columns of their own


@dataclass(frozen=True)
class Wish:
    """What is to be written.

    Attributes:
        fields: names; none = all that the format can hold.
        filters: conditions that all have to hold.
    """

    format: Format
    fields: tuple[str, ...] = ()
    filters: tuple[str, ...] = ()


def items_of(
    settings: Settings,
    batch: str | None,
    clock: Clock,
    *,
    log_dir: Path | None = None,
    run_list: Path | None = None,
    rules: Path | None = None,
    on_progress: OnProgress = lambda _what, _done, _total: None,
) -> Items:
    """The items of a batch from its logs alone.

    Args:
        settings: where logs and ledgers are.
        batch: its name; None = the only one there.
        clock: for opening the ledger.
        log_dir: read these logs, wherever the batch's own are; a folder, or s3://bucket/prefix.
        run_list: the items that should have run; None = the batch's own list.
        rules: a table of what lines of logs mean; None = our own logs need none.
        on_progress: hears what is done: what, how many, of how many (None = nobody knows).

    Raises:
        BadInput: there are no logs, or of several batches, or the rules cannot be used.
    """
    table = read_rules(rules) if rules else None
    with logs_of(settings, batch, clock, log_dir, on_progress) as found:
        return read_items(
            found.folder,
            run_list=run_list,
            report_dir=settings.report_dir / found.batch,
            batch=found.batch,
            rules=table,
            on_progress=on_progress,
        )


def outcome_of(summary: Summary) -> ExitCode:
    """What became of a batch; an item that was skipped at the start is not left to be done."""
    counts = summary.counts
    if counts.still_running or counts.not_run > summary.skipped:
        return ExitCode.STOPPED_EARLY
    good = counts.succeeded + counts.early_exit == counts.run_list
    if not counts.run_list:  # where nothing was found, nothing can be said to be well
        return ExitCode.STOPPED_EARLY
    return ExitCode.OK if good else ExitCode.SOME_FAILED


def text_of(items: Items, wish: Wish) -> Iterator[str]:
    """The document piece by piece.

    Raises:
        UsageError: a field or a condition that cannot be, or a format that is no text.
    """
    wanted = conditions(wish.filters, items)
    if wish.format == "junit":
        if wish.fields:
            raise UsageError("--fields says nothing of JUnit", why="its fields are fixed")
        return junit(items, lambda: kept(items.rows(), wanted))
    if wish.format == "parquet":
        raise UsageError("a parquet file is no text", hint="say where to: --out FILE")
    flat = wish.format in _FLAT
    columns = chosen(items, wish.fields, flat=flat, nested=not flat)
    write = {"csv": texts.csv, "ndjson": texts.ndjson}.get(
        wish.format, partial(texts.document, batch=items.batch)
    )
    return write(kept(items.rows(), wanted), columns)


def write_to(out: Path, items: Items, wish: Wish) -> None:
    """Write the document; the file is there whole or as it was.

    Raises:
        UsageError: as `text_of`; or the file cannot be written.
    """
    try:
        if wish.format == "parquet":
            wanted = conditions(wish.filters, items)
            columns = chosen(items, wish.fields, flat=True, nested=True)
            with aside(out) as stream:
                parquet(kept(items.rows(), wanted), columns, items, stream)
            return
        pieces = text_of(items, wish)
        with aside(out) as stream:
            stream.writelines(piece.encode() for piece in pieces)
    except OSError as error:
        raise UsageError(
            f"{out} cannot be written", why=error.strerror or str(error), hint="try another --out"
        ) from error
