"""The printed summary: the first line answers the question, and the numbers add up."""

from collections.abc import Iterator
from datetime import datetime
from itertools import islice

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from coordinator.domain.shown import for_terminal
from coordinator.domain.states import FailureKind
from coordinator.reports.groups import ErrorGroup
from coordinator.reports.lists import (
    EARLY_EXIT,
    FAILED,
    MESSAGES,
    NOT_RUN,
    NOT_STORED,
    OUTSIDE,
    PAGE,
    RUN_LIST,
    SCORES,
    SILENT,
    SKIPPED,
    STILL_RUNNING,
    SUCCEEDED,
    SUMMARY_JSON,
    SUSPICIOUS,
    kind_list,
    progress_list,
)
from coordinator.reports.summary import Summary

_MOST_GROUPS = 10
_MOST_NOTES = 5
_MOST_SUSPICIOUS = 5
_WIDEST = 300  # characters of one message
_INDENT = " " * 9


def render(summary: Summary) -> RenderableType:
    """All that a person needs to see, for a console that takes text as it is."""
    table = (_table(summary), Text(_check(summary), "dim"))
    limited = [Text(f"! {for_terminal(summary.limited)}", "yellow")] if summary.limited else []
    parts: list[RenderableType] = [_headline(summary), *limited, Text(), *table, Text()]
    parts += _failures(summary)
    parts += _scores(summary)
    parts += _suspicious(summary)
    parts += _notes(summary)
    parts += _places(summary)
    return Group(*parts)


def _headline(summary: Summary) -> Text:
    counts = summary.counts
    parts = [
        (counts.succeeded, "succeeded", "green"),
        (counts.early_exit, "early exit", ""),
        (counts.failed, "failed", "bold red"),
        (counts.still_running, "still running", "yellow"),
        (counts.not_run, "not run", "yellow"),
    ]
    line = Text(for_terminal(summary.batch), style="bold")
    line.append(f"  {_count(counts.run_list, 'item')}", style="not bold")
    for number, word, style in parts:
        if number:
            line.append(f"  {number:,} {word}", style=style)
    return line


def _table(summary: Summary) -> Table:
    """Each row with its list; indented rows are parts of the row above them.

    Names and numbers are never cut, however narrow the terminal.
    """
    rows = list(_rows(summary))
    table = Table(box=None, show_header=False, show_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, min_width=max(len(row[0]) for row in rows))
    widest = max(len(f"{row[1]:,}") for row in rows)
    table.add_column(no_wrap=True, justify="right", min_width=widest)
    table.add_column(overflow="fold")
    for name, number, file, style in rows:
        style = style if number else "dim"
        table.add_row(Text(name, style), Text(f"{number:,}", style), Text(file, style))
    return table


def _rows(summary: Summary) -> Iterator[tuple[str, int, str, str]]:
    counts = summary.counts
    yield "succeeded", counts.succeeded, SUCCEEDED, "green"
    yield "early exit", counts.early_exit, EARLY_EXIT, ""
    yield "failed", counts.failed, FAILED, "bold red"
    for kind, number in summary.kinds.items():
        yield f"  {kind}", number, kind_list(kind), ""
        if kind is FailureKind.UNKNOWN and summary.silent:
            yield "    silent", summary.silent, SILENT, ""
    if summary.not_stored:
        yield "  not stored", summary.not_stored, f"{NOT_STORED} (some of the failed above)", ""
    yield "still running", counts.still_running, STILL_RUNNING, "yellow"
    for progress, number in summary.progress.items():
        yield f"  {progress}", number, progress_list(progress), ""
    yield "not run", counts.not_run, NOT_RUN, "yellow"
    if summary.skipped:
        yield "  skipped", summary.skipped, SKIPPED, ""
    yield "run list", counts.run_list, RUN_LIST, "bold"
    if summary.outside:
        yield "not on the list", summary.outside, f"{OUTSIDE} (in no number above)", "yellow"


