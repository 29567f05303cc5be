"""Objects as files below a folder."""

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from coordinator.errors import ObjectMissing, StorageError
from coordinator.files import aside
from coordinator.storage.keys import checked_folder, checked_key, checked_prefix


class LocalStorage:
    """A folder. Files are written aside and renamed.

    Below it no symbolic link is followed, and only plain files are objects: jobs write there.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()

    @property
    def uri(self) -> str:
        return str(self.root)

    def path(self, key: str) -> Path:
        """Where `key` lies. Raises StorageError for a key that would leave the folder."""
        *above, name = checked_key(key).split("/")
        folder = self.root
        for part in above:
            folder = folder / part
            if folder.is_symlink():
                raise StorageError(
                    f"{folder} is a symbolic link",
                    why="links below the output root are not followed",
                    hint="put the folder itself in its place",
                )
        return folder / name

    def read(self, key: str) -> bytes:
        with self.open(key) as stream:
            return stream.read()

    def open(self, key: str) -> BinaryIO:
        with self._translated(key):
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
            return os.fdopen(os.open(self._existing(key), flags), "rb")

    def write(self, key: str, data: bytes) -> None:
        with self._translated(key), aside(self.path(key)) as stream:
            stream.write(data)

    def upload(self, path: Path, key: str) -> None:
        with self._translated(key), aside(self.path(key)) as stream, path.open("rb") as source:
            shutil.copyfileobj(source, stream)

    def copy(self, source: str, target: str) -> None:
        """Objects never change once written, so both keys may share one file on disk."""
        with self._translated(source):
            origin, there = self._existing(source), self.path(target)
            there.parent.mkdir(parents=True, exist_ok=True)
            link = there.with_name(f".{there.name}.{os.getpid()}.link")
            link.unlink(missing_ok=True)
            try:
                os.link(origin, link, follow_symlinks=False)
            except FileNotFoundError:
                raise
            except OSError:  # a file system without hard links
                self.upload(origin, target)
                return
            os.replace(link, there)
            link.unlink(missing_ok=True)  # rename of two links to one file leaves both

    def size(self, key: str) -> int | None:
        with self._translated(key):
            try:
                return self._existing(key).lstat().st_size
            except (FileNotFoundError, NotADirectoryError):
                return None

    def _existing(self, key: str) -> Path:
        """Where the file `key` lies. Raises FileNotFoundError for a link, a pipe or a device."""
        path = self.path(key)
        if not stat.S_ISREG(path.lstat().st_mode):
            raise FileNotFoundError(f"{path} is no plain file: not opened")
        return path

    def list(self, prefix: str) -> Iterator[str]:
        above = checked_prefix(prefix).rpartition("/")[0]
        with self._translated(prefix):
            folder = self.path(f"{above}/x").parent if above else self.root
            yield from self._below(folder, f"{above}/" if above else "", prefix)

    def _below(self, folder: Path, start: str, prefix: str) -> Iterator[str]:
        """Keys in order: a folder stands where its name with a slash does."""
        for name, entry in sorted(_entries(folder)):
            key = start + name
            if not key.startswith(prefix):
                continue
            if name.endswith("/"):
                yield from self._below(Path(entry), key, prefix)
            elif not _is_aside(key):
                yield key

    def probe(self) -> None:
        there = next(p for p in (self.root, *self.root.parents) if p.exists() or p.is_symlink())
        with self._translated(str(there)), tempfile.TemporaryFile(dir=there) as file:
            file.write(b"probe")
            file.seek(0)
            file.read()

    def remove(self, key: str) -> None:
        with self._translated(key), suppress(FileNotFoundError, NotADirectoryError):
            self.path(key).unlink()

    def delete(self, prefix: str) -> int:
        count = sum(1 for _ in self.list(checked_folder(prefix)))
        with self._translated(prefix), suppress(FileNotFoundError):
            shutil.rmtree(self.path(f"{prefix}x").parent)
        return count

    @contextmanager
    def _translated(self, key: str) -> Iterator[None]:
        try:
            yield
        except (FileNotFoundError, NotADirectoryError) as error:
            raise ObjectMissing(f"{key} is not there", why=str(error)) from error
        except OSError as error:
            raise StorageError(
                f"{self.root / key} cannot be read or written",
                why=error.strerror or str(error),
                hint=f"check the disk, and the rights to {self.root}",
            ) from error


def _entries(folder: Path) -> Iterator[tuple[str, str]]:
    """Name (of folders with a slash) and path of the folders and plain files in a folder."""
    with suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield f"{entry.name}/", entry.path
            elif entry.is_file(follow_symlinks=False):
                yield entry.name, entry.path


def _is_aside(key: str) -> bool:
    name = key.rpartition("/")[2]
    return name.startswith(".") and name.endswith((".part", ".link"))
