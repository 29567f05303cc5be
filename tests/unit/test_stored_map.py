"""A mapping on disk is as a dict, whatever is done to it."""

import sqlite3
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.catalog.stored import StoredMap
from coordinator.errors import UsageError

KEYS = st.text(st.characters(), max_size=3)  # half characters too: names of files hold them
STEPS = st.lists(st.tuples(st.sampled_from(["set", "delete", "get", "pop"]), KEYS), max_size=40)


@given(STEPS)
def test_it_is_as_a_dict(steps: list[tuple[str, str]]) -> None:
    stored: StoredMap[int] = StoredMap()
    plain: dict[str, int] = {}
    for number, (step, key) in zip(count(), steps, strict=False):
        assert (key in stored) == (key in plain)
        if step == "set":
            stored[key] = plain[key] = number
        elif step == "get":
            assert stored.get(key) == plain.get(key)
        elif step == "pop":
            assert stored.pop(key, -1) == plain.pop(key, -1)
        elif key in plain:
            del stored[key], plain[key]
        else:
            with pytest.raises(KeyError):
                del stored[key]
    assert list(stored.items()) == list(plain.items()) and len(stored) == len(plain)


def test_it_may_be_changed_while_it_is_iterated_over() -> None:
    stored: StoredMap[int] = StoredMap()
    stored.update((f"k{n}", n) for n in range(5_000))
    seen = 0
    for key in stored:
        seen += 1
        stored.pop(key)
    assert seen == 5_000 and not stored


def test_what_is_no_text_is_not_in_it() -> None:
    stored: StoredMap[int] = StoredMap()
    stored["None"] = 1
    assert None not in stored and 1 not in stored


def test_a_full_disk_is_said_in_a_sentence() -> None:
    stored: StoredMap[str] = StoredMap()
    stored._db.execute("PRAGMA max_page_count = 8")
    with pytest.raises(UsageError, match="temporary file") as caught:
        stored.update((str(n), "x" * 1000) for n in range(100))
    assert "full" in caught.value.why and "TMPDIR" in caught.value.hint
    assert isinstance(caught.value.__cause__, sqlite3.OperationalError)
