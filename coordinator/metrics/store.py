"""Prepared references in a folder: made once, mapped into the memory of every process.

An entry is believed only if every byte of it is what its manifest says, and the manifest speaks of
these very references; whatever else lies there is made anew. The folder may be removed at any time.
"""

import hashlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from coordinator.files import sha256_of
from coordinator.metrics.metric import Metric, Prepared
from coordinator.metrics.texts import pack

_MANIFEST = "manifest.json"
_NAME = re.compile(r"\w+(?:\.\w+)*", re.ASCII)  # of an array, and so of its file
_ASIDE = ".part"
_LONG_AGO = 3600.0  # seconds; nobody writes for so long
_LARGEST_MANIFEST = 1_000_000  # bytes; hundreds of arrays


class _Array(BaseModel):
    """One `.npy` file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: str
    dtype: str
    shape: tuple[int, ...]


class _Manifest(BaseModel):
    """What an entry is about, and what its files hold."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    recipe: str
    references_sha256: str
    segments: int = Field(ge=0)
    references: int = Field(ge=1)
    arrays: dict[str, _Array]


class PreparedStore:
    """Prepared references by metric and text, below `folder`; many processes may share it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def prepared(self, metric: Metric, references: Sequence[Sequence[str]]) -> Prepared:
        """What `metric.prepare(references)` gives, from the folder where it is there and whole.

        A folder that cannot be written costs time and memory, and nothing else.
        """
        identity = (metric.recipe, _digest(references), len(references))
        entry = self._folder / hashlib.sha256(repr(identity).encode()).hexdigest()[:40]
        found = _read(entry, identity)
        if found is None:
            made = metric.prepare(references)
            with suppress(OSError):
                self._keep(entry, made, identity)
            found = _read(entry, identity) or made
        return found

    def tidy(self) -> None:
        """Remove what processes that were killed had begun to write."""
        for aside in self._folder.glob(f".*{_ASIDE}"):
            with suppress(OSError):
                if time.time() - aside.lstat().st_mtime > _LONG_AGO:
                    _remove(aside)

    def _keep(self, entry: Path, made: Prepared, identity: tuple[str, str, int]) -> None:
        """Written aside and renamed; another process may have been faster, with the same."""
        self._folder.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(dir=self._folder, prefix=".", suffix=_ASIDE))
        try:
            _write(aside, made, identity)
            _remove(entry)
            os.rename(aside, entry)
        finally:
            shutil.rmtree(aside, ignore_errors=True)


def _write(folder: Path, made: Prepared, identity: tuple[str, str, int]) -> None:
    for name, array in made.arrays.items():
        np.save(folder / f"{name}.npy", array, allow_pickle=False)
    manifest = _Manifest(
        recipe=identity[0],
        references_sha256=identity[1],
        references=made.references,
        segments=made.segments,
        arrays={name: _described(folder, name, array) for name, array in made.arrays.items()},
    )
    (folder / _MANIFEST).write_bytes(manifest.model_dump_json().encode())


def _described(folder: Path, name: str, array: NDArray[Any]) -> _Array:
    sha256 = sha256_of(folder / f"{name}.npy")
    return _Array(sha256=sha256, dtype=array.dtype.str, shape=array.shape)


def _read(entry: Path, identity: tuple[str, str, int]) -> Prepared | None:
    """The entry, or None where there is none that can be believed."""
    try:
        with (entry / _MANIFEST).open("rb") as stream:
            manifest = _Manifest.model_validate_json(stream.read(_LARGEST_MANIFEST))
        if (manifest.recipe, manifest.references_sha256, manifest.references) != identity:
            return None
        arrays = _mapped(entry, manifest.arrays)
    except (OSError, ValueError, EOFError, ValidationError):
        return None
    return Prepared(manifest.segments, manifest.references, arrays)


def _mapped(entry: Path, described: Mapping[str, _Array]) -> dict[str, NDArray[Any]]:
    """Raises ValueError: a file is not what the manifest says."""
    if not described or not all(map(_NAME.fullmatch, described)):
        raise ValueError("names that no metric gives")
    return {name: _map(entry / f"{name}.npy", array) for name, array in described.items()}


def _map(path: Path, described: _Array) -> NDArray[Any]:
    if sha256_of(path) != described.sha256:
        raise ValueError("damaged")
    empty = 0 in described.shape  # nothing cannot be mapped
    array: NDArray[Any] = np.load(path, mmap_mode=None if empty else "r", allow_pickle=False)
    if (array.dtype.str, array.shape) != (described.dtype, described.shape):
        raise ValueError("of another kind")
    return array


def _digest(references: Sequence[Sequence[str]]) -> str:
    """Of all sentences, and of where each begins and each text ends."""
    digest = hashlib.sha256()
    for text in references:
        for array in pack(text).values():
            digest.update(b"%d " % array.size)
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _remove(entry: Path) -> None:
    """Whatever lies there. One that another process has just made is made again at worst."""
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry, ignore_errors=True)
    else:
        entry.unlink(missing_ok=True)
