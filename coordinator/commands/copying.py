"""A file out of a store, whole or not at all."""

import shutil
from pathlib import Path

from coordinator.errors import StorageUnavailable
from coordinator.files import aside
from coordinator.storage import Storage

_CHUNK = 1 << 20


def copied(storage: Storage, key: str, target: Path) -> int:
    """Bring one object to `target`; its size in bytes.

    Raises:
        OSError: the file cannot be written.
        ObjectMissing, StorageError: it cannot be read.
    """
    from coordinator.storage.again import again  # takes a while to import

    return again(on=StorageUnavailable)(_copied)(storage, key, target)


def _copied(storage: Storage, key: str, target: Path) -> int:
    with aside(target) as sink, storage.open(key) as source:
        shutil.copyfileobj(source, sink, _CHUNK)
        return sink.tell()
