"""Tables as CSV (RFC 4180), safe to open in a spreadsheet."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence

from coordinator.domain.shown import for_csv

Cell = str | int | float | None


def csv_text(rows: Iterable[Sequence[Cell]], limited: str = "") -> str:
    """The rows, a header first, as CSV; floats in full, None as an empty cell.

    `limited`: what was left out of the batch that they tell of; it stands in each row.
    """
    return "".join(csv_lines(rows, limited))


def csv_lines(rows: Iterable[Sequence[Cell]], limited: str = "") -> Iterator[str]:
    """The same line by line."""
    out = io.StringIO(newline="")
    # Text is always quoted: a `;` in it then ends no cell where that is the separator.
    writer = csv.writer(out, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\r\n")
    for number, row in enumerate(rows):
        mark = [limited if number else "limited"] if limited else []
        writer.writerow([for_csv(c) if isinstance(c, str) else c for c in (*row, *mark)])
        yield out.getvalue()
        out.seek(0)
        out.truncate()
