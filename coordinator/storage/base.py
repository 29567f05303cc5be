"""What the project asks of an object store."""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Protocol


class Storage(Protocol):
    """Objects by key below one root. An object is there whole or not at all.

    Keys are `/`-separated and relative. Every method raises StorageUnavailable where another try
    may help, StorageError where none will.
    """

    @property
    def uri(self) -> str:
        """The root, as `open_storage` takes it."""
        ...

    def probe(self) -> None:
        """Write something, read it, remove it again; nothing is left. Raises StorageError."""
        ...

    def read(self, key: str) -> bytes:
        """The object's bytes. Raises ObjectMissing."""
        ...

    def open(self, key: str) -> BinaryIO:
        """A stream of the object's bytes. Raises ObjectMissing."""
        ...

    def write(self, key: str, data: bytes) -> None:
        """Put the object there, replacing what was there."""
        ...

    def upload(self, path: Path, key: str) -> None:
        """Put the file's content there."""
        ...

    def copy(self, source: str, target: str) -> None:
        """Put the object `source` at `target` as well. Raises ObjectMissing."""
        ...

    def size(self, key: str) -> int | None:
        """The object's size in bytes, or None if it is not there."""
        ...

    def list(self, prefix: str) -> Iterator[str]:
        """The keys that begin with `prefix`, sorted."""
        ...

    def remove(self, key: str) -> None:
        """Remove one object, if it is there."""
        ...

    def delete(self, prefix: str) -> int:
        """Remove every object below `prefix` (which ends with `/`); how many there were."""
        ...
