"""Event files for TensorBoard: put in the store as they grow, and at the end of their item.

A job writes them into the folder that `COORDINATOR_TENSORBOARD_DIR` names. They are copied as bytes
and never read. Nothing about them fails an item.
"""

import os
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from coordinator.domain.curves import MOST_BYTES, MOST_FILES, is_event_file
from coordinator.domain.handoff import Handoff, HandoffItem
from coordinator.domain.paths import BatchKeys
from coordinator.storage import Storage
from coordinator.workers.logs import WorkerLog

_SECONDS = 5.0  # between two looks
_COST = 20  # a look is followed by so many times its own duration without one


@dataclass
class _Watched:
    """The folder of one item; its lock keeps an older copy from taking the place of a newer."""

    folder: Path
    keys: str  # prefix of those in the store
    sizes: dict[str, int] = field(default_factory=dict)  # name -> bytes that are in the store
    lock: threading.Lock = field(default_factory=threading.Lock)


class Curves:
    """The event files of a dispatch. A context manager around the work; used by many threads."""

    def __init__(self, handoff: Handoff, storage: Storage) -> None:
        self._storage, self._step = storage, handoff.step
        self._keys, self._log = BatchKeys(handoff.batch), WorkerLog(dispatch=handoff.dispatch)
        self._watched: dict[str, _Watched] = {}
        self._stop, self._is_well = threading.Event(), True
        self._thread = threading.Thread(target=self._watch, name="curves", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()

    def watch(self, item: HandoffItem, folder: Path) -> None:
        """Make the folder, and look into it from now on."""
        folder.mkdir()
        keys = self._keys.curves_of(item.item, self._step, item.attempt)
        self._watched[item.item] = _Watched(folder, keys)

    def finish(self, item: HandoffItem) -> None:
        """Put what is there by now in the store, and look no more."""
        if watched := self._watched.pop(item.item, None):
            self._save(watched)

    def _watch(self) -> None:
        pause = _SECONDS
        while not self._stop.wait(pause):
            began = time.monotonic()
            for watched in list(self._watched.values()):
                self._save(watched)
            pause = max(_SECONDS, _COST * (time.monotonic() - began))

    def _save(self, watched: _Watched) -> None:
        with watched.lock:
            try:
                for path, size in _event_files(watched.folder):
                    if size != watched.sizes.get(path.name):
                        self._storage.upload(path, f"{watched.keys}{path.name}")
                        watched.sizes[path.name] = size
            except Exception as error:  # curves are no reason to fail
                self._complain(error)

    def _complain(self, error: Exception) -> None:
        """Once."""
        if self._is_well:
            self._log.warning("event files not stored", error=f"{type(error).__name__}: {error}")
        self._is_well = False


def _event_files(folder: Path) -> Iterator[tuple[Path, int]]:
    """The plain ones among its files, as many as are kept, and their sizes in bytes."""
    with suppress(FileNotFoundError):  # its item has ended
        names = sorted(name for name in os.listdir(folder) if is_event_file(name))
        for name in names[:MOST_FILES]:
            found = (folder / name).lstat()
            if stat.S_ISREG(found.st_mode) and 0 < found.st_size <= MOST_BYTES:
                yield folder / name, found.st_size
