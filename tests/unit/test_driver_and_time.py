"""The driver, what it waits for, and pictures of the cluster that are older than what it knows."""

from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from coordinator.engine import Thresholds, Wish, dispatching, driver
from coordinator.errors import JobRefused
from coordinator.parallel import staged
from tests.unit.test_driver import World, pipeline


def test_it_waits_again_when_all_is_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (dispatching, driver):
        monkeypatch.setattr(module, "BURST", 1)
    world = World(tmp_path, count=2, lanes=None, steps=pipeline(1))
    monkeypatch.setattr(world.cluster, "_start_pending", lambda: None)  # nothing happens there

    def leave_when_idle() -> None:
        if len(world.clock.slept) > 20:
            world.driver.wish(Wish.LEAVE)

    world.clock.on_sleep = leave_when_idle
    world.driver.run(lambda _snapshot: None)
    assert world.clock.slept[:2] == [0.0, 0.0]
    assert world.clock.slept[-1] == driver.Pace.longest


class Procrastinator:
    """Begins what is asked of it, and does it when it is told to."""

    def __init__(self) -> None:
        self.begun: list[tuple[Future[Any], Callable[[], Any]]] = []

    def start(self, work: Callable[[], Any]) -> Future[Any]:
        self.begun.append((Future(), work))
        return self.begun[-1][0]

    def pass_time(self, _seconds: float) -> None:
        """It does not help."""

    def finish(self) -> None:
        for future, work in self.begun:
            future.set_result(work())


def test_what_has_ended_is_not_undone_by_an_older_picture(tmp_path: Path) -> None:
    world, stage = World(tmp_path, count=1), Procrastinator()
    with staged(stage):
        world.tick()
        world.work()
        [job] = world.cluster.jobs.values()
        world.tick()
        ending, job.ending = job.ending, None  # as a server that lags behind tells it
        world.tick()
        stage.finish()
        job.ending = ending
        world.tick()
    assert world.history("i0")[0] == (0, 1, "succeeded", None)


def test_a_refusal_does_not_undo_the_pause_that_it_filled(tmp_path: Path) -> None:
    """Two of two are in flight, and one is refused: that is not the resume threshold yet."""
    world = World(tmp_path, count=4, lanes=1, steps=pipeline(1), thresholds=Thresholds(2, 0))
    world.cluster.fail("submit", JobRefused("told to"))
    world.tick()
    assert world.ledger.was_paused()
    world.tick()
    assert len(world.ledger.out()) == 1
