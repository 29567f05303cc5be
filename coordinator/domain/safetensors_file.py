"""The header of a safetensors file, checked before any weight is read.

Format: 8 bytes, little endian, the length N of the header; N bytes of JSON, name -> dtype, shape
and data_offsets [begin, end) in bytes; then the data, without holes or overlaps.
Source: the README of the safetensors project, "Format".
"""

import json
import math
from itertools import pairwise
from pathlib import Path
from typing import Any

MAX_HEADER = 100_000_000  # bytes, the limit of the format's own library
_LENGTH = 8  # bytes in front of the header
_MOST_DIMENSIONS = 64
_LARGEST = 1 << 63  # no place, and no dimension: the product of what is larger takes for ever
_SHOWN = 60  # characters of a name in a message
_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8,
    "U16": 16, "I16": 16, "F16": 16, "BF16": 16,
    "U32": 32, "I32": 32, "F32": 32,
    "U64": 64, "I64": 64, "F64": 64, "C64": 64,
}  # fmt: skip


class _Bad(Exception):
    """What is wrong, in one line."""


def safetensors_problem(path: Path) -> str | None:
    """Why the file cannot be whole, or None if header and size fit each other."""
    try:
        header, data_size = _read_header(path)
        tensors = {name: entry for name, entry in header.items() if name != "__metadata__"}
        spans = sorted(_span(name, entry, data_size) for name, entry in tensors.items())
        _check_cover(spans, data_size)
    except _Bad as problem:
        return str(problem)
    return None


def _read_header(path: Path) -> tuple[dict[str, Any], int]:
    """The header and the size in bytes of the data behind it."""
    size = path.stat().st_size
    if size < _LENGTH:
        raise _Bad(f"a safetensors file of {size} bytes is cut off")
    with path.open("rb") as file:
        length = int.from_bytes(file.read(_LENGTH), "little")
        if length > min(MAX_HEADER, size - _LENGTH):
            raise _Bad(f"its header claims {length} bytes, the file has {size}")
        text = file.read(length)
    return _parsed(text), size - _LENGTH - length


def _parsed(text: bytes) -> dict[str, Any]:
    try:
        header = json.loads(text, object_pairs_hook=_without_repeats)
    except (ValueError, RecursionError):
        raise _Bad("its header is not JSON") from None
    if not isinstance(header, dict):
        raise _Bad("its header is not a JSON object")
    return header


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = dict(pairs)
    if len(names) < len(pairs):
        raise _Bad("its header names a tensor twice")
    return names


def _span(name: str, entry: Any, data_size: int) -> tuple[int, int]:
    """The bytes of a tensor as [begin, end)."""
    named = f"tensor {name[:_SHOWN]!r}"
    try:
        begin, end = entry["data_offsets"]
        shape, bits = entry["shape"], _BITS.get(entry["dtype"])
    except (KeyError, TypeError, ValueError):
        raise _Bad(f"{named} is not described in full") from None
    if not isinstance(shape, list) or len(shape) > _MOST_DIMENSIONS:
        raise _Bad(f"{named} has an impossible shape")
    if not all(_is_count(n) for n in (begin, end, *shape)):
        raise _Bad(f"{named} has an impossible shape or place")
    if not begin <= end <= data_size:
        raise _Bad(f"{named} ends at byte {end} of {data_size}: the file is cut off")
    if bits is not None and math.prod(shape) * bits != (end - begin) * 8:
        raise _Bad(f"{named} has {end - begin} bytes, which do not fit its shape")
    return begin, end


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < _LARGEST


def _check_cover(spans: list[tuple[int, int]], data_size: int) -> None:
    edges = [(0, 0), *spans, (data_size, data_size)]
    for (_, end), (begin, _) in pairwise(edges):
        if begin < end:
            raise _Bad("its tensors overlap")
        if begin > end:
            raise _Bad("it has bytes that belong to no tensor")
