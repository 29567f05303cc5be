"""When the last of some packs ends, and how much of the lanes is idle until then."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.engine import Makespan, Run, makespan

SECONDS = st.floats(0, 10_000)
RUNS = st.lists(st.builds(Run, load=SECONDS, work=SECONDS), min_size=1, max_size=60)
LANES = st.integers(1, 40)
NEARLY = 1e-6


def busy(runs: list[Run]) -> float:
    return sum(run.load + run.work for run in runs)


@given(RUNS, LANES)
def test_it_lies_between_the_bounds_of_list_scheduling(runs: list[Run], lanes: int) -> None:
    took = makespan(runs, lanes).seconds
    longest = max(run.load + run.work for run in runs)
    assert took >= max(longest, busy(runs) / lanes) * (1 - NEARLY)
    assert took <= (busy(runs) / lanes + longest * (1 - 1 / lanes)) * (1 + NEARLY) + NEARLY


@given(RUNS, LANES)
def test_all_time_is_work_or_loading_or_idle(runs: list[Run], lanes: int) -> None:
    made = makespan(runs, lanes)
    assert made.load + made.work == pytest.approx(busy(runs))
    assert 0 <= made.idle_share <= 1 and 0 <= made.load_share <= 1
    idle = lanes * made.seconds - made.load - made.work
    assert made.idle_share * lanes * made.seconds == pytest.approx(idle, abs=1e-3)


@given(RUNS)
def test_one_lane_is_never_idle(runs: list[Run]) -> None:
    made = makespan(runs, 1)
    assert made.seconds == pytest.approx(busy(runs))
    assert made.idle_share == pytest.approx(0, abs=NEARLY)


@given(RUNS, LANES)
def test_more_lanes_than_runs_end_with_the_longest(runs: list[Run], lanes: int) -> None:
    longest = max(run.load + run.work for run in runs)
    assert makespan(runs, len(runs) + lanes).seconds == pytest.approx(longest)


def test_an_example() -> None:
    made = makespan([Run(1, 3), Run(1, 1), Run(1, 1)], lanes=2)
    assert (made.seconds, made.load, made.work) == (4, 3, 5)
    assert (made.idle_share, made.load_share) == (0, 3 / 8)
    assert makespan([], lanes=3) == Makespan(3, 0, 0, 0)
    assert makespan([], lanes=3).idle_share == 0
