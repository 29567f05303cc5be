"""A mapping that lies in a file without a name: a batch may have a million items."""

import json
import sqlite3
import weakref
from collections.abc import Callable, Iterator, MutableMapping
from typing import Any, TypeVar

from coordinator.errors import UsageError

V = TypeVar("V")

_CHUNK = 1_000  # keys that are read together
_CACHE_KIB = 4_000  # what of it is kept in memory


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
        self._db = sqlite3.connect("", isolation_level=None)
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
        values = (_bytes(key), json.dumps(self._to_json(value)))
        added = self._run("INSERT OR IGNORE INTO entries VALUES (?, ?)", values).rowcount
        if not added:
            self._run("UPDATE entries SET value = ? WHERE key = ?", values[::-1])
        self._count += added

    def __delitem__(self, key: str) -> None:
        gone = self._run("DELETE FROM entries WHERE key = ?", (_bytes(key),)).rowcount
        if not gone:
            raise KeyError(key)
        self._count -= gone

    def __iter__(self) -> Iterator[str]:
        rows = "SELECT rowid, key FROM entries WHERE rowid > ? ORDER BY rowid LIMIT ?"
        last = 0
        while found := self._run(rows, (last, _CHUNK)).fetchall():
            yield from (key.decode("utf-8", "surrogatepass") for _, key in found)
            last = found[-1][0]

    def __len__(self) -> int:
        return self._count

    def _run(self, statement: str, values: tuple[object, ...]) -> sqlite3.Cursor:
        try:
            return self._db.execute(statement, values)
        except sqlite3.OperationalError as error:
            raise UsageError(
                "the items cannot be put into a temporary file",
                why=str(error),
                hint="make room in the folder for such files, or name another: TMPDIR=FOLDER",
            ) from error


def _bytes(key: str) -> bytes:
    return key.encode("utf-8", "surrogatepass")  # a name in a file system need not be UTF-8
