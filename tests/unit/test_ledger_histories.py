"""Histories of a ledger made up at random: what must hold after every move, whatever the order.

Two connections to one file, as of two processes, move in turns: each with what it read last, which
the other may have moved meanwhile. A move is taken exactly if what it expects is still so.
"""

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from coordinator.domain.items import WorkItem
from coordinator.domain.states import LIVE, AttemptState, FailureKind, ItemState
from coordinator.errors import StaleMove
from coordinator.ledger import (
    Asked,
    Attempt,
    AttemptEnd,
    ControlDesk,
    Dispatch,
    DispatchEnd,
    Finish,
    Ledger,
    NextStep,
    PortableLedger,
    RedoDesk,
    Retry,
    Sequel,
)
from tests.fakes import HandClock
from tests.ledger_checks import check_ledger, everything

S, K = AttemptState, FailureKind
STEPS, ITEMS = 2, 8
FAILURES = {S.FAILED: K.TIMEOUT, S.LOST: K.LOST, S.UNKNOWN: K.UNKNOWN}

PICK = st.integers(0, 10**6)
CONNECTION = st.integers(0, 1)
ENDINGS = st.sampled_from([S.SUCCEEDED] * 3 + [S.NO_DATA, *FAILURES, S.RETURNED, S.STOPPED])
PACK = 4


@dataclass(frozen=True)
class Handoff:
    """What lies in the output root of a dispatch: from this it is taken over."""

    dispatch: Dispatch
    attempts: tuple[tuple[str, int, int], ...]  # item, step, number


