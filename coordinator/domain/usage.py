"""What a job used, as a series of measurements: bounded, and the same on both sides.

A row covers the seconds before its time. Rates are means over these seconds, sizes are as they were
at its end. Where rows become too many, each two become one, as if it had been measured half as
often; of sizes the larger one stays.
"""

import csv
import io
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from coordinator.errors import BadInput

MAX_ROWS = 4096
MAX_BYTES = 4 << 20  # of a series as a file

RATES = (
    "cores",  # that the job's processes kept busy
    "read_mb_s",  # from disks, by the job's processes
    "written_mb_s",
    "node_cpu_percent",  # of all cores
    "node_read_mb_s",
    "node_written_mb_s",
    "node_received_mb_s",  # over the network
    "node_sent_mb_s",
    "gpu_percent",  # busy; mean of the job's GPUs
)
SIZES = (
    "memory_mb",  # resident, of the job's processes; what they share counts for each
    "processes",
    "node_memory_percent",
    "gpu_memory_mb",  # in use, of the job's GPUs together
)
COLUMNS = (*RATES, *SIZES)
_HEADER = ("time", "seconds", *COLUMNS)
_IS_RATE = tuple(column in RATES for column in COLUMNS)

Value = float | None  # None = could not be measured


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement.

    Attributes:
        time: its end, in seconds since the epoch.
        seconds: how long it covers.
        values: one for each of COLUMNS.
    """

    time: float
    seconds: float
    values: tuple[Value, ...]


@dataclass(frozen=True)
class Use:
    """Mean and peak of one column."""

    mean: float
    peak: float


@dataclass
class Series:
    """Rows in the order of time, never more than MAX_ROWS."""

    rows: list[Row] = field(default_factory=list)

    def add(self, row: Row) -> None:
        self.rows.append(row)
        if len(self.rows) >= MAX_ROWS:
            pairs = zip(self.rows[::2], self.rows[1::2], strict=True)  # MAX_ROWS is even
            self.rows = [_merged(a, b) for a, b in pairs]

    def since(self, began: float) -> dict[str, Use]:
        """Column -> use between `began` (seconds since the epoch) and the last row."""
        rows = []
        for row in reversed(self.rows):
            if row.time <= began:
                break
            rows.append(Row(row.time, min(row.seconds, row.time - began), row.values))
        return used(rows)

    def to_csv(self) -> bytes:
        out = io.StringIO(newline="")
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(_HEADER)
        writer.writerows(
            [_shown(row.time), _shown(row.seconds), *map(_shown, row.values)] for row in self.rows
        )
        return out.getvalue().encode()


def used(rows: Iterable[Row]) -> dict[str, Use]:
    """Column -> use over these rows; columns that were never measured are left out."""
    rows = list(rows)
    found = {}
    for number, column in enumerate(COLUMNS):
        pairs = [(row.values[number], row.seconds) for row in rows]
        known = [(value, seconds) for value, seconds in pairs if value is not None]
        if known:
            found[column] = _use(known)
    return found


def parse_series(data: bytes) -> Series:
    """The series in a file of `to_csv`; nothing but numbers comes out of it.

    Raises:
        BadInput: it is none, or too large.
    """
    if len(data) > MAX_BYTES:
        raise BadInput("the measurements cannot be read", why=f"more than {MAX_BYTES} bytes")
    try:
        return Series(list(_rows(csv.reader(io.StringIO(data.decode("ascii"))))))
    except (ValueError, csv.Error) as error:
        raise BadInput("the measurements cannot be read", why=str(error)) from error


def _rows(lines: Iterator[list[str]]) -> Iterator[Row]:
    if tuple(next(lines, ())) != _HEADER:
        raise ValueError("the first line does not name the columns")
    for count, cells in enumerate(lines, start=1):
        if len(cells) != len(_HEADER) or count > MAX_ROWS:
            raise ValueError(f"line {count + 1} does not belong there")
        time, seconds, *values = (_number(cell) for cell in cells)
        if time is None or seconds is None:
            raise ValueError(f"line {count + 1} has no time")
        yield Row(time, seconds, tuple(values))


def _number(cell: str) -> Value:
    if not cell:
        return None
    value = float(cell)
    if not 0 <= value < 1e15:  # nor NaN
        raise ValueError(f"{cell[:20]!r} is no measurement")
    return value


def _shown(value: Value) -> str:
    return "" if value is None else f"{value:.3f}".rstrip("0").rstrip(".")


def _use(known: Sequence[tuple[float, float]]) -> Use:
    """Mean weighted by seconds; where nothing lasted, of the values alone."""
    total = math.fsum(seconds for _, seconds in known)
    peak = max(value for value, _ in known)
    if total <= 0:
        return Use(math.fsum(value for value, _ in known) / len(known), peak)
    return Use(math.fsum(value * seconds for value, seconds in known) / total, peak)


def _merged(a: Row, b: Row) -> Row:
    columns = zip(_IS_RATE, a.values, b.values, strict=True)
    values = tuple(_both(rate, (x, a.seconds), (y, b.seconds)) for rate, x, y in columns)
    return Row(b.time, a.seconds + b.seconds, values)


def _both(is_rate: bool, a: tuple[Value, float], b: tuple[Value, float]) -> Value:
    known = [(value, seconds) for value, seconds in (a, b) if value is not None]
    if not known:
        return None
    use = _use(known)
    return use.mean if is_rate else use.peak
