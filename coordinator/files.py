"""Files that are there whole or not at all; what was there before stays until then."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


def write_whole(target: Path, data: bytes, mode: int = 0o644) -> None:
    """Write `target`, and its folder where it is missing. Nothing waits for the disk."""
    with aside(target, mode) as out:
        out.write(data)


@contextmanager
def aside(target: Path, mode: int = 0o644) -> Iterator[BinaryIO]:
    """A file to be filled, put in place of `target` when it is whole."""
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor, new = tempfile.mkstemp(dir=target.parent, prefix=".", suffix=".part")
    try:
        with os.fdopen(descriptor, "wb") as out:
            yield out
        os.chmod(new, mode)
        os.replace(new, target)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(new)
        raise
