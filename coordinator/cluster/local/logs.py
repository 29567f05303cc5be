"""Bringing a job's streams home: whole files, of bounded size."""

import os
import stat
from pathlib import Path
from typing import BinaryIO

from coordinator.cluster.files import aside

LARGEST = 10 * 2**20  # bytes of one stream that are kept: as much of its head as of its tail
_CHUNK = 2**20


def copy_stream(source: Path, target: Path, largest: int = LARGEST) -> None:
    """Copy a stream, with one line in place of its middle if it is longer than `largest` bytes."""
    with _open_regular(source) as stream, aside(target) as out:
        _copy(stream, out, largest)


def read_from(source: Path, offset: int) -> bytes:
    """At most a megabyte of a stream that may still grow, from byte `offset` on."""
    with _open_regular(source) as stream:
        stream.seek(offset)
        return stream.read(_CHUNK)


def _open_regular(source: Path) -> BinaryIO:
    """The file; an empty one where there is none, or something else than a file in its place."""
    try:
        descriptor = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return open(os.devnull, "rb")
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    return open(os.devnull, "rb")


def _copy(stream: BinaryIO, out: BinaryIO, largest: int) -> None:
    size, half = os.fstat(stream.fileno()).st_size, largest // 2
    if size <= largest:
        _copy_bytes(stream, out, largest)
        return
    _copy_bytes(stream, out, half)
    out.write(b"\n[%d bytes left out]\n" % (size - 2 * half))
    stream.seek(size - half)
    _copy_bytes(stream, out, half)


def _copy_bytes(stream: BinaryIO, out: BinaryIO, count: int) -> None:
    while count and (chunk := stream.read(min(count, _CHUNK))):
        out.write(chunk)
        count -= len(chunk)
