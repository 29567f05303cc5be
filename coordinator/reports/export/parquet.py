"""Rows as an Apache Parquet file, in row groups, so that memory does not grow with the batch."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, BinaryIO

from coordinator.errors import UsageError
from coordinator.reports.export.fields import Column
from coordinator.reports.export.texts import SCHEMA, record
from coordinator.reports.items import Items
from coordinator.reports.rows import ATTEMPT, Field, Row

if TYPE_CHECKING:
    import pyarrow

_GROUP = 10_000  # rows


def parquet(rows: Iterable[Row], columns: Sequence[Column], items: Items, stream: BinaryIO) -> None:
    """Write the rows. Units and descriptions of the columns are in the file.

    Raises:
        UsageError: pyarrow is not installed.
    """
    try:
        import pyarrow
        from pyarrow import parquet as files
    except ImportError as error:
        raise UsageError(
            "a parquet file cannot be written",
            why="pyarrow is not installed",
            hint="pip install 'coordinator[parquet]', or take --format ndjson",
        ) from error
    schema = pyarrow.schema(
        [_column(column.field) for column in columns],
        metadata={"batch": items.batch, "limited": items.limited, "schema": str(SCHEMA)},
    )
    with files.ParquetWriter(stream, schema, compression="zstd") as writer:
        for group in _groups(record(row, columns) for row in rows):
            writer.write_table(pyarrow.Table.from_pylist(group, schema))


def _groups(records: Iterator[dict[str, object]]) -> Iterator[list[dict[str, object]]]:
    while group := list(islice(records, _GROUP)):
        yield group


def _column(field: Field) -> "pyarrow.Field":
    import pyarrow

    told = {"unit": field.unit, "description": field.description}
    return pyarrow.field(field.name, _type(field), metadata=told)


def _type(field: Field) -> "pyarrow.DataType":
    import pyarrow

    match field.type:
        case "string":
            return pyarrow.string()
        case "integer":
            return pyarrow.int64()
        case "number":
            return pyarrow.float64()
        case "numbers":
            return pyarrow.map_(pyarrow.string(), pyarrow.float64())
        case "attempts":
            return pyarrow.list_(pyarrow.struct([_column(own) for own in ATTEMPT]))
