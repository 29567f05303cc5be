"""A model's manifest: which files it is made of, how large each is, and what it hashes to.

It lies beside the files as `model-manifest.json`, and travels in the batch's record and handoffs.
"""

import hashlib
from collections.abc import Iterable
from functools import cached_property
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from coordinator.domain.faults import first_error
from coordinator.errors import ModelError

MANIFEST = "model-manifest.json"
MAX_FILES = 2000  # it is part of every handoff
MAX_BYTES = 1 << 20  # of the manifest itself
_MAX_NAME = 500  # characters
_COMPILED = "__pycache__"


class ManifestFile(BaseModel):
    """One file of a model. `name` is relative, with `/` between its parts; `size` is in bytes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    size: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")

    @field_validator("name")
    @classmethod
    def _name_stays_inside(cls, name: str) -> str:
        if not is_model_file(name):
            raise ValueError("not the name of a file of a model")
        return name


class Manifest(BaseModel):
    """All files of one model, sorted by name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    files: tuple[ManifestFile, ...] = Field(min_length=1, max_length=MAX_FILES)

    @field_validator("files")
    @classmethod
    def _names_can_lie_together(cls, files: tuple[ManifestFile, ...]) -> tuple[ManifestFile, ...]:
        names = {file.name for file in files}
        if len(names) < len(files):
            raise ValueError("a file is named twice")
        if any(folder in names for name in names for folder in _folders_of(name)):
            raise ValueError("a file is named as a folder too")
        return tuple(sorted(files, key=lambda file: file.name))

    @classmethod
    def of(cls, files: Iterable[ManifestFile]) -> Self:
        """Raises ModelError: there are none, or too many."""
        try:
            return cls(files=tuple(files))
        except ValidationError as error:
            raise ModelError("no manifest can be made", why=first_error(error)) from error

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    @cached_property
    def digest(self) -> str:
        """What names this very model: the same for the same files, wherever they lie."""
        lines = (f"{file.sha256} {file.size} {file.name}\n" for file in self.files)
        return hashlib.sha256("".join(lines).encode("utf-8", "surrogatepass")).hexdigest()

    def to_bytes(self) -> bytes:
        return self.model_dump_json(indent=1).encode() + b"\n"


def parse_manifest(data: bytes, where: str) -> Manifest:
    """The manifest in `data`, which was found at `where`. Raises ModelError: it is none."""
    try:
        if len(data) > MAX_BYTES:
            raise ModelError(f"{where} cannot be used", why=f"it is larger than {MAX_BYTES} bytes")
        return Manifest.model_validate_json(data)
    except ValidationError as error:
        hint = f"make it again: coordinator model-manifest {where.rpartition('/')[0]}"
        raise ModelError(f"{where} cannot be used", why=first_error(error), hint=hint) from error


def is_model_file(name: str) -> bool:
    """Whether a file of this relative name is a part of the model it lies with.

    What is hidden, what Python has compiled and the manifest itself are none.
    """
    parts = name.split("/")
    if name == MANIFEST or len(name) > _MAX_NAME or not name.isprintable() or "\\" in name:
        return False
    return all(part and not part.startswith(".") and part != _COMPILED for part in parts)


def _folders_of(name: str) -> list[str]:
    parts = name.split("/")[:-1]
    return ["/".join(parts[:end]) for end in range(1, len(parts) + 1)]
