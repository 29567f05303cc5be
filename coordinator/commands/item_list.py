"""The items of a batch beside its outputs: with the handoffs, all that a new ledger is made of."""

import gzip
import json
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from coordinator.commands.record import BatchRecord, digest_of
from coordinator.domain.items import WorkItem
from coordinator.domain.paths import BatchKeys
from coordinator.errors import BadInput, ObjectMissing, StorageError
from coordinator.ledger import Ledger, PortableLedger
from coordinator.storage import Storage

_QUICKEST = 1  # level of compression


def keep_item_list(ledger: Ledger, storage: Storage, batch: str) -> None:
    """Put the items of a ledger into the output root, unless they are there."""
    key = BatchKeys(batch).item_list
    if storage.size(key) is not None:
        return
    try:
        with tempfile.TemporaryDirectory(prefix="items-") as folder:
            file = Path(folder) / "items.jsonl.gz"
            _pack(ledger, file)
            storage.upload(file, key)
    except OSError as error:
        raise StorageError(
            f"the item list of {batch} cannot be packed in {tempfile.gettempdir()}",
            why=error.strerror or str(error),
            hint="free that disk, or set TMPDIR to a folder on another; then --resume",
        ) from error


def _pack(ledger: Ledger, file: Path) -> None:
    with gzip.open(file, "wt", compresslevel=_QUICKEST, encoding="utf-8") as stream:
        stream.writelines(f"{document}\n" for document in PortableLedger(ledger).documents())


def kept_items(storage: Storage, record: BatchRecord) -> Iterator[WorkItem]:
    """The items that a batch was submitted with, in order.

    Raises:
        BadInput: they are not there, or are not those of the record.
    """
    if digest_of(item.id for item in _read(storage, record.batch)) != record.items_sha256:
        raise _unusable(record.batch, "it names other items than the batch was submitted with")
    return _read(storage, record.batch)


def _read(storage: Storage, batch: str) -> Iterator[WorkItem]:
    try:
        with storage.open(BatchKeys(batch).item_list) as packed, gzip.open(packed) as stream:
            for line in stream:
                yield WorkItem.from_json(json.loads(line))
    except ObjectMissing as error:
        raise _unusable(batch, "it is not there: a batch leaves it when it is started") from error
    except (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError) as error:
        raise _unusable(batch, str(error)) from error


def _unusable(batch: str, why: str) -> BadInput:
    return BadInput(
        f"the item list {BatchKeys(batch).item_list} in the output root cannot be used",
        why=why,
        hint="put it back; or submit what is left under a new name: outputs are safe",
    )
