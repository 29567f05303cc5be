"""The engine's pure rules: throttle, pack sizes, what follows an end, and what has changed."""

import math
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.cluster import JobId, Observation, Phase
from coordinator.domain.items import WorkItem
from coordinator.domain.states import AttemptState, FailureKind, ItemState
from coordinator.domain.verdicts import Ending, Verdict, returned
from coordinator.engine import Thresholds, is_paused, sort_key, thresholds_for
from coordinator.engine.packs import Left, Rule, cut, most_out
from coordinator.engine.policy import sequel_of
from coordinator.engine.reconcile import Ended, reconcile
from coordinator.errors import UsageError
from coordinator.ledger import Attempt, Dispatch, Finish, NextStep, Retry
from coordinator.pipelines import Pipeline

S, K = AttemptState, FailureKind


# thresholds


def walk(thresholds: Thresholds, numbers: list[int]) -> list[bool]:
    """Whether it is paused after each number of items in flight."""
    paused, seen = False, []
    for in_flight in numbers:
        paused = is_paused(in_flight, paused, thresholds)
        seen.append(paused)
    return seen


def test_it_pauses_at_one_number_and_goes_on_at_another() -> None:
    numbers = [0, 7, 8, 9, 8, 7, 5, 4, 5, 7, 8, 4]
    paused = [n in (2, 3, 4, 5, 6, 10) for n in range(12)]
    assert walk(Thresholds(8, 4), numbers) == paused


def test_a_resume_threshold_of_0_waits_for_all() -> None:
    assert walk(Thresholds(2, 0), [1, 2, 1, 0, 1, 2]) == [False, True, True, False, False, True]


def test_a_resume_threshold_just_below_has_no_slack() -> None:
    assert walk(Thresholds(3, 2), [2, 3, 2, 3, 2]) == [False, True, False, True, False]
    assert walk(Thresholds(1, 0), [0, 1, 0]) == [False, True, False]


@given(st.integers(1, 50), st.integers(0, 50), st.lists(st.integers(0, 60)))
def test_hysteresis(stop: int, below: int, numbers: list[int]) -> None:
    thresholds = Thresholds(stop, min(below, stop - 1))
    paused = [False, *walk(thresholds, numbers)]
    for number, (before, after) in zip(numbers, pairwise(paused), strict=True):
        if number >= stop:
            assert after
        elif number <= thresholds.resume_at:
            assert not after
        else:
            assert after == before


@pytest.mark.parametrize(("stop", "resume"), [(4, 4), (4, 5), (0, 0), (4, -1), (-1, -2), (1, 1)])
def test_thresholds_that_cannot_be_meant(stop: int, resume: int) -> None:
    with pytest.raises(UsageError) as caught:
        Thresholds(stop, resume)
    words = caught.value.hint.split()
    advised = Thresholds(int(words[1]), int(words[3]))
    assert words[::2] == ["--stop_threshold", "--resume_threshold"] and advised


def test_thresholds_follow_from_lanes_and_packs() -> None:
    assert thresholds_for(None, None, lanes=4, pack=16) == Thresholds(128, 96)
    assert thresholds_for(8, 4, lanes=4, pack=16) == Thresholds(8, 4)
    assert thresholds_for(2, 0, lanes=4, pack=16) == Thresholds(2, 0)
    assert thresholds_for(8, None, lanes=4, pack=16) == Thresholds(8, 6)
    with pytest.raises(UsageError):
        thresholds_for(8, 8, lanes=4, pack=16)


@given(st.integers(1, 1000), st.integers(1, 1000))
def test_derived_thresholds_can_always_be_meant(lanes: int, pack: int) -> None:
    thresholds = thresholds_for(None, None, lanes=lanes, pack=pack)
    assert thresholds.stop_at >= lanes * pack
    assert thresholds_for(lanes, None, lanes=lanes, pack=pack).stop_at == lanes


# packs


COSTS = st.lists(st.integers(1, 10**6), max_size=400)
LANES = st.none() | st.integers(1, 64)


def sizes_of(costs: list[int], rule: Rule, *, most: float = 1) -> list[int]:
    """All packs until nothing is left, so many at a time."""
    sizes: list[int] = []
    while begun := costs[sum(sizes) :]:
        more = cut(begun, Left(len(begun), sum(begun)), rule, room=math.inf, most=most)
        assert 1 <= len(more) <= most
        sizes += more
    return sizes


@given(COSTS, LANES, st.integers(1, 200), st.floats(0, 10**7), st.integers(1, 20))
def test_packs_hold_every_item_and_never_more_than_the_largest(
    costs: list[int], lanes: int | None, top: int, loading: float, most: int
) -> None:
    sizes = sizes_of(costs, Rule(lanes, top, loading), most=most)
    assert sum(sizes) == len(costs)
    assert all(1 <= size <= top for size in sizes)


