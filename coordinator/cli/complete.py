"""Names for the shell to complete: batches, items and languages, from the ledgers on this machine.

A shell asks at each press of TAB, so nothing is imported here that takes a while, no settings are
checked and no network is asked: ledgers are read by SQLite alone. Whatever goes wrong, nothing is
offered. The words come from the scripts of `coordinator completion`, in cyclopts's own protocol: a
line with a mark, then one candidate a line.
"""

import os
import re
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from itertools import takewhile
from pathlib import Path

ASKED = "__complete"  # the first word of such a question
BEGIN = "\x1fbegin"
MOST = 200  # names that are offered; beyond that, what they begin with
_MOST_ITEMS = 2_000  # of each batch whose languages are looked for
_LAST = "\U0010ffff"  # comes after every character of an id
_BATCH_FLAG = "--batch_name"
_LANGUAGE_FLAGS = ("--source_language", "--target_language")
_SETTING = re.compile(r"""^state_dir:\s*["']?([^"'#\n]+)""", re.MULTILINE)


def answer(words: Sequence[str]) -> int:
    """Print what may stand in place of the last of the words, which follow the program's name."""
    sys.stdout.write(f"\n{BEGIN}\n")
    with suppress(OSError, sqlite3.Error, ValueError, RuntimeError):  # the last: ~nobody
        sys.stdout.writelines(f"{name}\n" for name in offered(words) if name.isprintable())
    return 0


def offered(words: Sequence[str]) -> Iterator[str]:
    """The names that may stand in place of the last word."""
    *before, typed = words or [""]
    state_dir, last = _state_dir(before), before[-1] if before else ""
    batches = sorted(path.parent.name for path in state_dir.glob("*/ledger.db"))
    named = [word for word in before[1:] if word in batches]
    if last in _LANGUAGE_FLAGS:
        yield from _languages(state_dir, batches, typed)
    elif not named or last == _BATCH_FLAG or before[:1] == ["compare"]:
        yield from (name for name in batches if name.startswith(typed))
    else:
        yield from _items(state_dir / named[0] / "ledger.db", typed)


def _state_dir(words: Sequence[str]) -> Path:
    """Where the ledgers are, by flag, environment, settings file or default, as for every verb."""
    given = _flag(words, "--state_dir") or os.environ.get("COORDINATOR_STATE_DIR")
    if given:
        return Path(given).expanduser()
    file = Path(_flag(words, "--settings") or "settings.yml")
    with suppress(OSError, UnicodeDecodeError):
        if found := _SETTING.search(file.read_text(encoding="utf-8")):
            return file.parent / Path(found[1].strip()).expanduser()
    from platformdirs import user_state_path

    return user_state_path("coordinator", appauthor=False)


def _flag(words: Sequence[str], name: str) -> str:
    """The value of a flag among the words, or ""."""
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word == name:
            return following
        if word.startswith(f"{name}="):
            return word.partition("=")[2]
    return ""


def _items(ledger: Path, typed: str) -> Iterator[str]:
    """The ids that begin so; where there are very many, what these begin with."""
    query = "SELECT id FROM items WHERE id >= ? AND id < ? ORDER BY id LIMIT ?"
    with closing(_opened(ledger)) as db:
        rows = db.execute(query, (typed, typed + _LAST, MOST + 1)).fetchall()
        if len(rows) <= MOST:
            yield from (row[0] for row in rows)
            return
        yield from _beginnings(db, typed)


def _beginnings(db: sqlite3.Connection, typed: str) -> Iterator[str]:
    """What the ids go on with up to the next sign between words, skipping from one to the next."""
    ends = "SELECT min(id), max(id) FROM items WHERE id >= ? AND id < ?"
    first, last = db.execute(ends, (typed, typed + _LAST)).fetchone()
    alike = takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))
    shared = sum(1 for _ in alike)
    following: str | None = first
    for _ in range(MOST):
        if following is None:
            return
        sign = re.search(r"[-_.]", following[shared:])
        name = following if sign is None else following[: shared + sign.end()]
        yield name
        after = name + _LAST if sign else name
        query = "SELECT min(id) FROM items WHERE id > ? AND id < ?"
        following = db.execute(query, (after, typed + _LAST)).fetchone()[0]


def _languages(state_dir: Path, batches: Sequence[str], typed: str) -> Iterator[str]:
    """Those of the first items of each batch."""
    query = """SELECT DISTINCT value FROM (SELECT document FROM items ORDER BY seq LIMIT ?),
        json_each(document, '$.properties')
        WHERE key IN ('mt:source_language', 'mt:target_language') AND type = 'text'"""
    found: set[str] = set()
    for name in batches:
        with suppress(sqlite3.Error), closing(_opened(state_dir / name / "ledger.db")) as db:
            found.update(row[0] for row in db.execute(query, (_MOST_ITEMS,)))
    yield from sorted(language for language in found if language.startswith(typed))


def _opened(ledger: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{ledger.absolute().as_uri()}?mode=ro", uri=True, timeout=0.1)
