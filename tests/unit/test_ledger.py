"""The ledger: guarded moves, whole or not at all, and one driver a batch."""

import itertools
import multiprocessing
import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from coordinator.domain.handoff import FileRecord
from coordinator.domain.items import WorkItem
from coordinator.domain.states import ENDED, MOVES, OUT, AttemptState, FailureKind, ItemState
from coordinator.errors import BatchBusy, BatchExists, BatchMissing, LedgerError, StaleMove
from coordinator.ledger import (
    FILE,
    AttemptEnd,
    Dispatch,
    DispatchEnd,
    Finish,
    Ledger,
    NextStep,
    Retry,
    Sequel,
    driver_lock,
    holder,
)
from coordinator.ledger.ledger import SQL
from tests.fakes import HandClock

S, K, I = AttemptState, FailureKind, ItemState  # noqa: E741


def items(count: int = 4) -> list[tuple[WorkItem, str]]:
    return [(WorkItem(f"item-{n}"), "") for n in range(count)]


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def ledger(tmp_path: Path, clock: HandClock) -> Iterator[Ledger]:
    made = Ledger.create(tmp_path / "b", clock, {"items": 4}, items())
    yield made
    made.close()


def claim(ledger: Ledger, count: int = 1, step: int = 0, *, fresh: bool = True) -> Dispatch:
    ready = ledger.ready(step, fresh=fresh, limit=count)
    assert len(ready) == count
    return ledger.claim([ready], named)[0]


def named(_: object, number: int) -> str:
    return f"d-{number}"


def again(ledger: Ledger, dispatch: Dispatch) -> Dispatch:
    """The dispatch as the ledger has it now."""
    return next(d for d in ledger.out() if d.id == dispatch.id)


def out_in(ledger: Ledger, state: AttemptState, count: int = 1) -> Dispatch:
    """A dispatch in `state`."""
    dispatch = claim(ledger, count)
    path = [S.CLAIMED, S.SUBMITTED, S.RUNNING]
    for old, new in itertools.pairwise(path[: path.index(state) + 1]):
        ledger.move(dispatch, old, new, "job-1" if new is S.SUBMITTED else None)
    return again(ledger, dispatch)


def end(
    ledger: Ledger, dispatch: Dispatch, state: AttemptState, sequel: Sequel, **more: Any
) -> None:
    ends = [AttemptEnd(a, state, sequel, **more) for a in ledger.attempts_of(dispatch)]
    ledger.end(dispatch, ends)


def dump(ledger: Ledger) -> dict[str, list[tuple[Any, ...]]]:
    """Everything in the file, as another process reads it."""
    uri = f"{ledger.path.absolute().as_uri()}?mode=ro"
    connection = sqlite3.connect(uri, uri=True)
    try:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        return {
            name: connection.execute(f"SELECT * FROM {name} ORDER BY 1, 2").fetchall()
            for (name,) in tables.fetchall()
        }
    finally:
        connection.close()


def refused_unchanged(ledger: Ledger, move: Callable[[], object]) -> None:
    before = dump(ledger)
    with pytest.raises(StaleMove):
        move()
    assert dump(ledger) == before


# moves


def test_a_new_batch_waits(ledger: Ledger) -> None:
    tally = ledger.tally()
    assert tally.items == {I.WAITING: 4} and tally.attempts == {(0, S.READY): 4}
    assert (tally.in_flight, tally.total) == (0, 4)
    assert ledger.record() == {"items": 4}
    assert list(ledger.item_ids()) == [f"item-{n}" for n in range(4)]
    assert [a.item.id for a in ledger.ready(0, fresh=True, limit=2)] == ["item-0", "item-1"]
    assert ledger.ready(0, fresh=False, limit=9) == ledger.ready(1, fresh=True, limit=9) == []
    assert ledger.ready(0, fresh=True, limit=0) == ledger.ready(0, fresh=True, limit=-1) == []


