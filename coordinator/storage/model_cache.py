"""Models of a bucket as they lie on a node: fetched once, shared by its dispatches, bounded.

A copy `<key>/` is made aside (`.part-<key>/`) and renamed when it is whole. `<key>.lock` is held
shared by whoever uses the copy and alone by whoever makes or removes it; locks end with their
process, so a kill at any point leaves at worst a part, which the next fetch of that model goes on
with or the next need of room removes.
"""

import fcntl
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from coordinator.domain.manifest import Manifest
from coordinator.errors import StorageError, StorageUnavailable
from coordinator.files import write_whole
from coordinator.storage.manifests import check_files, local_files, local_manifest

FOLDER = "COORDINATOR_MODEL_CACHE"  # variable: where the copies are
LIMIT = "COORDINATOR_MODEL_CACHE_GB"  # variable: how large they may be together
DEFAULT_GB = 100.0
_PART = ".part-"
_OTHERS_LEAVE = 60.0  # seconds: so long do processes look at a damaged copy, which use none
_LOOK = 0.1  # seconds
_FETCHES = 4  # of one model in a row; others may need its room in between


@dataclass(frozen=True)
class Wanted:
    """A model that has to be here.

    Attributes:
        key: the name of its copy: another for each version.
        size: bytes of all its files.
        fetch: fills a folder, which may hold what a killed fetch had left.
        manifest: what the files must be; None = what came with the first fetch.
    """

    key: str
    size: int
    fetch: Callable[[Path], None]
    manifest: Manifest | None = None


