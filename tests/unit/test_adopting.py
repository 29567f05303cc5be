"""A ledger restored from an older copy learns of what it does not know; nothing is done twice."""

import random
from pathlib import Path

import pytest

from coordinator.domain.states import FailureKind
from coordinator.ledger import Ledger, PortableLedger
from tests.unit.test_driver import DONE, World, pipeline

COPY = "copy.db"


def save(world: World) -> None:
    (world.folder / COPY).unlink(missing_ok=True)
    PortableLedger(world.ledger).backup(world.folder / COPY)


def restore(world: World) -> None:
    """Another host goes on from the copy; the ledger that was is gone."""
    world.ledger.close()
    home = world.folder / "elsewhere"
    home.mkdir(exist_ok=True)
    (world.folder / COPY).rename(home / "ledger.db")
    world.ledger = Ledger.open(home, world.clock)
    PortableLedger(world.ledger).begin_lineage(gap=True)
    world.start()
    world.driver.recover()


def go_on(world: World, rng: random.Random, rounds: int) -> None:
    for _ in range(rounds):
        world.tick()
        if rng.random() < 0.6:
            world.work()


def world_of(folder: Path, size: int) -> World:
    return World(folder, count=9, steps=pipeline(size))


@pytest.mark.parametrize("seed", range(24))
def test_nothing_is_done_twice_and_nothing_is_lost(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    world = world_of(tmp_path, rng.choice([1, 2, 4]))
    world.behave({(1, "i3"): FailureKind.INFRASTRUCTURE, (1, "i5"): FailureKind.INFRASTRUCTURE})
    go_on(world, rng, rng.randint(0, 6))
    save(world)
    go_on(world, rng, rng.randint(1, 8))
    restore(world)
    world.finish()
    assert set(world.states().values()) == {"succeeded"}
    assert len(world.worker.runs) == len(set(world.worker.runs))  # no attempt ran twice
    tokens = [token for _, token in world.cluster.submissions]
    assert len({job.token for job in world.cluster.jobs.values()}) == len(world.cluster.jobs)
    assert len(set(tokens)) == len(world.cluster.jobs)
    assert not PortableLedger(world.ledger).has_gap


@pytest.mark.parametrize("seed", range(8))
def test_a_kill_while_it_catches_up_changes_nothing(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    world = world_of(tmp_path, 2)
    save(world)
    go_on(world, rng, 6)
    restore(world)
    world.tick()
    world.ledger.close()
    world.ledger = Ledger.open(tmp_path / "elsewhere", world.clock)
    world.start()
    world.driver.recover()
    world.finish()
    world.assert_all_ran_once()


def test_jobs_that_the_cluster_has_forgotten_are_sent_again_under_their_token(
    tmp_path: Path,
) -> None:
    world = world_of(tmp_path, 2)
    save(world)
    world.tick()
    world.work(DONE)
    known = {job.token for job in world.cluster.jobs.values()}
    for job in list(world.cluster.jobs):
        world.cluster.forget(job)
    restore(world)
    world.tick()
    assert {job.token for job in world.cluster.jobs.values()} >= known
    world.finish()
    assert set(world.states().values()) == {"succeeded"}


def test_a_dispatch_that_no_longer_fits_is_passed_over(tmp_path: Path) -> None:
    """Its item was stopped meanwhile: nothing waits for it for ever."""
    world = world_of(tmp_path, 1)
    save(world)
    world.tick()
    handoffs = list(world.storage.list("b/handoff/"))
    data = world.storage.read(handoffs[0]).replace(b'"attempt":1', b'"attempt":7')
    world.storage.write(handoffs[0], data)
    world.storage.write("b/handoff/nonsense.json", b"{")
    restore(world)
    world.finish()
    assert set(world.states().values()) == {"succeeded"}
    whys = [e.why for e in world.ledger.events() if e.action == "restored"]
    assert len(whys) == 1 and whys[0].endswith("1 passed over")