def test_claim_submit_run_end(ledger: Ledger) -> None:
    dispatch = claim(ledger, 2)
    assert (dispatch.state, dispatch.job_id, dispatch.size) == (S.CLAIMED, None, 2)
    assert ledger.tally().in_flight == 2
    ledger.move(dispatch, S.CLAIMED, S.SUBMITTED, "job-7")
    ledger.move(dispatch, S.SUBMITTED, S.RUNNING)
    running = again(ledger, dispatch)
    assert (running.state, running.job_id, running.token) == (S.RUNNING, "job-7", dispatch.token)
    assert {a.state for a in ledger.attempts_of(running)} == {S.RUNNING}
    file = FileRecord(name="out.txt", size=3, sha256="a" * 64)
    end(ledger, running, S.SUCCEEDED, NextStep("key"), files=(file,))
    assert ledger.out() == []
    (first, _) = ledger.ready(1, fresh=False, limit=9)
    assert (first.item.id, first.number, first.sort_key, first.fresh) == ("item-0", 1, "key", False)
    assert ledger.winners(first) == {0: (1, {"out.txt": "a" * 64})}
    assert ledger.tally().in_flight == 2
    second = claim(ledger, 2, 1, fresh=False)
    end(ledger, second, S.FAILED, Finish(I.FAILED, K.INFRASTRUCTURE), kind=K.INFRASTRUCTURE)
    tally = ledger.tally()
    assert tally.items == {I.WAITING: 2, I.FAILED: 2}
    assert tally.failed_at == {1: 2} and tally.failed_kinds == {"infrastructure": 2}
    actions = [event.action for event in ledger.events()]
    assert actions[:5] == ["submitted", "claimed", "submitted", "running", "succeeded"]


def test_a_retry_is_a_new_attempt(ledger: Ledger, clock: HandClock) -> None:
    dispatch = out_in(ledger, S.RUNNING)
    end(ledger, dispatch, S.FAILED, Retry(30.0, memory_step=1), kind=K.OUT_OF_MEMORY, reason="oom")
    assert ledger.ready(0, fresh=False, limit=9) == []
    clock.advance(30.0)
    (retry,) = ledger.ready(0, fresh=False, limit=9)
    assert (retry.number, retry.memory_step, retry.round) == (2, 1, 1)
    assert ledger.failures(retry) == {"out_of_memory": 1}
    states = [(a["number"], a["state"], a["kind"]) for a in ledger.history("item-0")]
    assert states == [(1, "failed", "out_of_memory"), (2, "ready", None)]


def test_what_was_returned_is_no_failure(ledger: Ledger) -> None:
    end(ledger, out_in(ledger, S.RUNNING), S.RETURNED, Retry())
    (retry,) = ledger.ready(0, fresh=False, limit=9)
    assert retry.number == 2 and ledger.failures(retry) == {}


def test_a_pack_has_one_memory_size(ledger: Ledger) -> None:
    dispatch = out_in(ledger, S.RUNNING, 3)
    one, two, three = ledger.attempts_of(dispatch)
    grown = AttemptEnd(two, S.FAILED, Retry(memory_step=1), K.OUT_OF_MEMORY)
    others = [AttemptEnd(a, S.FAILED, Retry(), K.UNKNOWN) for a in (one, three)]
    ledger.end(dispatch, [grown, *others])
    pack = ledger.ready(0, fresh=False, limit=9)
    assert [a.item.id for a in pack] == ["item-0", "item-2"]
    ledger.claim([pack], named)
    assert [a.item.id for a in ledger.ready(0, fresh=False, limit=9)] == ["item-1"]


