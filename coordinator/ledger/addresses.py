"""Addresses that hold a password or a signature: beside the ledger, in a file for its owner alone.

The ledger has them without what is secret, so that a copy of it gives nothing away. They are needed
for as long as the items may be sent.
"""

import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

from coordinator.domain.items import WorkItem
from coordinator.secrecy import MARK
from coordinator.secrecy.sources import without_secrets

FILE = "addresses.db"
_TABLE = (
    "CREATE TABLE addresses (item TEXT, asset TEXT, address TEXT NOT NULL,"
    " PRIMARY KEY (item, asset)) WITHOUT ROWID, STRICT"
)


def set_aside(folder: Path, items: Iterable[WorkItem]) -> Iterator[WorkItem]:
    """The items as the ledger may have them; what is secret of their addresses goes into `folder`.

    It is all there when the last item has been taken.
    """
    keeper: _Keeper | None = None
    for item in items:
        bare = {name: without_secrets(address) for name, address in item.assets.items()}
        if bare != item.assets:
            keeper = keeper or _Keeper(folder / FILE)
            keeper.add(item, bare)
            item = replace(item, assets=bare)
        yield item
    if keeper:
        keeper.finish()


def whole(folder: Path, item: WorkItem) -> Mapping[str, str]:
    """The addresses of an item of the ledger in `folder`, as the catalog had them.

    Those that were set aside elsewhere stay as the ledger has them.
    """
    path = folder / FILE
    if not any(MARK in address for address in item.assets.values()) or not path.exists():
        return item.assets
    query = "SELECT asset, address FROM addresses WHERE item = ?"
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
        return {**item.assets, **dict(db.execute(query, (item.id,)))}


def kept(folder: Path) -> bytes:
    """All that is set aside in `folder`; b"" = nothing is."""
    with suppress(FileNotFoundError):
        return (folder / FILE).read_bytes()
    return b""


def put_back(folder: Path, data: bytes) -> None:
    """What `kept` gave elsewhere."""
    with os.fdopen(_new_file(folder / FILE), "wb") as out:
        out.write(data)


def forget(folder: Path) -> None:
    """No item will be sent again."""
    with suppress(FileNotFoundError):
        (folder / FILE).unlink()


def _new_file(path: Path) -> int:
    """A descriptor of an empty file; at no moment may others read it."""
    with suppress(FileNotFoundError):
        path.unlink()  # of a start that was cut short
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)


class _Keeper:
    """Writes the file anew, in one transaction."""

    def __init__(self, path: Path) -> None:
        os.close(_new_file(path))
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("BEGIN")
        self._db.execute(_TABLE)

    def add(self, item: WorkItem, bare: Mapping[str, str]) -> None:
        kept = ((item.id, n, a) for n, a in item.assets.items() if a != bare[n])
        self._db.executemany("INSERT INTO addresses VALUES (?, ?, ?)", kept)

    def finish(self) -> None:
        self._db.execute("COMMIT")
        self._db.close()
