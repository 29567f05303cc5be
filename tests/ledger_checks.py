"""What holds in every ledger, whatever was done to it: checked on the bare rows."""

import sqlite3
from collections import Counter, defaultdict
from contextlib import closing
from pathlib import Path
from typing import Any

from coordinator.domain.states import FINISHED_ITEMS, LIVE, MOVES, OUT, AttemptState, ItemState

TABLES = ("batch", "items", "attempts", "dispatches", "events", "item_tally", "attempt_tally")
_OF_A_DISPATCH = ("claimed", "submitted", "running", "ended")

Row = sqlite3.Row


def everything(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of the ledger in the file `path`."""
    return {name: [tuple(row) for row in rows] for name, rows in _tables(path).items()}


def check_ledger(path: Path) -> None:
    """Assert all that must hold of the ledger in the file `path`."""
    tables = _tables(path)
    tallies_are_counts(tables)
    each_item_is_in_one_place(tables)
    attempts_are_numbered_without_a_gap(tables)
    dispatches_and_attempts_agree(tables)
    events_tell_the_story_of_the_rows(tables)


def _tables(path: Path) -> dict[str, list[Row]]:
    with closing(sqlite3.connect(path)) as look:
        look.row_factory = Row
        look.execute("BEGIN")  # one moment for all tables
        return {n: look.execute(f"SELECT * FROM {n} ORDER BY 1, 2").fetchall() for n in TABLES}


def tallies_are_counts(tables: dict[str, list[Row]]) -> None:
    attempts = Counter((row["step"], row["state"]) for row in tables["attempts"])
    told = {(r["step"], r["state"]): r["n"] for r in tables["attempt_tally"] if r["n"]}
    assert told == dict(attempts)
    costs: Counter[tuple[int, str]] = Counter()
    of_item = {row["seq"]: row["cost"] for row in tables["items"]}
    for row in tables["attempts"]:
        costs[row["step"], row["state"]] += of_item[row["item"]]
    told = {(r["step"], r["state"]): r["cost"] for r in tables["attempt_tally"] if r["n"]}
    assert told == dict(costs)
    assert not any(r["cost"] for r in tables["attempt_tally"] if not r["n"])
    items = Counter((row["state"], row["step"], row["kind"] or "") for row in tables["items"])
    told = {(r["state"], r["step"], r["kind"]): r["n"] for r in tables["item_tally"] if r["n"]}
    assert told == dict(items)


def each_item_is_in_one_place(tables: dict[str, list[Row]]) -> None:
    """One live attempt an item, if it is not finished, at the item's step and round."""
    live = defaultdict(list)
    for attempt in tables["attempts"]:
        if attempt["state"] in LIVE:
            live[attempt["item"]].append(attempt)
    for item in tables["items"]:
        if item["state"] in FINISHED_ITEMS:
            assert not live[item["seq"]]
            continue
        (attempt,) = live[item["seq"]]
        assert (attempt["step"], attempt["round"]) == (item["step"], item["round"])
        is_waiting = item["state"] == ItemState.WAITING
        assert attempt["fresh"] == is_waiting
        assert not is_waiting or attempt["state"] == AttemptState.READY


def attempts_are_numbered_without_a_gap(tables: dict[str, list[Row]]) -> None:
    numbers = defaultdict(list)
    for row in tables["attempts"]:
        numbers[row["item"], row["step"]].append(row["number"])
    assert all(found == list(range(1, len(found) + 1)) for found in numbers.values())


def dispatches_and_attempts_agree(tables: dict[str, list[Row]]) -> None:
    carried = defaultdict(list)
    for attempt in tables["attempts"]:
        carried[attempt["dispatch"]].append(attempt["state"])
    assert all(state in (AttemptState.READY, AttemptState.STOPPED) for state in carried[None])
    for dispatch in tables["dispatches"]:
        states = carried[dispatch["id"]]
        if dispatch["state"] == "ended":  # it carried nothing if it was passed over
            assert not LIVE.intersection(states)
        else:
            assert dispatch["state"] in OUT and states and set(states) == {dispatch["state"]}
    tokens = [dispatch["token"] for dispatch in tables["dispatches"]]
    assert len(set(tokens)) == len(tokens)


def events_tell_the_story_of_the_rows(tables: dict[str, list[Row]]) -> None:
    """Told from the events alone, dispatches and attempts stand where their rows say."""
    of_dispatches: dict[int, str] = {}
    of_attempts: dict[int, str] = {}
    purged = set()
    for event in tables["events"]:
        number, attempt = event["dispatch"], event["attempt"]
        if attempt is not None:
            assert attempt not in of_attempts, "an attempt ends once"
            old = "ready" if number is None else of_dispatches[number]
            assert event["old"] == old and event["new"] in MOVES[AttemptState(old)]
            of_attempts[attempt] = event["new"]
        elif event["action"] in _OF_A_DISPATCH and number is not None:
            assert event["old"] == of_dispatches.get(number, "ready")
            of_dispatches[number] = event["new"]
        elif event["action"] == "purged":
            purged.add(number)
    assert of_dispatches == {row["id"]: row["state"] for row in tables["dispatches"]}
    ended = {r["id"]: r["state"] for r in tables["attempts"] if r["state"] not in LIVE}
    assert of_attempts == ended
    assert purged == {row["id"] for row in tables["dispatches"] if row["purged"]}
