"""A mapping that lies in a file without a name: a batch may have a million items."""

import json
import sqlite3
import weakref
from collections.abc import Callable, ItemsView, Iterator, MutableMapping, ValuesView
from typing import Any, TypeVar

from coordinator.errors import UsageError

V = TypeVar("V")

_CHUNK = 1_000  # keys that are read together
_CACHE_KIB = 16_000  # what of it is kept in memory


class StoredMap(MutableMapping[str, V]):
    """As a dict, in the order in which keys were first set; and memory stays as it is.

    It may be changed while it is iterated over. The file is gone with the last reference to it.
    """

    def __init__(
        self,
        to_json: Callable[[V], Any] = lambda value: value,
        of_json: Callable[[Any], V] = lambda value: value,
    ) -> None:
        """`to_json`, `of_json`: from a value to plain JSON and back."""
        self._to_json, self._of_json = to_json, of_json
        self._count = 0
        # One thread at a time has it; which one lets go of it last is not known.
        self._db = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        for line in ("journal_mode = OFF", "synchronous = OFF", f"cache_size = -{_CACHE_KIB}"):
            self._db.execute(f"PRAGMA {line}")
        self._db.execute("CREATE TABLE entries (key BLOB UNIQUE NOT NULL, value TEXT) STRICT")
        self._db.execute("BEGIN")  # and never commits: nobody else will read it
        self.close = weakref.finalize(self, self._db.close)  # it is gone then, and its file too

    def __getitem__(self, key: str) -> V:
        row = self._run("SELECT value FROM entries WHERE key = ?", (_bytes(key),)).fetchone()
        if row is None:
            raise KeyError(key)
        return self._of_json(json.loads(row[0]))

    def __contains__(self, key: object) -> bool:
        if not isinstance(key, str):
            return False
        found = self._run("SELECT 1 FROM entries WHERE key = ?", (_bytes(key),))
        return found.fetchone() is not None

    def __setitem__(self, key: str, value: V) -> None:
        if not self.add(key, value):
            values = (json.dumps(self._to_json(value)), _bytes(key))
            self._run("UPDATE entries SET value = ? WHERE key = ?", values)

    def add(self, key: str, value: V) -> bool:
        """Set the value of a new key; False where the key was there, and is as it was."""
        values = (_bytes(key), json.dumps(self._to_json(value)))
        added = self._run("INSERT OR IGNORE INTO entries VALUES (?, ?)", values).rowcount
        self._count += added
        return bool(added)

    def __delitem__(self, key: str) -> None:
        gone = self._run("DELETE FROM entries WHERE key = ?", (_bytes(key),)).rowcount
        if not gone:
            raise KeyError(key)
        self._count -= gone

    def __iter__(self) -> Iterator[str]:
        return (key.decode("utf-8", "surrogatepass") for _, key in self._rows("key"))

    def items(self) -> ItemsView[str, V]:
        return _Items(self)

    def values(self) -> ValuesView[V]:
        return _Values(self)

    def each(self) -> Iterator[tuple[str, V]]:
        """Keys and values."""
        for _, key, value in self._rows("key, value"):
            yield key.decode("utf-8", "surrogatepass"), self._of_json(json.loads(value))

    def __len__(self) -> int:
        return self._count

    def _rows(self, columns: str) -> Iterator[Any]:
        rows = f"SELECT rowid, {columns} FROM entries WHERE rowid > ? ORDER BY rowid LIMIT ?"
        last = 0
        while found := self._run(rows, (last, _CHUNK)).fetchall():
            yield from found
            last = found[-1][0]

    def _run(self, statement: str, values: tuple[object, ...]) -> sqlite3.Cursor:
        try:
            return self._db.execute(statement, values)
        except sqlite3.OperationalError as error:
            raise UsageError(
                "the items cannot be put into a temporary file",
                why=str(error),
                hint="make room in the folder for such files, or name another: TMPDIR=FOLDER",
            ) from error


class _Items(ItemsView[str, V]):
    _mapping: StoredMap[V]

    def __iter__(self) -> Iterator[tuple[str, V]]:
        return self._mapping.each()


class _Values(ValuesView[V]):
    _mapping: StoredMap[V]

    def __iter__(self) -> Iterator[V]:
        return (value for _, value in self._mapping.each())


def _bytes(key: str) -> bytes:
    return key.encode("utf-8", "surrogatepass")  # a name in a file system need not be UTF-8