def test_resubmitted_items_start_where_they_failed(ledger: Ledger) -> None:
    end(ledger, out_in(ledger, S.RUNNING, 2), S.SUCCEEDED, NextStep())
    failing = claim(ledger, 2, 1, fresh=False)
    end(ledger, failing, S.FAILED, Finish(I.FAILED, K.UNKNOWN), kind=K.UNKNOWN)
    one, two = ledger.items(I.FAILED)
    assert (one.id, one.step, one.kind, one.attempts, one.dispatch) == (
        "item-0", 1, K.UNKNOWN, 1, failing.name,
    )  # fmt: skip
    assert ledger.reopen([one]) == 1
    refused_unchanged(ledger, lambda: ledger.reopen([two, one]))  # one is open already
    tally = ledger.tally()
    assert tally.items == {I.WAITING: 3, I.FAILED: 1} and tally.in_flight == 0
    (attempt,) = ledger.ready(1, fresh=True, limit=9)
    assert (attempt.number, attempt.round, ledger.failures(attempt)) == (2, 2, {})
    assert ledger.winners(attempt).keys() == {0}


@pytest.mark.parametrize("state", sorted(OUT))
def test_moves_are_those_of_the_table(
    tmp_path: Path, clock: HandClock, state: AttemptState
) -> None:
    ledger = Ledger.create(tmp_path, clock, {}, items(len(AttemptState)))
    for new in AttemptState:
        dispatch = out_in(ledger, state)
        if new in MOVES[state] & OUT:
            ledger.move(dispatch, state, new)
            assert again(ledger, dispatch).state is new
        else:
            refused_unchanged(ledger, partial(ledger.move, dispatch, state, new))
    ledger.close()


@pytest.mark.parametrize("state", sorted(OUT))
def test_ends_are_those_of_the_table(tmp_path: Path, clock: HandClock, state: AttemptState) -> None:
    ledger = Ledger.create(tmp_path, clock, {}, items(len(AttemptState)))
    for new in AttemptState:
        dispatch = out_in(ledger, state)
        item = ledger.attempts_of(dispatch)[0].item.id
        if new in MOVES[state] & ENDED:
            end(ledger, dispatch, new, Retry())
            assert [a["state"] for a in ledger.history(item)] == [new, "ready"]
        else:
            refused_unchanged(ledger, partial(end, ledger, dispatch, new, Retry()))
    ledger.close()


def test_what_was_claimed_cannot_be_claimed(ledger: Ledger) -> None:
    one, two, _ = ledger.ready(0, fresh=True, limit=3)
    ledger.claim([[two]], named)
    refused_unchanged(ledger, lambda: ledger.claim([[one, two]], named))
    refused_unchanged(ledger, lambda: ledger.claim([[one, one]], named))


def test_a_move_that_comes_twice_or_late_changes_nothing(ledger: Ledger) -> None:
    dispatch = out_in(ledger, S.RUNNING)
    refused_unchanged(ledger, lambda: ledger.move(dispatch, S.SUBMITTED, S.RUNNING))
    refused_unchanged(ledger, lambda: ledger.move(dispatch, S.CLAIMED, S.SUBMITTED, "job-2"))
    end(ledger, dispatch, S.SUCCEEDED, Finish(I.SUCCEEDED))
    refused_unchanged(ledger, lambda: end(ledger, dispatch, S.SUCCEEDED, Finish(I.SUCCEEDED)))
    refused_unchanged(ledger, lambda: end(ledger, dispatch, S.FAILED, Retry()))
    refused_unchanged(ledger, lambda: ledger.move(dispatch, S.SUBMITTED, S.RUNNING))


def test_no_attempt_is_left_without_an_end(ledger: Ledger) -> None:
    dispatch = out_in(ledger, S.RUNNING, 3)
    one, two, three = ledger.attempts_of(dispatch)
    refused_unchanged(ledger, lambda: ledger.end(dispatch, []))
    some = [AttemptEnd(a, S.SUCCEEDED, Finish(I.SUCCEEDED)) for a in (one, two)]
    refused_unchanged(ledger, lambda: ledger.end(dispatch, some))
    twice = [AttemptEnd(a, S.SUCCEEDED, Finish(I.SUCCEEDED)) for a in (one, two, three, three)]
    refused_unchanged(ledger, lambda: ledger.end(dispatch, twice))


