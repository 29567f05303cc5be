"""Bringing a job's streams home: whole files, of bounded size."""

import os
import shutil
import stat
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import BinaryIO

from coordinator.files import aside
from coordinator.secrecy import NO_MASK, Mask

LARGEST = 10 * 2**20  # bytes of one stream that are kept: as much of its head as of its tail
_CHUNK = 2**20
_LINE = 40  # bytes; more than the line in place of a middle has: what was shortened stays as it is


def copy_stream(source: Path, target: Path, mask: Mask = NO_MASK, largest: int = LARGEST) -> None:
    """Copy a stream, with one line in place of its middle if it is longer than `largest` bytes."""
    with open_regular(source) as stream, aside(target) as out:
        _copy(stream, out, mask, largest)


def keep_as_home(source: Path, home: Path) -> None:
    """Leave of an ended job's stream what came home of it: no secret, and no more than that."""
    with open_regular(source) as left, open(home, "rb") as kept:
        if all(one == other for one, other in zip_longest(_blocks(left), _blocks(kept))):
            return
    with open(home, "rb") as kept, aside(source, 0o600) as out:
        shutil.copyfileobj(kept, out, _CHUNK)


def _blocks(stream: BinaryIO) -> Iterator[bytes]:
    return iter(lambda: stream.read(_CHUNK), b"")


def read_from(source: Path, offset: int) -> bytes:
    """At most a megabyte of a stream that may still grow, from byte `offset` on."""
    with open_regular(source) as stream:
        stream.seek(offset)
        return stream.read(_CHUNK)


def open_regular(source: Path) -> BinaryIO:
    """The file; an empty one where there is none, or something else than a file in its place."""
    try:
        descriptor = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return open(os.devnull, "rb")
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    return open(os.devnull, "rb")


def _copy(stream: BinaryIO, out: BinaryIO, mask: Mask, largest: int) -> None:
    size, half = os.fstat(stream.fileno()).st_size, largest // 2
    if size <= largest + _LINE:
        out.writelines(mask.pieces(_pieces(stream, size)))
        return
    out.writelines(mask.pieces(_pieces(stream, half)))
    out.write(b"\n[%d bytes left out]\n" % (size - 2 * half))
    stream.seek(size - half)
    out.writelines(mask.pieces(_pieces(stream, half), torn=True))


def _pieces(stream: BinaryIO, count: int) -> Iterator[bytes]:
    while count and (chunk := stream.read(min(count, _CHUNK))):
        yield chunk
        count -= len(chunk)
