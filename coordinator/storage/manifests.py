"""Manifests of models: made from the files that lie somewhere, read, and checked against them."""

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from coordinator.domain.manifest import (
    MANIFEST,
    MAX_BYTES,
    Manifest,
    ManifestFile,
    is_model_file,
    parse_manifest,
)
from coordinator.errors import ModelError, ObjectMissing, Problem
from coordinator.files import write_whole
from coordinator.storage.base import Storage

OnBytes = Callable[[int], None]  # is told of bytes as they are read

_BLOCK = 1 << 20
_BOOT = Path("/proc/sys/kernel/random/boot_id")


def local_manifest(folder: Path, on_bytes: OnBytes = lambda _count: None) -> Manifest:
    """What the files of `folder` come to. Raises ModelError: none are there, or too many."""
    return Manifest.of(
        ManifestFile(name=name, size=path.stat().st_size, sha256=_hash_of(path, on_bytes))
        for name, path in local_files(folder)
    )


def stored_manifest(storage: Storage, on_bytes: OnBytes = lambda _count: None) -> Manifest:
    """What the objects of a store come to: all of them are read. Raises as `local_manifest`."""
    names = [name for name in storage.list("") if is_model_file(name)]
    return Manifest.of(_stored_file(storage, name, on_bytes) for name in names)


def read_manifest(storage: Storage) -> Manifest | None:
    """The manifest that lies with a model; None where there is none. Raises ModelError."""
    try:
        with storage.open(MANIFEST) as stream:
            return parse_manifest(stream.read(MAX_BYTES + 1), f"{storage.uri}/{MANIFEST}")
    except ObjectMissing:
        return None


def local_files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Relative name and path of every file of a model. Links to files count as files."""
    for above, _, names in os.walk(folder):
        for name in names:
            path = Path(above, name)
            relative = path.relative_to(folder).as_posix()
            if is_model_file(relative) and path.is_file():
                yield relative, path


def size_problems(manifest: Manifest, sizes: dict[str, int], where: str) -> list[Problem]:
    """What is not as the manifest says, by the sizes of what is there: name -> bytes."""
    return [
        Problem(f"{where}/{file.name}", _size_fault(file, sizes.get(file.name)))
        for file in manifest.files
        if sizes.get(file.name) != file.size
    ]


def check_files(
    folder: Path, manifest: Manifest, memo: Path | None, on_bytes: OnBytes = lambda _count: None
) -> list[Problem]:
    """What in `folder` is not as the manifest says, by size and hash.

    What was found right is remembered in the file `memo`: files are not hashed again as long as
    neither they nor the machine's uptime show that anything was written since.
    """
    problems = size_problems(manifest, local_sizes(folder, manifest), str(folder))
    if problems or (memo is not None and _is_remembered(folder, manifest, memo)):
        return problems
    stamp = _stamp(folder, manifest)  # before: what is written meanwhile is looked at again
    problems = [
        hash_problem(str(folder), file)
        for file in manifest.files
        if _hash_of(folder / file.name, on_bytes) != file.sha256
    ]
    if memo is not None and not problems:
        with suppress(OSError):  # no place to remember it: it is hashed again
            write_whole(memo, stamp)
    return problems


def hash_problem(where: str, file: ManifestFile) -> Problem:
    return Problem(f"{where}/{file.name}", "its content is not what the manifest says")


def not_as_manifest(where: str, problems: list[Problem]) -> ModelError:
    return ModelError(
        f"the model {where} is not what its manifest says",
        why=str(problems[0]) if len(problems) == 1 else f"{len(problems)} files differ",
        hint="put the files back; or, for another model, make its manifest"
        " (coordinator model-manifest) and begin a batch of its own",
        problems=problems if len(problems) > 1 else (),
    )


def _size_fault(file: ManifestFile, found: int | None) -> str:
    if found is None:
        return "it is missing, though the manifest names it"
    return f"it has {found:,} bytes, the manifest says {file.size:,}"


def local_sizes(folder: Path, manifest: Manifest) -> dict[str, int]:
    """Name -> bytes of those of the manifest's files that are there."""
    paths = {file.name: folder / file.name for file in manifest.files}
    return {name: path.stat().st_size for name, path in paths.items() if path.is_file()}


def _is_remembered(folder: Path, manifest: Manifest, memo: Path) -> bool:
    try:
        return memo.read_bytes() == _stamp(folder, manifest)
    except OSError:
        return False


def _stamp(folder: Path, manifest: Manifest) -> bytes:
    """What changes when a file is written, or when the machine has started again."""
    states = [(folder / file.name).stat() for file in manifest.files]
    boot = _BOOT.read_text().strip() if _BOOT.exists() else ""
    marks = [[s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns] for s in states]
    return json.dumps({"manifest": manifest.digest, "boot": boot, "files": marks}).encode()


def _hash_of(path: Path, on_bytes: OnBytes) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
            on_bytes(len(block))
    return digest.hexdigest()


def _stored_file(storage: Storage, name: str, on_bytes: OnBytes) -> ManifestFile:
    digest, size = hashlib.sha256(), 0
    with storage.open(name) as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
            size += len(block)
            on_bytes(len(block))
    return ManifestFile(name=name, size=size, sha256=digest.hexdigest())
