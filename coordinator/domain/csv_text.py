"""Tables as CSV (RFC 4180), safe to open in a spreadsheet."""

import csv
import io
from collections.abc import Iterable, Sequence

from coordinator.domain.shown import for_csv

Cell = str | int | float | None


def csv_text(rows: Iterable[Sequence[Cell]]) -> str:
    """The rows as CSV; floats in full, None as an empty cell."""
    out = io.StringIO(newline="")
    # Text is always quoted: a `;` in it then ends no cell where that is the separator.
    writer = csv.writer(out, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\r\n")
    writer.writerows([for_csv(c) if isinstance(c, str) else c for c in row] for row in rows)
    return out.getvalue()
