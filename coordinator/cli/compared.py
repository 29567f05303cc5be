"""What `compare` shows; apart from the verb, since numpy takes a while to import."""

import io
import json
from collections.abc import Iterator
from typing import Any

from rich.table import Table
from rich.text import Text

from coordinator.cli.output import SCHEMA, console
from coordinator.commands.comparing import compare
from coordinator.domain.shown import for_terminal
from coordinator.reports.comparison.markup import markup
from coordinator.reports.comparison.result import Comparison
from coordinator.reports.comparison.sheets import Extent, Sheet, sheets_of

_NARROW = 15  # characters: the name of a batch may take more than there is room for

__all__ = ["Extent", "compare", "tables", "text"]


def text(chosen: str, found: Comparison, extent: Extent, document: dict[str, Any]) -> str:
    """The whole document in the format that was chosen."""
    if chosen == "json":
        return json.dumps({"schema": SCHEMA, **document}, indent=1) + "\n"
    if chosen == "table":
        drawn = io.StringIO()
        console(drawn).print(*tables(found, extent), sep="\n")
        return drawn.getvalue()
    return markup(found, chosen, extent)


def tables(found: Comparison, extent: Extent) -> Iterator[Table | Text]:
    """What a person sees."""
    for number, sheet in enumerate(sheets_of(found, extent)):
        if number:
            yield Text(f"\n{for_terminal(sheet.title)}", style="bold")
        if sheet.rows:
            yield _table(sheet)
        yield from (Text(for_terminal(note)) for note in sheet.notes)


def _table(sheet: Sheet) -> Table:
    table = Table(box=None, pad_edge=False)
    for name, kind in sheet.columns.items():
        table.add_column(
            Text(for_terminal(name)),
            justify="right" if kind.is_number else "left",
            overflow="fold",
            no_wrap=kind.is_number and len(name) <= _NARROW,  # numbers are read as a whole
        )
    for line in sheet.lines():
        table.add_row(*map(Text, line))
    return table
