"""A file out of a store, whole or not at all."""

import shutil
from pathlib import Path

import stamina

from coordinator.errors import StorageUnavailable
from coordinator.files import aside
from coordinator.storage import Storage

_CHUNK = 1 << 20


@stamina.retry(on=StorageUnavailable, attempts=4)
def copied(storage: Storage, key: str, target: Path) -> int:
    """Bring one object to `target`; its size in bytes.

    Raises:
        OSError: the file cannot be written.
        ObjectMissing, StorageError: it cannot be read.
    """
    with aside(target) as sink, storage.open(key) as source:
        shutil.copyfileobj(source, sink, _CHUNK)
        return sink.tell()
