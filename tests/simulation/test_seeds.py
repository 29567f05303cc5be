"""A few hundred seeds: batches through all kinds of faults, and what must hold when they are over.

Where one fails: `python -m tests.simulation SEED --items 30` tells the story, line by line.
"""

from pathlib import Path

import pytest

from coordinator.cluster.simulated import Fault
from tests.simulation.batch import simulate
from tests.simulation.plan import RATES, RATES_ON_NOMAD, plan_of
from tests.simulation.soak import Figures

ITEMS, SEEDS, PART = 30, 200, 25


@pytest.mark.parametrize("first", range(0, SEEDS, PART))
def test_nothing_is_lost_doubled_or_misjudged(first: int) -> None:
    seen = [simulate(seed, ITEMS) for seed in range(first, first + PART)]
    violated = {
        f"python -m tests.simulation {each.seed} --items {ITEMS}": each.violations
        for each in seen
        if each.violations
    }
    assert not violated
    assert sum(sum(each.faults.values()) for each in seen) > PART


@pytest.mark.parametrize("seed", [3, 11])
def test_a_seed_is_the_same_story_each_time(seed: int) -> None:
    first, again = (simulate(seed, ITEMS, told=True) for _ in range(2))
    assert first.story == again.story
    assert len(first.story) > 10 * ITEMS


def test_every_fault_has_its_rate() -> None:
    fates = {fault for seed in range(20) for fault in plan_of(seed, 100).fates.values()}
    assert fates | set(RATES) | set(RATES_ON_NOMAD) == set(Fault)


def test_many_items_are_simulated_too() -> None:
    seen = simulate(5, 200)
    assert seen.violations == ()


def test_a_soak_goes_on_where_it_was(tmp_path: Path) -> None:
    file = tmp_path / "kept" / "simulation.json"
    figures = Figures(ITEMS)
    figures.add([simulate(seed, ITEMS) for seed in range(3)], 1.5)
    figures.violations[2] = ["told to"]
    figures.keep(file)
    assert Figures.kept(file, ITEMS) == figures
    assert Figures.kept(file, ITEMS + 1) == Figures(ITEMS + 1)