def test_a_dispatch_ends_its_own_attempts_only(ledger: Ledger) -> None:
    dispatch, other = out_in(ledger, S.RUNNING), out_in(ledger, S.RUNNING)
    ends = [
        AttemptEnd(ledger.attempts_of(d)[0], S.SUCCEEDED, Finish(I.SUCCEEDED))
        for d in (dispatch, other)
    ]
    refused_unchanged(ledger, lambda: ledger.end(dispatch, ends))


@pytest.mark.parametrize("query", ["finish_items", "advance_items"])
def test_items_that_end_are_found_by_their_place_not_among_all_in_flight(
    ledger: Ledger, query: str
) -> None:
    plan = ledger._db.execute(f"EXPLAIN QUERY PLAN {SQL[query]}", {"rows": "[]"}).fetchall()
    said = " ".join(row["detail"] for row in plan)
    assert "INTEGER PRIMARY KEY" in said and "items_by_state" not in said


def test_only_what_failed_or_stopped_is_reopened(ledger: Ledger) -> None:
    end(ledger, out_in(ledger, S.RUNNING), S.SUCCEEDED, Finish(I.SUCCEEDED))
    end(ledger, out_in(ledger, S.RUNNING), S.STOPPED, Finish(I.STOPPED, K.STOPPED))
    (good,), (stopped,) = ledger.items(I.SUCCEEDED), ledger.items(I.STOPPED)
    waiting = next(ledger.items(I.WAITING))
    for row in (good, waiting):
        refused_unchanged(ledger, partial(ledger.reopen, [row]))
    assert ledger.reopen([stopped]) == 1


def test_the_first_stop_reason_stays(ledger: Ledger) -> None:
    dispatch = out_in(ledger, S.RUNNING)
    ledger.set_stop_reason(dispatch, "time_limit")
    ledger.set_stop_reason(dispatch, "asked")
    assert again(ledger, dispatch).stop_reason == "time_limit"


def test_purging(ledger: Ledger) -> None:
    ended, running, claimed = (out_in(ledger, s) for s in (S.RUNNING, S.RUNNING, S.CLAIMED))
    end(ledger, ended, S.SUCCEEDED, Finish(I.SUCCEEDED))
    assert [d.id for d in ledger.purgeable(include_running=False)] == [ended.id]
    assert [d.id for d in ledger.purgeable(include_running=True)] == [ended.id, running.id]
    ledger.mark_purged(ledger.purgeable(include_running=False))
    assert ledger.purgeable(include_running=False) == []
    assert again(ledger, claimed).job_id is None


def test_pauses_are_remembered(ledger: Ledger, clock: HandClock) -> None:
    assert not ledger.was_paused()
    ledger.note("paused", "8 in flight")
    ledger.note("started")
    with_another = Ledger.open(ledger.path.parent, clock, read_only=True)
    assert with_another.was_paused()
    ledger.note("resumed")
    assert not with_another.was_paused()
    with_another.close()


# the file


def test_the_ids_around_a_word_are_its_neighbours(ledger: Ledger) -> None:
    ids = sorted(ledger.item_ids())
    assert sorted(ledger.ids_around(ids[1], 1)) == ids[:2]
    assert ledger.ids_around("\U0010ffff", 2) == ids[:-3:-1]


def test_the_newest_note_of_some_kinds_is_found(ledger: Ledger) -> None:
    assert ledger.last_note("halted", "started") is None
    for action in ("halted", "started", "other"):
        ledger.note(action, f"why {action}")
    found = ledger.last_note("halted", "started")
    assert found is not None and (found.action, found.why) == ("started", "why started")


def test_a_batch_is_created_once(ledger: Ledger, clock: HandClock) -> None:
    before = dump(ledger)
    with pytest.raises(BatchExists) as caught:
        Ledger.create(ledger.path.parent, clock, {}, items(1))
    assert caught.value.hint
    assert dump(ledger) == before


def test_a_batch_that_is_not_there(tmp_path: Path, clock: HandClock) -> None:
    with pytest.raises(BatchMissing, match="no batch nothing"):
        Ledger.open(tmp_path / "nothing", clock)
    assert not (tmp_path / "nothing").exists()