class ModelCache:
    """A folder of copies."""

    def __init__(self, folder: Path, limit: int, patience: float = _OTHERS_LEAVE) -> None:
        """`limit` in bytes; what is in use stays beyond it. `patience` in seconds."""
        self._folder, self._limit, self._patience = folder, limit, patience

    @contextmanager
    def held(self, wanted: Wanted) -> Iterator[Path]:
        """The copy, whole and checked; it stays there as long as this context is open.

        Raises:
            StorageError: no room, or the cache cannot be written.
            StorageUnavailable: the copy is damaged and in use, or never stays whole.

        What `fetch` raises goes through.
        """
        with ExitStack() as stack:
            with self._in_words():
                self._folder.mkdir(parents=True, exist_ok=True)
                lock = stack.enter_context(_opened(self._lock(wanted.key)))
                self._make_sure(wanted, lock)
            yield self._copy(wanted.key)
            with suppress(OSError):
                os.utime(lock)

    def memo(self, name: str) -> Path:
        """Where it is remembered what was checked under this name."""
        return self._folder / f"{name}.checked"

    def _make_sure(self, wanted: Wanted, lock: int) -> None:
        """Returns with the lock shared and the copy whole."""
        for _ in range(_FETCHES):
            fcntl.flock(lock, fcntl.LOCK_SH)
            if self._is_whole(wanted):
                os.utime(lock)  # the last use: see _oldest
                return
            fcntl.flock(lock, fcntl.LOCK_UN)
            self._take_alone(wanted.key, lock)
            if not self._is_whole(wanted):  # nobody else has made it meanwhile
                self._make(wanted)
            fcntl.flock(lock, fcntl.LOCK_UN)
        raise StorageUnavailable(
            f"the model's copy {self._copy(wanted.key)} does not stay as it was fetched",
            why=f"it was fetched {_FETCHES} times",
            hint="check the node's disk and memory; and the size of the cache, if models change"
            " all the time",
        )

    def _take_alone(self, key: str, lock: int) -> None:
        """Wait for whoever makes the copy; but not for those who use it, damaged as it is."""
        until = time.monotonic() + self._patience
        while not _is_free(lock):
            if self._copy(key).is_dir() and time.monotonic() > until:
                raise StorageUnavailable(
                    f"the model's copy {self._copy(key)} is damaged",
                    why="it cannot be fetched anew: other jobs use it",
                    hint="it is replaced when they have ended; check the node's disk",
                )
            time.sleep(_LOOK)

    def _is_whole(self, wanted: Wanted) -> bool:
        copy = self._copy(wanted.key)
        if not copy.is_dir():
            return False
        manifest = wanted.manifest or self._kept_manifest(wanted.key)
        return manifest is not None and not check_files(copy, manifest, self.memo(wanted.key))

    # making and removing, with the copy's lock held alone

    def _make(self, wanted: Wanted) -> None:
        part = self._part(wanted.key)
        _put_aside(self._copy(wanted.key), part)
        self._make_room(wanted)
        if wanted.manifest is None:  # nothing tells what of it is whole
            shutil.rmtree(part, ignore_errors=True)
        part.mkdir(exist_ok=True)
        try:
            wanted.fetch(part)
            self._keep_manifest(wanted, part)
            part.rename(self._copy(wanted.key))
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise

    def _make_room(self, wanted: Wanted) -> None:
        """Remove what was not used for longest, as far as the limit and the disk need it."""
        with _opened(self._folder / "room.lock") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            sizes = {key: self._size(key) for key in self._oldest() if key != wanted.key}
            used = sum(sizes.values())
            for key, size in sizes.items():
                missing = wanted.size - shutil.disk_usage(self._folder).free
                if max(used + wanted.size - self._limit, missing) <= 0:
                    break
                used -= size if self._remove(key) else 0
            self._refuse_full_disk(wanted)
            self._reserve(wanted)

    def _refuse_full_disk(self, wanted: Wanted) -> None:
        there = sum(path.stat().st_size for _, path in local_files(self._part(wanted.key)))
        free = shutil.disk_usage(self._folder).free + there
        if free < wanted.size:
            raise StorageError(
                f"the model does not fit into {self._folder}",
                why=f"it has {wanted.size:,} bytes, {free:,} are free",
                hint=f"free the disk, or choose another: {FOLDER}",
            )

    def _remove(self, key: str) -> bool:
        """Remove a copy that nobody uses or makes; False where somebody does."""
        with _opened(self._lock(key)) as lock:
            if not _is_free(lock):
                return False
            _put_aside(self._copy(key), self._part(key))
            shutil.rmtree(self._part(key), ignore_errors=True)
            self._notes(key).unlink(missing_ok=True)
            self.memo(key).unlink(missing_ok=True)
            return True

    # what is known of each copy

    def _oldest(self) -> list[str]:
        """The keys of what is there or being made, the one first that was not used for longest.

        What else lies in the folder that somebody chose for the cache has no lock, and stays.
        """
        folders = [path.name for path in self._folder.iterdir() if path.is_dir()]
        own = [name for name in folders if name.startswith(_PART) or self._lock(name).is_file()]
        keys = {name.removeprefix(_PART) for name in own}
        return sorted(keys, key=lambda key: (_changed_at(self._lock(key)), key))

    def _size(self, key: str) -> int:
        """Bytes: as they will be, where it is still being fetched."""
        size = self._read_notes(key).get("size")
        if isinstance(size, int):
            return size
        copy = self._copy(key) if self._copy(key).is_dir() else self._part(key)
        return sum(path.stat().st_size for _, path in local_files(copy))

    def _reserve(self, wanted: Wanted) -> None:
        self._part(wanted.key).mkdir(exist_ok=True)
        write_whole(self._notes(wanted.key), json.dumps({"size": wanted.size}).encode())

    def _keep_manifest(self, wanted: Wanted, part: Path) -> None:
        """What came, where nobody knew before what should come: later uses are checked by it."""
        if wanted.manifest is None:
            manifest = local_manifest(part).model_dump(mode="json")
            notes = {"size": wanted.size, "manifest": manifest}
            write_whole(self._notes(wanted.key), json.dumps(notes).encode())

    def _kept_manifest(self, key: str) -> Manifest | None:
        try:
            return Manifest.model_validate(self._read_notes(key).get("manifest"))
        except ValueError:
            return None

    def _read_notes(self, key: str) -> dict[str, object]:
        try:
            found = json.loads(self._notes(key).read_bytes())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def _copy(self, key: str) -> Path:
        return self._folder / key

    def _part(self, key: str) -> Path:
        return self._folder / f"{_PART}{key}"

    def _lock(self, key: str) -> Path:
        return self._folder / f"{key}.lock"

    def _notes(self, key: str) -> Path:
        return self._folder / f"{key}.json"

    @contextmanager
    def _in_words(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StorageError(
                f"the cache of models {self._folder} cannot be used",
                why=error.strerror or str(error),
                hint=f"free the disk, check the rights to it, or choose another: {FOLDER}",
            ) from error


def model_cache() -> ModelCache:
    """The cache that the environment names. Raises StorageError: its size is no number."""
    given = os.environ.get(FOLDER)
    folder = Path(given) if given else platformdirs.user_cache_path("coordinator") / "models"
    return ModelCache(folder, int(_gigabytes(os.environ.get(LIMIT) or str(DEFAULT_GB)) * 1e9))


def _gigabytes(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = -1.0
    if not 0 < found < 1e9:
        raise StorageError(f"{LIMIT}={text!r} is no size", hint="a number of gigabytes, say 100")
    return found


def _put_aside(copy: Path, part: Path) -> None:
    """A copy that shall not be used any more becomes a part."""
    if copy.is_dir():
        shutil.rmtree(part, ignore_errors=True)
        copy.rename(part)


def _changed_at(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def _is_free(lock: int) -> bool:
    """Take a lock alone, if nobody has it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    """A file to be locked; what is locked is free again when it is closed."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
