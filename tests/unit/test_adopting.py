"""A ledger restored from an older copy learns of what it does not know; nothing is done twice."""

import random
import shutil
from collections import Counter
from pathlib import Path

import pytest

from coordinator.domain.items import WorkItem
from coordinator.domain.states import FailureKind, ItemState
from coordinator.domain.verdicts import Ending
from coordinator.ledger import Ledger, PortableLedger
from tests.fakes import HUNG, NO_DATA, NOT_BEGUN, OK
from tests.unit.test_driver import DONE, World, pipeline

K, I = FailureKind, ItemState  # noqa: E741
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


def test_jobs_that_the_cluster_has_forgotten_are_judged_by_what_they_left(tmp_path: Path) -> None:
    world = world_of(tmp_path, 2)
    save(world)
    world.tick()
    world.work(DONE)
    world.forget_ended()
    restore(world)
    world.finish()
    world.assert_all_ran_once()
    assert max(Counter(world.cluster.submissions).values()) == 1


def test_a_dispatch_of_which_nothing_is_found_is_sent_again_under_its_token(tmp_path: Path) -> None:
    world = world_of(tmp_path, 2)
    save(world)
    world.tick()
    sent = set(world.cluster.submissions)
    world.forget_all()  # before anything was begun
    restore(world)
    world.tick()
    assert set(world.cluster.submissions) == sent
    world.finish()
    world.assert_all_ran_once()


# from nothing but what the batch has left


def rebuild(world: World) -> None:
    """The ledger is gone, and one of a batch that was just submitted takes its place."""
    world.ledger.close()
    shutil.rmtree(world.folder / "state")
    items = [(WorkItem(f"i{n}"), "") for n in range(world.count)]
    world.ledger = Ledger.create(world.folder / "state", world.clock, {}, items)
    PortableLedger(world.ledger).begin_lineage(gap=True)
    world.restart()


def troubled(rng: random.Random) -> dict[tuple[int, str], object]:
    ways = [K.INFRASTRUCTURE, K.BAD_INPUT, K.OUT_OF_MEMORY, HUNG, NOT_BEGUN, NO_DATA, OK, OK]
    return {(number, f"i{n}"): rng.choice(ways) for number in (1, 2) for n in range(9)}


@pytest.mark.parametrize("logs", [True, False], ids=["logs", "no-logs"])
@pytest.mark.parametrize("seed", range(30))
def test_a_rebuilt_ledger_comes_to_the_same_end(tmp_path: Path, seed: int, logs: bool) -> None:
    """At any moment, whether or not the cluster remembers the jobs and the log tree is there."""
    rng = random.Random(seed)
    world = world_of(tmp_path, rng.choice([1, 2, 4]))
    world.behave(troubled(rng))
    go_on(world, rng, rng.randint(0, 9))
    if rng.random() < 0.5:
        world.forget_ended()
    if not logs:
        shutil.rmtree(tmp_path / "logs", ignore_errors=True)
    rebuild(world)
    world.finish()
    assert len(world.states()) == 9 and set(world.states().values()) <= {
        "succeeded",
        "failed",
        "no_data",
    }
    assert max(Counter(world.worker.runs).values(), default=1) == 1, "an attempt ran twice"
    assert not PortableLedger(world.ledger).has_gap
    for item, state in world.states().items():
        assert state != "succeeded" or world.storage.size(f"b/items/{item}/s.txt") is not None


def ended(world: World) -> dict[str, tuple[str, list[tuple[int, int, str]]]]:
    """Item -> its state, and what was tried for it: step, number, how it ended."""
    histories = {item: [row[:3] for row in world.history(item)] for item in world.states()}
    return {item: (state, histories[item]) for item, state in world.states().items()}


@pytest.mark.parametrize("seed", range(10))
def test_a_finished_batch_is_rebuilt_without_sending_anything(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    world = world_of(tmp_path, rng.choice([1, 2, 4]))
    world.behave(troubled(rng))
    world.finish()
    world.ledger.reopen(world.ledger.items(I.FAILED))  # as `resubmit` does
    world.behave({})
    world.finish()
    before, sent = ended(world), len(world.cluster.submissions)
    world.forget_all()
    rebuild(world)
    world.finish()
    assert len(world.cluster.submissions) == sent
    assert ended(world) == before


def test_the_number_of_a_pack_that_is_passed_over_stays_its_own(tmp_path: Path) -> None:
    """A late outcome wins over the attempt that was lost, and its second attempt counts not."""
    world = world_of(tmp_path, 9)
    world.behave({(1, f"i{n}"): HUNG for n in range(9)})
    world.tick()
    first = world.cluster.running()
    world.work(Ending(gone=True))
    world.tick()
    world.behave({})
    world.worker.work(world.cluster.jobs[first[0]].spec)  # it ran on, beside its replacement
    names = {name for name, _ in world.cluster.submissions}
    world.forget_ended()
    rebuild(world)
    world.finish()
    assert set(world.states().values()) == {"succeeded"}
    later = [name for name, _ in world.cluster.submissions]
    assert len(later) == len(set(later)) and set(later) >= names


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