@given(COSTS, LANES, st.integers(1, 200), st.integers(0, 500), st.integers(0, 20))
def test_packs_pass_neither_the_room_nor_the_number(
    costs: list[int], lanes: int | None, top: int, room: int, most: int
) -> None:
    sizes = cut(costs, Left(len(costs), sum(costs)), Rule(lanes, top), room=room, most=most)
    assert sum(sizes) <= room and len(sizes) <= most


@given(st.integers(1, 3000), st.integers(1, 64), st.integers(1, 200), st.integers(1, 1000))
def test_packs_of_equal_items_shrink_and_no_lane_is_left_without_one(
    items: int, lanes: int, top: int, cost: int
) -> None:
    sizes = sizes_of([cost] * items, Rule(lanes, top))
    assert all(later <= earlier + 1 for earlier, later in pairwise(sizes))
    assert len(sizes) >= min(lanes, items)


@given(st.integers(1, 500), st.integers(1, 16), st.floats(1, 10**6))
def test_no_lane_that_is_free_goes_without_however_long_loading_takes(
    items: int, lanes: int, loading: float
) -> None:
    rule = Rule(lanes, largest=1000, loading=loading)
    sizes = cut([1] * items, Left(items, items), rule, room=math.inf, most=most_out(lanes))
    assert len(sizes) >= min(lanes, items)


def first_pack(costs: list[int], lanes: int | None, loading: float = 0.0) -> int:
    left = Left(len(costs), sum(costs))
    return cut(costs, left, Rule(lanes, 64, loading), room=math.inf, most=1)[0]


def test_packs_share_what_is_left_among_the_lanes() -> None:
    assert first_pack([1] * 1000, 4) == 64
    assert first_pack([1] * 400, 4) == 50
    assert first_pack([1] * 200, 4) == 32  # a dispatch has a price
    assert first_pack([1] * 8, 4) == 2  # but no lane goes without
    assert first_pack([1] * 1000, None) == 64


def test_packs_are_cut_by_what_items_cost() -> None:
    assert first_pack([100, 100, 1, 1, 1, 1], 2) == 1
    assert first_pack([1, 1, 1, 1, 100, 100], 2) == 5
    assert first_pack([1000] * 40, 4) == first_pack([1] * 40, 4)


def test_a_pack_works_as_long_as_its_model_loads() -> None:
    few = [10] * 60
    assert first_pack(few, 4, loading=200.0) == 20
    assert first_pack(few, 4, loading=1.0) == 10  # an exact share


def test_a_short_queue_waits_at_the_cluster() -> None:
    assert [most_out(lanes) for lanes in (1, 2, 4, 16, None)] == [2, 3, 5, 20, math.inf]


# what follows


def pipeline(**first: Any) -> Pipeline:
    steps = [
        {"name": "translate", "job": "command", "options": {"command": ["true"]}, **first},
        {
            "name": "score", "job": "command", "options": {"command": ["true"]},
            "pack": {"sort_by": "to"},
        },
    ]  # fmt: skip
    return Pipeline.model_validate({"name": "p", "steps": steps})


def attempt(step: int = 0, memory_step: int = 0) -> Attempt:
    return Attempt(
        id=1, item=WorkItem("i", properties={"to": "deu"}), seq=0, step=step, number=1, round=1,
        state=S.RUNNING, sort_key="", memory_step=memory_step, fresh=False,
    )  # fmt: skip


def failed(kind: FailureKind) -> Verdict:
    return Verdict({K.LOST: S.LOST, K.UNKNOWN: S.UNKNOWN}.get(kind, S.FAILED), kind, "because")


IN_ALL = {
    K.INFRASTRUCTURE: 3,
    K.LOST: 3,
    K.OUT_OF_MEMORY: 2,
    K.TIMEOUT: 2,
    K.UNKNOWN: 2,
    K.BAD_INPUT: 1,
    K.MODEL_ERROR: 1,
    K.CREDENTIALS: 1,
}


@pytest.mark.parametrize("kind", sorted(set(K) - {K.STOPPED}))
def test_each_kind_has_its_number_of_attempts(kind: FailureKind) -> None:
    plain = pipeline()
    follow = [sequel_of(attempt(), failed(kind), {kind: n}, plain) for n in range(IN_ALL[kind])]
    assert all(isinstance(sequel, Retry) for sequel in follow[:-1])
    assert follow[-1] == Finish(ItemState.FAILED, kind)


@pytest.mark.parametrize("kind", sorted(set(K) - {K.STOPPED}))
def test_other_kinds_are_not_counted(kind: FailureKind) -> None:
    others = {other: 99 for other in K if other is not kind}
    sequel = sequel_of(attempt(), failed(kind), others, pipeline())
    assert isinstance(sequel, Retry) == (IN_ALL[kind] > 1)


def test_the_file_overrules_the_defaults() -> None:
    eager = pipeline(
        retry={"bad_input": {"attempts": 2, "wait_seconds": 7}, "lost": {"attempts": 1}}
    )
    assert sequel_of(attempt(), failed(K.BAD_INPUT), {}, eager) == Retry(7.0)
    assert sequel_of(attempt(), failed(K.LOST), {}, eager) == Finish(ItemState.FAILED, K.LOST)
    assert sequel_of(attempt(1), failed(K.BAD_INPUT), {}, eager) == Finish(
        ItemState.FAILED, K.BAD_INPUT
    )


