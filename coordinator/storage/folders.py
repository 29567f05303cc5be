"""Folders that a program must have on its disk, such as models, though they lie in a bucket."""

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

from coordinator.domain.endpoint import ENDPOINT
from coordinator.domain.manifest import Manifest, ManifestFile
from coordinator.domain.model_folder import HANDLER
from coordinator.errors import BadInput, ModelError, StorageUnavailable
from coordinator.files import sha256_of
from coordinator.parallel import Lanes
from coordinator.storage.hrefs import scheme_of
from coordinator.storage.keys import checked_key
from coordinator.storage.manifests import check_files, local_files, not_as_manifest
from coordinator.storage.model_cache import Wanted, model_cache

_FOREIGN_CODE = {
    HANDLER: "whatever lies there by then would run on the nodes",
    ENDPOINT: "the texts and a key would go wherever it says by then",
}
SKETCHED_BYTES = 32 << 20  # of each file: enough for the header of any weights
_FETCHES = Lanes(4)
_HELD = ExitStack()  # what this process uses to its end

Files = dict[str, tuple[int, str]]  # relative name -> bytes, version


def folder_address(text: str) -> str:
    """What names a folder for good: `s3://bucket/prefix` as it is, a path made absolute."""
    return text.rstrip("/") if scheme_of(text) == "s3" else str(Path(text).absolute())


def local_folder(address: str, manifest: Manifest | None = None) -> Path:
    """The folder at `address` on this disk, for as long as this process lives.

    One of a bucket is fetched once for each version. With a manifest, its files are what that says.

    Raises:
        BadInput: nothing is there, or names in it cannot be used as paths.
        ModelError: what is there is not what the manifest says.
        StorageError, CredentialsError: it cannot be read, or there is no room for it.
    """
    return _HELD.enter_context(held_folder(address, manifest))


@contextmanager
def held_folder(address: str, manifest: Manifest | None = None) -> Iterator[Path]:
    """As `local_folder`, for as long as the context is open."""
    if scheme_of(address) == "s3":
        with model_cache().held(_wanted(address, manifest)) as folder:
            yield folder
        return
    if manifest is not None:
        memo = model_cache().memo(f"at-{hashlib.sha256(address.encode()).hexdigest()[:32]}")
        if problems := check_files(Path(address), manifest, memo):
            raise not_as_manifest(address, problems)
    yield Path(address)


def refuse_foreign_code(address: str, folder: Path, *, trusted: bool) -> None:
    """Refuse what does whatever somebody has put into a bucket: a handler, or an endpoint.

    A folder of one's own needs no such word: whoever names it has it in hand.

    Raises:
        ModelError: it is one, and nobody said that it is trusted.
    """
    if trusted or scheme_of(address) != "s3":
        return
    name = next((name for name in _FOREIGN_CODE if (folder / name).is_file()), None)
    if name is None:
        return
    raise ModelError(
        f"the model {address} is a {name} from a bucket",
        why=_FOREIGN_CODE[name],
        hint="--trust-model-code, if only those write there whom you trust;"
        " models in safetensors or for CTranslate2 need no trust",
    )


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


def _wanted(address: str, manifest: Manifest | None) -> Wanted:
    """What is wanted of a bucket: what the manifest names, or all that is there now."""
    if manifest is not None:
        key = manifest.digest[:32]
        memo = model_cache().memo(key)
        return Wanted(
            key, manifest.size, lambda part: _go_on(address, manifest, part, memo), manifest
        )
    files = _files_at(address)
    size = sum(size for size, _ in files.values())
    key = _digest(address, files)
    return Wanted(key, size, lambda part: _fetch(address, files, part, _copy_whole))


def _digest(address: str, files: Files) -> str:
    return hashlib.sha256(repr((address, sorted(files.items()))).encode()).hexdigest()[:32]


def _go_on(address: str, manifest: Manifest, part: Path, memo: Path) -> None:
    """Fetch what a fetch that was killed has not, check all of it, and remember that in `memo`."""
    there = dict(local_files(part))
    whole = {file.name for file in manifest.files if _is_whole(there.get(file.name), file)}
    for name in there.keys() - whole:
        there[name].unlink()
    wanted = {file.name: (file.size, file.sha256) for file in manifest.files}
    missing = {name: found for name, found in wanted.items() if name not in whole}
    _fetch(address, missing, part, _copy_whole)
    if problems := check_files(part, manifest, memo):
        raise not_as_manifest(address, problems)


def _is_whole(path: Path | None, file: ManifestFile) -> bool:
    return path is not None and path.stat().st_size == file.size and sha256_of(path) == file.sha256


def _fetch(
    address: str, files: Files, folder: Path, copy: Callable[[BinaryIO, BinaryIO, int], None]
) -> None:
    from coordinator.storage.s3 import S3Storage

    storage = S3Storage.from_uri(address)

    def fetch(name: str) -> None:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with storage.open(name) as source, target.open("wb") as sink:
            copy(source, sink, files[name][0])

    _FETCHES.map(fetch, list(files))


def _copy_whole(source: BinaryIO, sink: BinaryIO, size: int) -> None:
    shutil.copyfileobj(source, sink)
    if sink.tell() != size:
        raise StorageUnavailable(
            "a file of the model changed while it was fetched",
            why=f"{sink.tell():,} bytes came, it had {size:,}",
        )


def _copy_beginning(source: BinaryIO, sink: BinaryIO, size: int) -> None:
    left = SKETCHED_BYTES
    while left and (piece := source.read(min(left, 1 << 20))):
        sink.write(piece)
        left -= len(piece)
    sink.truncate(size)
