"""The headers in CTranslate2's `model.bin`, read without its weights.

Format, little endian: u32 version; text, what kind of model; u32 its revision; u32 how many
tensors; for each a text, its name; u8 rank; u32 for each dimension; u8 type; u32 bytes; the bytes
themselves; then u32 how many aliases, each of two texts, its name and the tensor's. A text is u16,
its length with the zero that ends it, and its bytes.
Source: `ModelSpec._serialize` in CTranslate2's `specs/model_spec.py`, version 6 of the format; 4
and 5 are laid out alike.
"""

import math
import struct
from pathlib import Path
from typing import BinaryIO

Shapes = dict[str, tuple[int, ...]]  # a tensor's or an alias's name -> its dimensions

SEQ2SEQ = "TransformerSpec"
_VERSIONS = (4, 5, 6)
_TYPE_BYTES = (4, 1, 2, 4, 2, 2)  # float32, int8, int16, int32, float16, bfloat16
_MOST_TENSORS = 100_000  # the largest models have some thousands
_MOST_DIMENSIONS = 8
_HEADS = "num_heads"  # a whole number
_LONGEST_NAME = 200  # bytes; it may stand in a message
_LONGEST_HEADER = 1 << 10  # bytes of one tensor's


class BadModelFile(Exception):
    """What is wrong with the file, in one line."""


def read_shapes(path: Path, real: int | None = None) -> Shapes:
    """The tensors in the file; only those among its first `real` bytes, if the rest is not there.

    Raises:
        BadModelFile: headers and size do not fit each other, or it holds no encoder and decoder.
    """
    with path.open("rb") as stream:
        return _Walk(stream, path.stat().st_size, real).shapes()


class _Walk:
    """One pass over a file, from header to header."""

    def __init__(self, stream: BinaryIO, size: int, real: int | None) -> None:
        self._stream, self._size = stream, size
        self._last = size if real is None or size <= real else real - _LONGEST_HEADER

    def shapes(self) -> Shapes:
        self._check_kind()
        found: Shapes = {}
        for _ in range(self._count("tensors")):
            if self._stream.tell() > self._last:
                return found  # what follows was not fetched
            name = self._text()
            if not name or name in found:
                raise BadModelFile(f"it names a tensor {name!r} twice" if name else _DAMAGED)
            found[name] = self._shape(name)
        for _ in range(self._count("aliases")):
            alias, name = self._text(), self._text()
            if name not in found:
                raise BadModelFile(f"{alias!r} stands for {name!r}, which it does not hold")
            found[alias] = found[name]
        if self._stream.tell() != self._size:
            raise BadModelFile("it has bytes that belong to no tensor")
        return found

    def _check_kind(self) -> None:
        version = self._number("<I")
        if version not in _VERSIONS:
            raise BadModelFile("it is not of CTranslate2, or of a version that is not read here")
        kind = self._text()
        if kind != SEQ2SEQ:
            raise BadModelFile(f"its kind is {kind!r}, not {SEQ2SEQ}: an encoder and a decoder")
        self._number("<I")

    def _shape(self, name: str) -> tuple[int, ...]:
        rank = self._number("<B")
        if rank > _MOST_DIMENSIONS:
            raise BadModelFile(f"tensor {name!r} claims {rank} dimensions")
        shape = tuple(self._number("<I") for _ in range(rank))
        kind, count = self._number("<B"), self._number("<I")
        if kind >= len(_TYPE_BYTES):
            raise BadModelFile(f"tensor {name!r} is of the unknown type {kind}")
        if math.prod(shape) * _TYPE_BYTES[kind] != count:
            raise BadModelFile(f"tensor {name!r} has {count} bytes, which do not fit its shape")
        end = self._end(name, count)
        if name.endswith(_HEADS) and int.from_bytes(self._read(count), "little", signed=True) < 1:
            raise BadModelFile(f"{name!r} is not above 0")  # CTranslate2 would divide by it
        self._stream.seek(end)
        return shape

    def _end(self, name: str, count: int) -> int:
        end = self._stream.tell() + count
        if end > self._size:
            why = f"tensor {name!r} ends at byte {end} of {self._size}: the file is cut off"
            raise BadModelFile(why)
        return end

    def _count(self, what: str) -> int:
        count = self._number("<I")
        if count > _MOST_TENSORS:
            raise BadModelFile(f"it claims {count} {what}")
        return count

    def _number(self, layout: str) -> int:
        number: int = struct.unpack(layout, self._read(struct.calcsize(layout)))[0]
        return number

    def _text(self) -> str:
        data = self._read(self._number("<H"))
        if data[-1:] not in (b"", b"\0") or len(data) > _LONGEST_NAME:
            raise BadModelFile(_DAMAGED)
        try:
            return data[:-1].decode()
        except UnicodeDecodeError:
            raise BadModelFile(_DAMAGED) from None

    def _read(self, count: int) -> bytes:
        data = self._stream.read(count)
        if len(data) < count:
            raise BadModelFile(f"a file of {self._size} bytes is cut off")
        return data


_DAMAGED = "its headers are damaged"
