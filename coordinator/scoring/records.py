"""Files of one segment a record, read as a stream: JSON lines and CSV, each with its line."""

import csv
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from coordinator.domain.shown import for_terminal
from coordinator.errors import BadInput, Problem

MAX_FILE = 4 * 1024**3  # bytes
MAX_LINE = 16 * 1024**2  # bytes
MAX_RECORDS = 10_000_000
_BOM = b"\xef\xbb\xbf"

Record = Mapping[str, Any]
Numbered = tuple[int, Record | Problem]  # line of the file, and what stands there


def text_lines(path: Path) -> Iterator[tuple[int, str]]:
    r"""The lines of a UTF-8 file with their numbers from 1; their `\n` or `\r\n` is kept.

    Raises:
        BadInput: it cannot be read, is too large, or is not UTF-8.
    """
    try:
        with path.open("rb") as stream:
            _refuse_large(path, stream.seek(0, 2))
            stream.seek(len(_BOM) if _begins_with_bom(path) else 0)
            number = 0
            while line := stream.readline(MAX_LINE + 1):
                number += 1
                yield number, _decoded(path, number, line)
    except (OSError, ValueError) as error:  # ValueError: a name with NUL in it
        why = getattr(error, "strerror", None) or str(error)
        raise BadInput(f"{for_terminal(str(path))} cannot be read", why=why) from error


def jsonl_records(path: Path) -> Iterator[Numbered]:
    """The object on each line; lines of white space are passed over."""
    for number, line in text_lines(path):
        if line.strip():
            yield number, _json_object(f"{path}:{number}", line)


def csv_records(path: Path, delimiter: str) -> Iterator[Numbered]:
    """The cells of each row by the names in the first row; empty rows are passed over.

    Raises:
        BadInput: no first row, or one that names a column twice; quoting that does not end.
    """
    lines = text_lines(path)
    rows = csv.reader((line for _, line in lines), delimiter=delimiter, strict=True)
    try:
        header = [name.strip() for name in next(rows, [])]
        _check_header(path, header)
        for row in rows:
            if row:
                yield rows.line_num, _cells(f"{path}:{rows.line_num}", header, row)
    except csv.Error as error:
        raise BadInput(
            f"{path}:{rows.line_num} is no CSV", why=str(error), hint='a " in a cell is written ""'
        ) from error


def _cells(where: str, header: list[str], row: list[str]) -> Record | Problem:
    if len(row) != len(header):
        return Problem(where, f"{len(row)} cells, but the first row has {len(header)}")
    return dict(zip(header, row, strict=True))


def _check_header(path: Path, header: list[str]) -> None:
    if not header:
        raise BadInput(f"{path} is empty", why="the first row names the columns")
    if twice := sorted({name for name in header if header.count(name) > 1}):
        raise BadInput(f"{path} names a column twice", why=", ".join(map(repr, twice)))


def _json_object(where: str, line: str) -> Record | Problem:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return Problem(where, "not JSON")
    return found if isinstance(found, dict) else Problem(where, "no JSON object")


def _begins_with_bom(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(len(_BOM)) == _BOM


def _refuse_large(path: Path, size: int) -> None:
    if size > MAX_FILE:
        raise BadInput(f"{path} is too large", why=f"{size:,} bytes; at most {MAX_FILE:,} are read")


def _decoded(path: Path, number: int, line: bytes) -> str:
    if len(line) > MAX_LINE:
        raise BadInput(f"{path}:{number} is too long", why=f"at most {MAX_LINE:,} bytes are read")
    if number > MAX_RECORDS:
        raise BadInput(f"{path} has too many lines", why=f"at most {MAX_RECORDS:,} are read")
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadInput(
            f"{path}:{number} is not UTF-8",
            why=f"byte 0x{line[error.start]:02x} cannot stand there",
            hint="convert the file to UTF-8, e.g. with iconv",
        ) from error