def _check(summary: Summary) -> str:
    """The sum, written out, so that nobody has to trust it."""
    counts = summary.counts
    parts = (
        counts.succeeded,
        counts.early_exit,
        counts.failed,
        counts.still_running,
        counts.not_run,
    )
    sign = "=" if counts.total == counts.run_list else "IS NOT"
    return f"{counts.run_list:,} {sign} {' + '.join(f'{part:,}' for part in parts)}"


def _failures(summary: Summary) -> Iterator[Text]:
    for group in summary.groups[:_MOST_GROUPS]:
        yield from _group(group)
    if more := summary.groups[_MOST_GROUPS:]:
        items = sum(group.count for group in more)
        yield Text(f"{items:>6,} x  in {_count(len(more), 'more error')}: see {MESSAGES}")
    if summary.groups:
        yield Text()


def _group(group: ErrorGroup) -> Iterator[Text]:
    error = group.error if len(group.error) <= _WIDEST else f"{group.error[: _WIDEST - 1]}…"
    line = Text(f"{group.count:>6,} x  ")
    line.append(f"{group.kind}", style="bold red")
    yield line.append(f"  {for_terminal(error)}")
    place = group.file if group.line is None else f"{group.file}:{group.line}"
    yield Text(f"{_INDENT}e.g. {for_terminal(group.item)}  {for_terminal(place)}", style="dim")
    if group.first is not None and group.last is not None:
        yield Text(f"{_INDENT}{_between(group.first, group.last)}", style="dim")


def _between(first: float, last: float) -> str:
    """`2026-11-20 08:33`, or from when to when."""
    begin, end = (f"{datetime.fromtimestamp(at):%Y-%m-%d %H:%M}" for at in (first, last))
    return begin if begin == end else f"{begin} to {end}"


def _scores(summary: Summary) -> Iterator[Text]:
    for metric, average in summary.averages.items():
        value = str(average) if average.value is None else f"{average.value:.2f}"
        yield Text(f"average {for_terminal(metric)}  {value}")
    if summary.averages:
        yield Text()


def _suspicious(summary: Summary) -> Iterator[Text]:
    """What succeeded and may yet be rubbish."""
    if not summary.suspicious:
        return
    items = _count(len(summary.suspicious), "item")
    yield Text(f"! suspicious translations in {items}: see {SUSPICIOUS}", "yellow")
    for item, flags in islice(summary.suspicious.items(), _MOST_SUSPICIOUS):
        yield Text(f"{_INDENT}{for_terminal(item)}  {for_terminal('; '.join(flags))}", "dim")
    yield Text()


def _notes(summary: Summary) -> Iterator[Text]:
    if not summary.run_list_complete:
        yield Text("! no run list: items that left no logs are unknown; give --run_list", "yellow")
    if summary.repeated:
        said = f"{_count(summary.repeated, 'line')} of the run list name an item again"
        yield Text(f"! {said}; counted once", "yellow")
    for note in summary.notes[:_MOST_NOTES]:
        yield Text(f"! {for_terminal(note.file)}: {for_terminal(note.problem)}", "yellow")
    if (more := len(summary.notes) - _MOST_NOTES) > 0:
        yield Text(f"! and {more:,} more that could not be used: see {SUMMARY_JSON}", "yellow")


def _places(summary: Summary) -> Iterator[Text]:
    yield Text(f"logs     {for_terminal(summary.log_dir)}")
    yield Text(f"lists    {for_terminal(summary.report_dir)}")
    if SCORES in summary.files:
        yield Text(f"scores   {for_terminal(summary.report_dir)}/{SCORES}")
    if PAGE in summary.files:
        yield Text(f"page     {for_terminal(summary.report_dir)}/{PAGE}")
    if summary.page_problem:
        why = for_terminal(summary.page_problem)[:_WIDEST]
        yield Text(f"page     not written: {why}", "yellow")
    for number, line in enumerate(summary.advice):
        yield Text(f"{'next' if number == 0 else '':<9}{for_terminal(line)}", style="bold")


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