def test_what_a_killed_creation_left_does_not_matter(tmp_path: Path, clock: HandClock) -> None:
    folder = tmp_path / "b"

    def kill_me() -> Iterator[tuple[WorkItem, str]]:
        yield from items(3)
        os.kill(os.getpid(), signal.SIGKILL)

    def create() -> None:
        Ledger.create(folder, clock, {"items": 9}, kill_me())

    process = multiprocessing.get_context("fork").Process(target=create)
    process.start()
    process.join(30)
    assert process.exitcode == -signal.SIGKILL
    assert not (folder / FILE).exists() and list(folder.glob(f"{Path(FILE).stem}.new*"))
    with pytest.raises(BatchMissing):
        Ledger.open(folder, clock)
    ledger = Ledger.create(folder, clock, {"items": 2}, items(2))
    assert list(ledger.item_ids()) == ["item-0", "item-1"]
    ledger.close()
    assert not list(folder.glob(f"{Path(FILE).stem}.new*"))


def test_a_creation_that_fails_leaves_no_batch(tmp_path: Path, clock: HandClock) -> None:
    def broken() -> Iterator[tuple[WorkItem, str]]:
        yield from items(1)
        raise ValueError("the source went away")

    with pytest.raises(ValueError, match="went away"):
        Ledger.create(tmp_path / "b", clock, {}, broken())
    with pytest.raises(BatchMissing):
        Ledger.open(tmp_path / "b", clock)
    Ledger.create(tmp_path / "b", clock, {}, items(1)).close()


def test_of_two_creations_at_once_one_wins(tmp_path: Path, clock: HandClock) -> None:
    """The second comes while the first is at it; the batch is the first one's, whole."""
    folder, errors = tmp_path / "b", []

    def first() -> Iterator[tuple[WorkItem, str]]:
        yield from items(2)
        try:
            Ledger.create(folder, clock, {"of": "second"}, [(WorkItem("other"), "")])
        except (BatchBusy, BatchExists) as error:
            errors.append(error)
        yield WorkItem("item-2"), ""

    ledger = Ledger.create(folder, clock, {"of": "first"}, first())
    assert ledger.record() == {"of": "first"} and len(list(ledger.item_ids())) == 3
    assert len(errors) == 1
    ledger.close()


def spoilt(ledger: Ledger, sql: str) -> None:
    connection = sqlite3.connect(ledger.path)
    connection.execute(sql)
    connection.commit()
    connection.close()


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("UPDATE batch SET value = '4' WHERE key = 'version'", "newer"),
        ("UPDATE batch SET value = '999999' WHERE key = 'version'", "newer"),
        ("UPDATE batch SET value = 'one' WHERE key = 'version'", "is damaged"),
        ("DELETE FROM batch", "is damaged"),
        ("DROP TABLE batch", "is damaged"),
    ],
)
def test_a_ledger_of_another_kind_is_refused(
    ledger: Ledger, clock: HandClock, sql: str, said: str, read_only: bool
) -> None:
    ledger.close()
    spoilt(ledger, sql)
    with pytest.raises(LedgerError) as caught:
        Ledger.open(ledger.path.parent, clock, read_only=read_only)
    assert said in caught.value.what and caught.value.hint


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize(
    "damage", [b"", b"not a database\n" * 100, b"SQLite format 3\0" + b"\xff" * 5000]
)
def test_a_damaged_file_is_said_to_be_so(
    tmp_path: Path, clock: HandClock, damage: bytes, read_only: bool
) -> None:
    (tmp_path / FILE).write_bytes(damage)
    with pytest.raises(LedgerError) as caught:
        Ledger.open(tmp_path, clock, read_only=read_only)
    assert caught.value.what.endswith("is damaged")
    assert caught.value.why and caught.value.hint


