"""Files that are there whole or not at all, and which files they are."""

import hashlib
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


def sha256_of(path: Path) -> str:
    """The hash of a file's bytes, in hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def file_in_place_of(folder: Path) -> Path | None:
    """The file that `folder` is, or lies in; None = it is or can be a folder."""
    return next((path for path in (folder, *folder.parents) if os.path.isfile(path)), None)


@contextmanager
def aside(target: Path, mode: int = 0o644) -> Iterator[BinaryIO]:
    """A file to be filled; when it is whole, it takes the place of `target`."""
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
