"""Rows as CSV, as one JSON object a line, and as one JSON document; written as they come."""

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

from coordinator.domain.csv_text import csv_lines
from coordinator.domain.plain import plain
from coordinator.reports.export.fields import Column
from coordinator.reports.rows import Row

SCHEMA = 1  # of a document; docs/schemas/items.schema.json describes it


def csv(rows: Iterable[Row], columns: Sequence[Column]) -> Iterator[str]:
    """RFC 4180, a header first, safe to open in a spreadsheet."""
    header = [column.name for column in columns]
    return csv_lines(chain([header], ([plain(c.of(row)) for c in columns] for row in rows)))


def ndjson(rows: Iterable[Row], columns: Sequence[Column]) -> Iterator[str]:
    """One object a line, in ASCII."""
    return (f"{_object(row, columns)}\n" for row in rows)


def document(rows: Iterable[Row], columns: Sequence[Column], batch: str) -> Iterator[str]:
    """One object with all rows as `items`, a line each."""
    yield f'{{"schema": {SCHEMA}, "batch": {json.dumps(batch)}, "items": [\n'
    for number, row in enumerate(rows):
        yield f"{',' if number else ' '}{_object(row, columns)}\n"
    yield "]}\n"


def record(row: Row, columns: Sequence[Column]) -> dict[str, Any]:
    """A row as plain JSON."""
    return {column.name: plain(column.of(row)) for column in columns}


def _object(row: Row, columns: Sequence[Column]) -> str:
    return json.dumps(record(row, columns), allow_nan=False)
