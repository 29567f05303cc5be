"""Histories of a ledger made up at random: what must hold after every move, whatever the order."""

import sqlite3
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from coordinator.domain.items import WorkItem
from coordinator.domain.states import (
    FINISHED_ITEMS,
    LIVE,
    OUT,
    AttemptState,
    FailureKind,
    ItemState,
)
from coordinator.errors import StaleMove
from coordinator.ledger import (
    Attempt,
    AttemptEnd,
    Dispatch,
    Finish,
    Ledger,
    NextStep,
    Retry,
    Sequel,
)
from tests.fakes import HandClock

S, K = AttemptState, FailureKind
STEPS, ITEMS = 2, 6
FAILURES = {S.FAILED: K.TIMEOUT, S.LOST: K.LOST, S.UNKNOWN: K.UNKNOWN}

PICK = st.integers(0, 10**6)
ENDINGS = st.sampled_from([S.SUCCEEDED] * 3 + [S.NO_DATA, *FAILURES, S.RETURNED, S.STOPPED])


class Histories(RuleBasedStateMachine):
    """Claims, submits, runs, ends, reopens and opens again, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name)
        self.clock = HandClock()
        items = [(WorkItem(f"i{n}"), "") for n in range(ITEMS)]
        self.ledger = Ledger.create(self.path, self.clock, {}, items)
        self.look = sqlite3.connect(self.path / "ledger.db")
        self.look.row_factory = sqlite3.Row
        self.tokens: set[str] = set()
        self.ended: list[Dispatch] = []

    def teardown(self) -> None:
        self.look.close()
        self.ledger.close()
        self.folder.cleanup()

    # moves

    @rule(step=st.integers(0, STEPS - 1), fresh=st.booleans(), limit=st.integers(1, 4))
    def claim(self, step: int, fresh: bool, limit: int) -> None:
        if pack := self.ledger.ready(step, fresh=fresh, limit=limit):
            assert {(a.step, a.fresh, a.memory_step) for a in pack} == {
                (step, fresh, pack[0].memory_step)
            }
            dispatch = self.ledger.claim([pack], lambda _, number: f"d{number}")[0]
            assert dispatch.token not in self.tokens
            self.tokens.add(dispatch.token)

    @precondition(lambda self: self.ledger.out())
    @rule(pick=PICK)
    def submit_or_run(self, pick: int) -> None:
        dispatch = self.one_out(pick)
        if dispatch.state is S.CLAIMED:
            self.ledger.move(dispatch, S.CLAIMED, S.SUBMITTED, f"job-{dispatch.id}")
        elif dispatch.state is S.SUBMITTED:
            self.ledger.move(dispatch, S.SUBMITTED, S.RUNNING)

    @precondition(lambda self: self.ledger.out())
    @rule(pick=PICK, states=st.lists(ENDINGS, min_size=4, max_size=4), retry=st.booleans())
    def end(self, pick: int, states: list[AttemptState], retry: bool) -> None:
        dispatch = self.one_out(pick)
        attempts = self.ledger.attempts_of(dispatch)
        if dispatch.state is S.CLAIMED:
            states = [S.FAILED] * 4  # refused: all that can become of it
        ends = [ended(a, state, retry) for a, state in zip(attempts, states, strict=False)]
        self.ledger.end(dispatch, ends)
        self.ended.append(dispatch)

    @precondition(lambda self: self.ended)
    @rule(pick=PICK)
    def too_late(self, pick: int) -> None:
        dispatch = self.ended[pick % len(self.ended)]
        before = self.everything()
        ends = [ended(a, S.FAILED, retry=True) for a in self.ledger.attempts_of(dispatch)]
        with pytest.raises(StaleMove):
            self.ledger.end(dispatch, ends)
        with pytest.raises(StaleMove):
            self.ledger.move(dispatch, S.SUBMITTED, S.RUNNING)
        assert self.everything() == before

    @rule(pick=PICK)
    def reopen(self, pick: int) -> None:
        rows = self.ledger.items(ItemState.FAILED, ItemState.STOPPED)
        chosen = rows[: pick % (len(rows) + 1)]
        assert self.ledger.reopen(chosen) == len(chosen)

    @rule()
    def open_again(self) -> None:
        before = self.everything()
        self.ledger.close()
        self.ledger = Ledger.open(self.path, self.clock)
        assert self.everything() == before

    # what holds

    @invariant()
    def tallies_are_counts(self) -> None:
        tally = self.ledger.tally()
        attempts = Counter((row["step"], row["state"]) for row in self.rows("attempts"))
        assert {key: n for key, n in tally.attempts.items() if n} == dict(attempts)
        items = self.rows("items")
        assert tally.items == dict(Counter(row["state"] for row in items))
        failed = [row for row in items if row["state"] == "failed"]
        assert tally.failed_at == dict(Counter(row["step"] for row in failed))
        assert tally.failed_kinds == dict(Counter(row["kind"] for row in failed))
        assert tally.total == ITEMS

    @invariant()
    def each_item_is_in_one_place(self) -> None:
        listed = [i.id for state in ItemState for i in self.ledger.items(state)]
        assert sorted(listed) == sorted(self.ledger.item_ids())
        for item in self.rows("items"):
            live = [
                a for a in self.rows("attempts") if a["item"] == item["seq"] and a["state"] in LIVE
            ]
            if item["state"] in FINISHED_ITEMS:
                assert not live
                continue
            (attempt,) = live
            assert attempt["step"] == item["step"] and attempt["round"] == item["round"]
            is_waiting = item["state"] == ItemState.WAITING
            assert attempt["fresh"] == is_waiting
            assert attempt["state"] == S.READY if is_waiting else attempt["state"] in LIVE

    @invariant()
    def in_flight_is_what_was_started(self) -> None:
        started = {
            a["item"] for a in self.rows("attempts") if a["state"] in LIVE and not a["fresh"]
        }
        assert self.ledger.tally().in_flight == len(started)

    @invariant()
    def attempts_are_numbered_without_a_gap(self) -> None:
        numbers: dict[tuple[int, int], list[int]] = {}
        for row in self.rows("attempts"):
            numbers.setdefault((row["item"], row["step"]), []).append(row["number"])
        assert all(found == list(range(1, len(found) + 1)) for found in numbers.values())

    @invariant()
    def a_dispatch_and_its_attempts_agree(self) -> None:
        for dispatch in self.ledger.out():
            attempts = self.ledger.attempts_of(dispatch)
            assert dispatch.state in OUT and {a.state for a in attempts} == {dispatch.state}
            assert dispatch.size == len(attempts) > 0
        out = sum(d.size for d in self.ledger.out())
        assert out == sum(row["state"] in OUT for row in self.rows("attempts"))

    @invariant()
    def every_move_left_its_event(self) -> None:
        actions = Counter(event.action for event in self.ledger.events())
        dispatches = self.rows("dispatches")
        assert actions["claimed"] == len(dispatches) == len(self.tokens)
        assert actions["ended"] == sum(row["state"] == "ended" for row in dispatches)
        ended_attempts = [row["state"] for row in self.rows("attempts") if row["state"] not in LIVE]
        for state, count in Counter(ended_attempts).items():
            assert actions[state] == count

    # helpers

    def one_out(self, pick: int) -> Dispatch:
        out = self.ledger.out()
        return out[pick % len(out)]

    def rows(self, table: str) -> list[sqlite3.Row]:
        return self.look.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall()

    def everything(self) -> dict[str, list[tuple[Any, ...]]]:
        tables = ("items", "attempts", "dispatches", "events", "item_tally", "attempt_tally")
        return {table: [tuple(row) for row in self.rows(table)] for table in tables}


def ended(attempt: Attempt, state: AttemptState, retry: bool) -> AttemptEnd:
    kind = FAILURES.get(state)
    return AttemptEnd(attempt, state, following(attempt, state, retry, kind), kind)


def following(
    attempt: Attempt, state: AttemptState, retry: bool, kind: FailureKind | None
) -> Sequel:
    if state is S.SUCCEEDED:
        last = attempt.step == STEPS - 1
        return Finish(ItemState.SUCCEEDED) if last else NextStep()
    if state is S.NO_DATA:
        return Finish(ItemState.NO_DATA)
    if state is S.STOPPED:
        return Finish(ItemState.STOPPED, K.STOPPED)
    if state is S.RETURNED or retry:
        return Retry(memory_step=min(1, attempt.memory_step + (kind is K.TIMEOUT)))
    return Finish(ItemState.FAILED, kind)


TestHistories = Histories.TestCase
TestHistories.settings = settings(
    max_examples=25,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
