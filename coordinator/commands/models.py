"""The model of a batch, checked before anything is dispatched, and its manifest."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from coordinator.domain.manifest import MANIFEST, Manifest
from coordinator.domain.model_folder import LANGUAGES, ModelKind, check_model
from coordinator.errors import CredentialsError, ModelError, Problem, StorageError
from coordinator.parallel import ordered_map
from coordinator.storage import (
    SKETCHED_BYTES,
    Storage,
    folder_address,
    is_remote,
    open_storage,
    refuse_foreign_code,
    sketched_folder,
)
from coordinator.storage.manifests import (
    check_files,
    hash_problem,
    local_manifest,
    local_sizes,
    not_as_manifest,
    read_manifest,
    size_problems,
    stored_manifest,
)

OnBytes = Callable[[int], None]
_OF_WEIGHTS = ("huggingface", "ctranslate2")  # others are small, and may be mended on the way


@dataclass(frozen=True)
class Model:
    """Where a model lies, and what it is; "" = the pipeline needs none."""

    folder: str
    kind: str
    manifest: Manifest | None = None  # None = nobody knows what its files must be


def checked_model(
    location: str,
    *,
    trust_code: bool = False,
    hashed: bool = True,
    on_bytes: OnBytes = lambda _count: None,
) -> Model:
    """The model in a folder, here or in a bucket, with its manifest.

    Files here are checked by hash, those of a bucket by size; where they are used, both are.
    Weights here that have no manifest are given one, which the batch takes along.

    Args:
        location: a folder, or s3://bucket/prefix.
        trust_code: whether a handler may come from a bucket.
        hashed: False = a quick look: only sizes are compared, and no manifest is made.
        on_bytes: is told of what is read for hashes.

    Raises:
        UsageError: it cannot be used.
    """
    address = folder_address(location)
    with _readable(address):
        with sketched_folder(address) as folder, _called(address, folder):
            kind = _checked(address, folder)
            refuse_foreign_code(address, folder, trusted=trust_code)
        manifest = _manifest(address, on_bytes if hashed else None)
        if manifest is None and hashed and kind in _OF_WEIGHTS and not is_remote(address):
            manifest = _of_weights(local_manifest(Path(address), on_bytes))
        return Model(address, kind, manifest)


def make_manifest(location: str, on_bytes: OnBytes = lambda _count: None) -> Manifest:
    """Read all files of a model, here or in a bucket, and put their manifest beside them.

    Raises:
        UsageError: it is no model, or its folder cannot be read or written.
    """
    address = folder_address(location)
    with _readable(address):
        with sketched_folder(address) as folder, _called(address, folder):
            _checked(address, folder)
        manifest = _made(address, on_bytes)
        open_storage(address).write(MANIFEST, manifest.to_bytes())
    return manifest


def compare_manifest(location: str, on_bytes: OnBytes = lambda _count: None) -> Manifest:
    """The manifest of a model, once all its files were read and found to be what it says.

    Raises:
        UsageError: they are not, or there is none.
    """
    address = folder_address(location)
    with _readable(address):
        manifest = read_manifest(open_storage(address))
        if manifest is None:
            raise ModelError(
                f"the model {address} has no manifest",
                hint=f"coordinator model-manifest {address} makes one",
            )
        _refuse_other(address, manifest, _made(address, on_bytes))
    return manifest


def _checked(address: str, folder: Path) -> ModelKind:
    """The kind of the model at `address`, of which `folder` holds a sketch."""
    return check_model(folder, SKETCHED_BYTES if is_remote(address) else None)


def _made(address: str, on_bytes: OnBytes) -> Manifest:
    if is_remote(address):
        return stored_manifest(open_storage(address), on_bytes)
    return local_manifest(Path(address), on_bytes)


def _refuse_other(address: str, manifest: Manifest, found: Manifest) -> None:
    """What lies there besides what the manifest names is no part of the model."""
    there = {file.name: file for file in found.files}
    sizes = {name: file.size for name, file in there.items()}
    problems = size_problems(manifest, sizes, address) or [
        hash_problem(address, file) for file in manifest.files if there[file.name] != file
    ]
    if problems:
        raise not_as_manifest(address, problems)


def _manifest(address: str, on_bytes: OnBytes | None) -> Manifest | None:
    """The manifest that lies there, checked; None where there is none."""
    storage = open_storage(address)
    manifest = read_manifest(storage)
    if manifest is not None and (problems := _problems(storage, manifest, on_bytes)):
        raise not_as_manifest(address, problems)
    return manifest


def _problems(storage: Storage, manifest: Manifest, on_bytes: OnBytes | None) -> list[Problem]:
    folder = Path(storage.uri)
    if is_remote(storage.uri):
        return size_problems(manifest, _stored_sizes(storage, manifest), storage.uri)
    if on_bytes is None:
        return size_problems(manifest, local_sizes(folder, manifest), storage.uri)
    return check_files(folder, manifest, None, on_bytes)


def _stored_sizes(storage: Storage, manifest: Manifest) -> dict[str, int]:
    names = [file.name for file in manifest.files]
    found = zip(names, ordered_map(storage.size, names), strict=True)
    return {name: size for name, size in found if size is not None}


def _of_weights(manifest: Manifest) -> Manifest:
    """Without what its user is told to mend while the batch runs: the table of languages."""
    return Manifest.of(file for file in manifest.files if file.name != LANGUAGES)


@contextmanager
def _readable(address: str) -> Iterator[None]:
    try:
        yield
    except (OSError, StorageError, CredentialsError) as error:
        raise ModelError(
            f"the model {address} cannot be read or written",
            why=str(error),
            hint=getattr(error, "hint", "") or "check the path and its permissions",
        ) from error


@contextmanager
def _called(address: str, folder: Path) -> Iterator[None]:
    """Faults of a folder's copy, told by its real address."""

    def real(text: str) -> str:
        return text.replace(str(folder), address)

    try:
        yield
    except ModelError as error:
        problems = [replace(p, where=real(p.where), reason=real(p.reason)) for p in error.problems]
        raise ModelError(
            real(error.what), why=real(error.why), hint=error.hint, problems=problems
        ) from error
