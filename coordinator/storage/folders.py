"""Folders that a program must have on its disk, such as models, though they lie in a bucket."""

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import platformdirs

from coordinator.errors import BadInput
from coordinator.parallel import Lanes
from coordinator.storage.hrefs import scheme_of
from coordinator.storage.keys import checked_key

CACHE = "COORDINATOR_MODEL_CACHE"  # variable: folder of what was fetched
SKETCHED_BYTES = 32 << 20  # of each file: enough for the header of any weights
_FETCHES = Lanes(4)

Files = dict[str, tuple[int, str]]  # relative name -> bytes, version


def folder_address(text: str) -> str:
    """What names a folder for good: `s3://bucket/prefix` as it is, a path made absolute."""
    return text.rstrip("/") if scheme_of(text) == "s3" else str(Path(text).absolute())


def local_folder(address: str) -> Path:
    """The folder at `address` on this disk. One of a bucket is fetched once for each version.

    Raises:
        BadInput: nothing is there, or names in it cannot be used as paths.
        StorageError, CredentialsError: it cannot be read.
    """
    if scheme_of(address) != "s3":
        return Path(address)
    files = _files_at(address)
    folder = _cache() / _digest(address, files)
    with _alone(folder):
        if not folder.is_dir():
            _fetch_aside(address, files, folder)
    return folder


@contextmanager
def sketched_folder(address: str) -> Iterator[Path]:
    """A folder to check: as `local_folder` gives it, but only the beginning of large files is real.

    The rest of them reads as zeros and takes neither time nor disk; their sizes are right.
    """
    if scheme_of(address) != "s3":
        yield Path(address)
        return
    with tempfile.TemporaryDirectory(prefix="coordinator-") as folder:
        _fetch(address, _files_at(address), Path(folder), _copy_beginning)
        yield Path(folder)


def _files_at(address: str) -> Files:
    from coordinator.storage.s3 import S3Storage  # boto3 takes a while to import

    files = {
        checked_key(key): found
        for key, found in S3Storage.from_uri(address).versions().items()
        if not key.endswith("/")
    }
    if not files:
        raise BadInput(f"nothing is at {address}", hint="check bucket and prefix")
    return files


def _digest(address: str, files: Files) -> str:
    return hashlib.sha256(repr((address, sorted(files.items()))).encode()).hexdigest()[:32]


def _cache() -> Path:
    given = os.environ.get(CACHE)
    folder = Path(given) if given else platformdirs.user_cache_path("coordinator") / "models"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Only one process at a time makes a folder; the others wait and find it there."""
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fetch_aside(address: str, files: Files, folder: Path) -> None:
    aside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".part-"))
    try:
        _fetch(address, files, aside, shutil.copyfileobj)
        aside.rename(folder)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise


def _fetch(
    address: str, files: Files, folder: Path, copy: Callable[[BinaryIO, BinaryIO], None]
) -> None:
    from coordinator.storage.s3 import S3Storage

    storage = S3Storage.from_uri(address)

    def fetch(name: str) -> None:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with storage.open(name) as source, target.open("wb") as sink:
            copy(source, sink)
            sink.truncate(files[name][0])

    _FETCHES.map(fetch, list(files))


def _copy_beginning(source: BinaryIO, sink: BinaryIO) -> None:
    left = SKETCHED_BYTES
    while left and (piece := source.read(min(left, 1 << 20))):
        sink.write(piece)
        left -= len(piece)