class Histories(RuleBasedStateMachine):
    """Everything that can be done to a ledger, in any order, by two."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name)
        self.clock = HandClock()
        items = [(WorkItem(f"i{n}"), "") for n in range(ITEMS)]
        Ledger.create(self.path, self.clock, {}, items).close()
        self.ledgers = [Ledger.open(self.path, self.clock) for _ in range(2)]
        self.seen: list[tuple[Dispatch, list[Attempt]]] = []  # as somebody read them once
        self.handoffs: dict[str, Handoff] = {}
        self.is_paused = False

    def teardown(self) -> None:
        for ledger in self.ledgers:
            ledger.close()
        self.folder.cleanup()

    # reading and claiming

    @rule(who=CONNECTION)
    def read(self, who: int) -> None:
        """One of the two takes a look, and moves by it later."""
        ledger = self.ledgers[who]
        self.seen = [(d, ledger.attempts_of(d)) for d in ledger.out()] + self.seen[:6]

    @rule(
        who=CONNECTION,
        step=st.integers(0, STEPS - 1),
        fresh=st.booleans(),
        sizes=st.lists(st.integers(1, PACK), min_size=1, max_size=3),
    )
    def claim(self, who: int, step: int, fresh: bool, sizes: list[int]) -> None:
        ledger = self.ledgers[who]
        ready = ledger.ready(step, fresh=fresh, limit=sum(sizes))
        assert len({(a.step, a.fresh, a.memory_step) for a in ready}) <= 1
        packs = [ready[sum(sizes[:n]) : sum(sizes[: n + 1])] for n in range(len(sizes))]
        packs = [pack for pack in packs if pack]
        for dispatch, pack in zip(ledger.claim(packs, named), packs, strict=True):
            assert dispatch.token not in {h.dispatch.token for h in self.handoffs.values()}
            sent = tuple((a.item.id, a.step, a.number) for a in pack)
            self.handoffs[dispatch.name] = Handoff(dispatch, sent)

    @rule(who=CONNECTION, pick=PICK)
    def claim_what_was_ready_once(self, who: int, pick: int) -> None:
        """By what the other read before: taken only if none of it has moved."""
        before = self.ledgers[1 - who].ready(0, fresh=True, limit=PACK)
        self.claim(who, 0, True, [1 + pick % PACK])
        if not before:
            return
        still = {a.id for a in self.ledgers[who].ready(0, fresh=True, limit=ITEMS)}
        if not {a.id for a in before} <= still:
            self.refused(lambda: self.ledgers[1 - who].claim([before], named))

    # moving, by what was read last or long ago

    @precondition(lambda self: self.seen)
    @rule(who=CONNECTION, pick=PICK, new=st.sampled_from([S.SUBMITTED, S.RUNNING]))
    def move(self, who: int, pick: int, new: AttemptState) -> None:
        dispatch, _ = self.seen[pick % len(self.seen)]
        old = S.CLAIMED if new is S.SUBMITTED else S.SUBMITTED
        job = f"job-{dispatch.id}" if new is S.SUBMITTED else None
        self.taken_if(
            self.state_of(dispatch) == old,
            lambda: self.ledgers[who].move_all([(dispatch, job)], old, new),
        )

    @precondition(lambda self: self.seen)
    @rule(
        who=CONNECTION,
        picks=st.lists(PICK, min_size=1, max_size=3),
        states=st.lists(ENDINGS, min_size=PACK, max_size=PACK),
        retry=st.booleans(),
    )
    def end(self, who: int, picks: list[int], states: list[AttemptState], retry: bool) -> None:
        """Some dispatches at once; if any has been moved by the other, none of them."""
        chosen = [self.seen[pick % len(self.seen)] for pick in picks]
        ended = [as_ended(*each, states, retry) for each in chosen]
        numbers = [one.dispatch.id for one in ended]
        good = all(self.state_of(one.dispatch) == one.dispatch.state for one in ended)
        good = good and len(set(numbers)) == len(numbers)
        self.taken_if(good, lambda: self.ledgers[who].end_all(ended))

    @precondition(lambda self: self.seen)
    @rule(who=CONNECTION, pick=PICK)
    def end_half(self, who: int, pick: int) -> None:
        """No attempt is left without an end, and none of another dispatch is ended."""
        dispatch, attempts = self.seen[pick % len(self.seen)]
        others = [a for d, found in self.seen for a in found if d.id != dispatch.id]
        one_less = as_ended(dispatch, attempts[1:], [S.FAILED] * PACK, True)
        self.refused(lambda: self.ledgers[who].end_all([one_less]))
        if others:
            foreign = as_ended(dispatch, [*attempts, others[0]], [S.FAILED] * (PACK + 1), True)
            self.refused(lambda: self.ledgers[who].end_all([foreign]))

    # what people ask for

    @rule(who=CONNECTION, pick=PICK)
    def resubmit(self, who: int, pick: int) -> None:
        rows = list(self.ledgers[who].items(ItemState.FAILED, ItemState.STOPPED))
        chosen = rows[: pick % (len(rows) + 1)]
        assert self.ledgers[who].reopen(chosen) == len(chosen)
        if chosen:
            self.refused(lambda: self.ledgers[1 - who].reopen(chosen))

    @rule(who=CONNECTION, pick=PICK, step=st.integers(0, STEPS - 1))
    def redo(self, who: int, pick: int, step: int) -> None:
        """Once for all who read the same; what was never at the step is not done again there."""
        one, other = (RedoDesk(ledger) for ledger in (self.ledgers[who], self.ledgers[1 - who]))
        found = list(one.finished(step))
        chosen = found[: pick % (len(found) + 1)]
        assert one.redo(chosen, step, "told to") == len(chosen)
        if chosen:
            self.refused(lambda: other.redo(chosen, step, "told to"))
        early = [item for item in one.finished(0) if item not in list(one.finished(1))]
        if early:
            self.refused(lambda: one.redo(early, 1, "told to"))

    @rule(who=CONNECTION, item=st.integers(0, ITEMS - 1))
    def stop_item(self, who: int, item: int) -> None:
        """One asks, the other carries it out; what runs is left to its end."""
        asked = f"i{item}"
        desk = ControlDesk(self.ledgers[who])
        desk.ask(lambda now: now.changed(items=(*now.items, asked)), "stop asked", asked)
        other = ControlDesk(self.ledgers[1 - who])
        other.carry_out()
        for found in other.live([asked]):
            assert found.dispatch is not None, "what nothing runs for is stopped at once"

    @precondition(lambda self: self.seen)
    @rule(who=CONNECTION, pick=PICK)
    def stop_dispatch(self, who: int, pick: int) -> None:
        dispatch, _ = self.seen[pick % len(self.seen)]
        self.ledgers[who].set_stop_reason(dispatch, f"reason {who}")
        first = self.ledgers[1 - who].dispatch(dispatch.id).stop_reason
        self.ledgers[1 - who].set_stop_reason(dispatch, "another reason")
        assert self.ledgers[who].dispatch(dispatch.id).stop_reason == first

    @rule(who=CONNECTION)
    def pause_or_go_on(self, who: int) -> None:
        self.is_paused = not self.is_paused
        self.ledgers[who].note("paused" if self.is_paused else "resumed")
        desk = ControlDesk(self.ledgers[who])
        asked = Asked(by="somebody", at=0.0) if self.is_paused else None
        desk.ask(lambda now: now.changed(paused=asked), "asked", "")

    @rule(who=CONNECTION)
    def purge(self, who: int) -> None:
        """Twice is as once: what is purged is not found again."""
        found = self.ledgers[who].purgeable(include_running=False)
        assert all(d.state is None and d.job_id for d in found)
        self.ledgers[who].mark_purged(found)
        assert self.ledgers[1 - who].purgeable(include_running=False) == []

    # what happens to the process and the file

    @rule(seconds=st.sampled_from([5.0, 60.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(who=CONNECTION)
    def open_again(self, who: int) -> None:
        before = everything(self.file)
        self.ledgers[who].close()
        self.ledgers[who] = Ledger.open(self.path, self.clock)
        assert everything(self.file) == before

    @rule(who=CONNECTION)
    def save(self, who: int) -> None:
        before = everything(self.file)
        self.saved.unlink(missing_ok=True)
        PortableLedger(self.ledgers[who]).backup(self.saved)
        assert everything(self.saved) == everything(self.file) == before

    @precondition(lambda self: self.saved.exists())
    @rule()
    def go_on_with_the_copy(self) -> None:
        """Elsewhere: with an older ledger, and the handoffs of all that was ever sent."""
        for ledger in self.ledgers:
            ledger.close()
        for file in self.path.glob("ledger.db*"):
            file.unlink()
        shutil.copy(self.saved, self.file)
        self.ledgers = [Ledger.open(self.path, self.clock) for _ in range(2)]
        self.seen = []
        self.is_paused = self.ledgers[0].was_paused()
        self.take_over()

    def take_over(self) -> None:
        portable = PortableLedger(self.ledgers[0])
        portable.begin_lineage(gap=True)
        for name in sorted(portable.unknown(list(self.handoffs))):
            handoff = self.handoffs[name]
            found = [portable.ready_attempt(*attempt) for attempt in handoff.attempts]
            attempts = [attempt for attempt in found if attempt is not None]
            if len(attempts) < len(handoff.attempts):  # they came to something else
                portable.pass_over(handoff.dispatch)
                continue
            forgotten = handoff.dispatch.id % 2 == 0
            portable.take_over(handoff.dispatch, attempts, forgotten=forgotten)
            state = S.SUBMITTED if forgotten else S.CLAIMED
            assert self.state_of(handoff.dispatch) is state
            self.refused(partial(portable.take_over, stranger(handoff.dispatch), attempts))
        portable.close_gap("all are known")
        assert not portable.has_gap and portable.lineage

    # what holds

    @invariant()
    def the_rows_agree_with_one_another(self) -> None:
        check_ledger(self.file)

    @invariant()
    def both_read_the_same(self) -> None:
        one, other = self.ledgers
        assert one.tally() == other.tally() and one.out() == other.out()
        assert one.tally().total == ITEMS
        assert one.was_paused() == other.was_paused() == self.is_paused
        desks = [ControlDesk(ledger).read() for ledger in self.ledgers]
        assert desks[0] == desks[1] and bool(desks[0].paused) == self.is_paused

    @invariant()
    def what_is_ready_may_go_now(self) -> None:
        ledger = self.ledgers[0]
        for step in range(STEPS):
            for fresh in (False, True):
                for attempt in ledger.ready(step, fresh=fresh, limit=ITEMS):
                    assert attempt.state in LIVE
                    assert ledger.winners(attempt).keys() == set(range(step))

    # helpers

    @property
    def file(self) -> Path:
        return self.path / "ledger.db"

    @property
    def saved(self) -> Path:
        return self.path / "copy.db"

    def state_of(self, dispatch: Dispatch) -> AttemptState | None:
        return self.ledgers[0].dispatch(dispatch.id).state

    def taken_if(self, good: bool, move: Callable[[], object]) -> None:
        if good:
            move()
        else:
            self.refused(move)

    def refused(self, move: Callable[[], object]) -> None:
        before = everything(self.file)
        with pytest.raises(StaleMove):
            move()
        assert everything(self.file) == before


def stranger(dispatch: Dispatch) -> Dispatch:
    """Another dispatch of the same work."""
    name = f"again-{dispatch.name}"
    return replace(dispatch, id=dispatch.id + 10**6, name=name, token=name)


def named(_: object, number: int) -> str:
    return f"d{number:06d}"


def as_ended(
    dispatch: Dispatch, attempts: list[Attempt], states: list[AttemptState], retry: bool
) -> DispatchEnd:
    if dispatch.state is S.CLAIMED:
        states = [S.FAILED] * len(attempts)  # refused: all that can become of it
    ends = (ended(a, state, retry) for a, state in zip(attempts, states, strict=False))
    return DispatchEnd(dispatch, tuple(ends), "told to")


def ended(attempt: Attempt, state: AttemptState, retry: bool) -> AttemptEnd:
    kind = FAILURES.get(state)
    return AttemptEnd(attempt, state, following(attempt, state, retry, kind), kind, "told to")


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
        memory_step = min(1, attempt.memory_step + (kind is K.TIMEOUT))
        return Retry(30.0 if kind is K.LOST else 0.0, memory_step)
    return Finish(ItemState.FAILED, kind)


TestHistories = Histories.TestCase
TestHistories.settings = settings(
    max_examples=25,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