def test_out_of_memory_grows_memory_up_to_the_last_step() -> None:
    sized = pipeline(resources={"memory_mb": [1, 2, 4]}, retry={"out_of_memory": {"attempts": 20}})
    for before, after in [(0, 1), (1, 2), (2, 2)]:
        sequel = sequel_of(attempt(memory_step=before), failed(K.OUT_OF_MEMORY), {}, sized)
        assert sequel == Retry(memory_step=after)
    assert sequel_of(attempt(memory_step=1), failed(K.LOST), {}, sized) == Retry(memory_step=1)


def test_what_was_returned_comes_again_unchanged() -> None:
    verdict = returned(Ending(exit_code=137))
    sequel = sequel_of(attempt(memory_step=1), verdict, dict.fromkeys(K, 99), pipeline())
    assert sequel == Retry(memory_step=1)


def test_the_good_ends() -> None:
    success, nothing = Verdict(S.SUCCEEDED), Verdict(S.NO_DATA)
    assert sequel_of(attempt(0), success, {}, pipeline()) == NextStep("deu")
    assert sequel_of(attempt(1), success, {}, pipeline()) == Finish(ItemState.SUCCEEDED)
    assert sequel_of(attempt(0), nothing, {}, pipeline()) == Finish(ItemState.NO_DATA)


def test_what_was_stopped_does_not_come_by_itself() -> None:
    sequel = sequel_of(attempt(), Verdict(S.STOPPED, K.STOPPED), {}, pipeline())
    assert sequel == Finish(ItemState.STOPPED, K.STOPPED)


def test_items_are_sorted_by_a_property_or_else_the_largest_go_first() -> None:
    first, second = pipeline().steps
    unknown, known = sort_key(WorkItem("i"), first), WorkItem("i", properties={"to": "deu"})
    assert sort_key(known, first) == unknown
    costs = [10**12, 5000, 2000, 3, 1]
    assert sorted(costs, key=lambda cost: sort_key(WorkItem("i", cost=cost), first)) == costs
    assert sort_key(WorkItem("i", cost=1024), first) == sort_key(WorkItem("i", cost=2047), first)
    assert sort_key(WorkItem("i", properties={"to": "deu"}), second) == "deu"
    assert sort_key(WorkItem("i"), second) == ""


# what has changed


def dispatch(number: int, state: AttemptState = S.SUBMITTED, **changes: Any) -> Dispatch:
    values = {
        "id": number, "step": 0, "name": f"d{number}", "token": f"t{number}", "state": state,
        "job_id": f"j{number}", "stop_reason": "", "memory_step": 0, "size": 1,
        "claimed_at": 0.0, "submitted_at": 0.0, "ended_at": None,
    }  # fmt: skip
    return Dispatch(**{**values, **changes})


LIMITS = dict.fromkeys(range(9), 10.0)
RUNS, RUNS_LONG = Observation(Phase.RUNNING, 3.0), Observation(Phase.RUNNING, 10.1)
DONE = Ending(exit_code=0)
ENDED = Observation(Phase.ENDED, node="n", ending=DONE)


def test_silence_and_pending_change_nothing() -> None:
    out = [dispatch(1), dispatch(2, S.RUNNING), dispatch(3)]
    changes = reconcile(out, {JobId("j3"): Observation(Phase.PENDING)}, LIMITS)
    assert (changes.running, changes.ended, changes.slow) == ((), (), ())


def test_what_is_seen_to_run_and_to_end() -> None:
    out = [dispatch(1), dispatch(2, S.RUNNING), dispatch(3), dispatch(4, S.RUNNING)]
    seen = {JobId(f"j{n}"): look for n, look in [(1, RUNS), (2, RUNS), (3, ENDED), (4, ENDED)]}
    changes = reconcile(out, seen, LIMITS)
    assert changes.running == (out[0],) and changes.slow == ()
    assert changes.ended == (Ended(out[2], DONE, "n"), Ended(out[3], DONE, "n"))


def test_slow_is_what_runs_past_its_limit() -> None:
    out = [dispatch(1), dispatch(2, S.RUNNING), dispatch(3, S.RUNNING)]
    seen = {JobId("j1"): RUNS_LONG, JobId("j2"): RUNS_LONG, JobId("j3"): RUNS}
    changes = reconcile(out, seen, LIMITS)
    assert changes.slow == ((out[0], 10.1), (out[1], 10.1))
    assert reconcile(out, seen, dict.fromkeys(range(9), 10.1)).slow == ()


def test_a_dispatch_that_should_have_stopped_is_slow_still() -> None:
    """Why it is stopped was written down; whether the cluster ever heard of it is not known."""
    stopping = dispatch(1, S.RUNNING, stop_reason="time_limit")
    assert reconcile([stopping], {JobId("j1"): RUNS_LONG}, LIMITS).slow == ((stopping, 10.1),)