def read_all(folder: Path, clock: HandClock) -> None:
    ledger = Ledger.open(folder, clock)
    try:
        (
            ledger.tally(),
            ledger.record(),
            list(ledger.events()),
            list(ledger.item_ids()),
            ledger.out(),
        )
        ledger.ready(0, fresh=True, limit=2000)
    finally:
        ledger.close()


def test_damage_inside_is_said_to_be_so(tmp_path: Path, clock: HandClock) -> None:
    """Every seventh page overwritten: all readings answer, or one says that it cannot."""
    Ledger.create(tmp_path, clock, {}, items(2000)).close()
    path, whole = tmp_path / FILE, (tmp_path / FILE).read_bytes()
    said = 0
    for page in range(0, len(whole) // 4096, 7):
        path.write_bytes(whole[: page * 4096] + b"\xa5" * 4096 + whole[(page + 1) * 4096 :])
        try:
            read_all(tmp_path, clock)
        except LedgerError as error:
            assert error.hint
            said += 1
    assert said > 3


def test_a_record_that_is_no_json_is_damage(ledger: Ledger) -> None:
    spoilt(ledger, "UPDATE batch SET value = '{' WHERE key = 'record'")
    with pytest.raises(LedgerError) as caught:
        ledger.record()
    assert caught.value.what.endswith("is damaged") and caught.value.hint


def test_a_folder_that_cannot_be_made(tmp_path: Path, clock: HandClock) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(LedgerError) as caught:
        Ledger.create(tmp_path / "file" / "b", clock, {}, items())
    assert caught.value.hint


def test_read_only_works_while_another_writes(ledger: Ledger, clock: HandClock) -> None:
    reader = Ledger.open(ledger.path.parent, clock, read_only=True)
    claim(ledger)
    assert reader.tally().in_flight == 1
    with ledger._transaction():  # a writer in the middle of a move
        ledger._event("half")
        assert reader.tally().in_flight == 1
        assert "half" not in [event.action for event in reader.events()]
    with pytest.raises(LedgerError, match="cannot be used"):
        reader.note("paused")
    reader.close()


# the lock


def held_elsewhere(folder: Path) -> subprocess.Popen[str]:
    """Another process that holds the batch, and has a child of its own."""
    script = (
        "import subprocess, sys, time, pathlib; from coordinator.ledger import driver_lock\n"
        "with driver_lock(pathlib.Path(sys.argv[1]), 'b'):\n"
        "    child = subprocess.Popen(['sleep', '60'])\n"
        "    print(child.pid, flush=True); time.sleep(60)\n"
    )
    command = [sys.executable, "-c", script, str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_the_lock_has_one_holder_and_dies_with_it(tmp_path: Path) -> None:
    assert holder(tmp_path) is None
    with held_elsewhere(tmp_path) as other:
        assert other.stdout is not None
        child = int(other.stdout.readline())
        try:
            with pytest.raises(BatchBusy, match=f"process {other.pid} on") as caught:
                driver_lock(tmp_path, "b").__enter__()
            assert "coordinator status b" in caught.value.hint
            assert f"process {other.pid} on" in str(holder(tmp_path))
            other.send_signal(signal.SIGKILL)
            other.wait()
            assert holder(tmp_path) is None
            with driver_lock(tmp_path, "b"):
                assert f"process {os.getpid()} on" in str(holder(tmp_path))
        finally:
            os.kill(child, signal.SIGKILL)
    assert holder(tmp_path) is None


def test_moments_are_the_events_of_the_batch_as_a_whole(ledger: Ledger) -> None:
    ledger.note("paused", "8 in flight")
    claim(ledger)
    ledger.note("resumed")
    assert [(event.action, event.why) for event in ledger.moments()] == [
        ("submitted", "4 items"),
        ("paused", "8 in flight"),
        ("resumed", ""),
    ]


def test_a_damaged_note_does_not_matter(tmp_path: Path) -> None:
    with driver_lock(tmp_path, "b"):
        for note in (b"", b"{", b"[]", b'{"pid": "x"}', b"\xff" * 9999, b'{"pid": 1}'):
            (tmp_path / "driver.lock").write_bytes(note)
            assert holder(tmp_path) == "a process that has just started"
            with pytest.raises(BatchBusy):
                driver_lock(tmp_path, "b").__enter__()


def test_whoever_asks_for_the_holder_keeps_nobody_out(tmp_path: Path) -> None:
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            holder(tmp_path)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(100):
            with driver_lock(tmp_path, "b"):
                pass
    finally:
        done.set()
        for thread in threads:
            thread.join()


def test_a_folder_that_cannot_be_locked(tmp_path: Path) -> None:
    with pytest.raises(LedgerError):
        driver_lock(tmp_path / "nothing", "b").__enter__()


# a million items

OF_A_TICK = [
    "dispatches_out", "out_count", "out_by_step", "attempts_of_dispatch", "ready",
    "first_memory_step", "winners", "files_replaced",
    "failures_of_round", "dispatch", "next_dispatch", "add_dispatches", "claim_attempts",
    "start_items", "record_claims", "move_dispatches", "move_attempts_of_dispatches",
    "record_moves", "end_attempts", "left_behind", "finish_items", "advance_items", "add_attempts",
    "end_dispatches", "record_events", "set_nodes", "mark_purged", "record_purged", "last_pause",
    "live_of", "ready_of", "ready_exactly", "dispatch_names", "known_ids",
]  # fmt: skip


@pytest.mark.parametrize("name", OF_A_TICK)
def test_nothing_of_a_tick_reads_a_whole_table(ledger: Ledger, name: str) -> None:
    """Of what it searches, SQLite says so; a partial index holds only what is out."""
    values = dict.fromkeys(re.findall(r":(\w+)", SQL[name]), "[]")
    plan = [row["detail"] for row in ledger._db.execute(f"EXPLAIN QUERY PLAN {SQL[name]}", values)]
    small = r"INDEX (dispatches_out|pauses)|json_each|\b(claimed|moved|ended|new|seen)\b"
    scans = [step for step in plan if "SCAN" in step and not re.search(small, step)]
    sorts = [step for step in plan if "TEMP B-TREE FOR ORDER BY" in step]
    assert not scans and not sorts, plan


def test_ends_are_taken_together_or_not_at_all(ledger: Ledger) -> None:
    one, two, late = (out_in(ledger, S.RUNNING) for _ in range(3))
    end(ledger, late, S.SUCCEEDED, Finish(I.SUCCEEDED))

    def done(dispatch: Dispatch) -> DispatchEnd:
        attempts = ledger.attempts_of(dispatch)
        ends = (AttemptEnd(a, S.SUCCEEDED, NextStep("k")) for a in attempts)
        return DispatchEnd(dispatch, tuple(ends), "exit code 0")

    refused_unchanged(ledger, lambda: ledger.end_all([done(one), done(late), done(two)]))
    refused_unchanged(ledger, lambda: ledger.end_all([done(one), done(one)]))
    ledger.end_all([done(one), done(two)])
    assert ledger.out() == [] and len(ledger.ready(1, fresh=False, limit=9)) == 2
    told = [(e.action, e.dispatch) for e in ledger.events()][-4:]
    assert told == [("succeeded", 1), ("ended", 1), ("succeeded", 2), ("ended", 2)]


def test_what_a_handler_says_is_kept_whatever_it_is(ledger: Ledger) -> None:
    """A NUL would end a text of SQLite's JSON, half a character would make it unreadable."""
    dispatch = out_in(ledger, S.RUNNING)
    said = "before\0after \ud800 'quoted' \"twice\" \u202e \U0001f600 {[,]}"
    finish = Finish(I.FAILED, K.MODEL_ERROR)
    end(ledger, dispatch, S.FAILED, finish, kind=K.MODEL_ERROR, reason=said)
    (row,) = ledger.items(I.FAILED)
    assert row.reason == said.replace("\0", "\ufffd").replace("\ud800", "?")
    assert row.reason in [event.why for event in ledger.events()]
