"""Canaries: the first items have to succeed before any other is begun."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from coordinator.domain.states import FailureKind as K
from coordinator.domain.states import ItemState
from coordinator.engine import Thresholds, Wish, gate_of
from coordinator.ledger import ControlDesk, RedoDesk
from tests.unit.test_driver import World, pipeline


class Mine(World):
    """A world whose first items are canaries."""

    def __init__(self, folder: Path, canaries: int = 2, **options: Any) -> None:
        self.canaries = canaries
        super().__init__(folder, **options)

    def start(self) -> None:
        self.batch = replace(self.batch, canaries=self.canaries)
        super().start()

    def run(self) -> Wish:
        """Drive until it is over, one way or the other."""
        self.clock.on_sleep = self.work
        return self.driver.run(lambda _snapshot: None)

    def begun(self) -> set[str]:
        return {item for _, item, _ in self.worker.runs}

    def lift(self) -> None:
        """As `--resume --canary 0` does."""
        self.ledger.set_record({**self.ledger.record(), "canary": 0})


def test_no_other_item_is_begun_before_they_have_come_to_their_end(tmp_path: Path) -> None:
    world = Mine(tmp_path, count=9, lanes=16)
    for _ in range(500):
        world.tick()
        if set(world.begun()) - {"i0", "i1"}:
            break
        others = {i for i, state in world.states().items() if state != "waiting"} - {"i0", "i1"}
        done = {world.states()[item] for item in ("i0", "i1")} == {"succeeded"}
        assert not others or done
        world.work()
    runs = world.worker.runs
    assert {(step, item) for step, item, _ in runs[:4]} == {
        (step, item) for step in ("translate", "score") for item in ("i0", "i1")
    }
    world.finish()
    world.assert_all_ran_once()


def test_while_they_run_it_is_said_what_the_others_wait_for(tmp_path: Path) -> None:
    world = Mine(tmp_path)
    world.tick()
    held = "canary: the first 2 items must succeed before any other is started"
    assert world.look().paused == held
    world.finish()
    assert world.look().paused == ""


def test_more_canaries_than_may_be_in_flight_go_in_waves(tmp_path: Path) -> None:
    world = Mine(tmp_path, 5, count=12, thresholds=Thresholds(2, 1), steps=pipeline(1))
    world.finish()
    world.assert_all_ran_once()
    assert world.peak <= 2
    first = [item for step, item, _ in world.worker.runs if step == "translate"]
    assert set(first[:5]) == {"i0", "i1", "i2", "i3", "i4"}


def test_a_canary_that_fails_for_good_halts_the_batch_when_all_have_ended(tmp_path: Path) -> None:
    world = Mine(tmp_path, steps=pipeline(1))
    world.behave({(1, "i0"): K.MODEL_ERROR})
    assert world.run() is Wish.DRAIN
    assert world.begun() == {"i0", "i1"}
    assert world.states()["i1"] == "succeeded"
    said = world.driver.halted
    assert said.startswith("canary: 1 of the first 2 items did not succeed")
    assert "(i0: model_error: told to)" in said
    assert "coordinator resubmit b " in said
    assert "coordinator submit --batch_name b --resume --canary 0" in said
    assert not world.ledger.out()


def test_a_canary_that_succeeds_at_another_try_is_good_enough(tmp_path: Path) -> None:
    world = Mine(tmp_path)
    world.behave({(1, "i0"): K.LOST})
    assert world.run() is Wish.FINISH
    assert set(world.states().values()) == {"succeeded"}


def test_a_retry_with_more_memory_is_still_found(tmp_path: Path) -> None:
    steps = pipeline(1, resources={"memory_mb": [1, 2]})
    world = Mine(tmp_path, steps=steps)
    world.behave({(1, "i1"): K.OUT_OF_MEMORY})
    assert world.run() is Wish.FINISH
    assert set(world.states().values()) == {"succeeded"}


def test_a_canary_without_data_lets_the_others_go(tmp_path: Path) -> None:
    world = Mine(tmp_path)
    world.behave({(1, "i0"): "no data"})
    assert world.run() is Wish.FINISH
    assert sorted(set(world.states().values())) == ["no_data", "succeeded"]


def test_a_stopped_canary_keeps_the_gate_closed(tmp_path: Path) -> None:
    world = Mine(tmp_path)
    ControlDesk(world.ledger).stop_waiting(["i0"], "stopped on request")
    assert world.run() is Wish.DRAIN
    assert "i0: stopped: stopped on request" in world.driver.halted
    assert world.begun() == {"i1"}


def test_a_halted_batch_stays_halted_at_a_restart(tmp_path: Path) -> None:
    world = Mine(tmp_path)
    world.behave({(1, "i1"): K.MODEL_ERROR})
    world.run()
    world.restart()
    assert world.run() is Wish.DRAIN
    assert world.begun() == {"i0", "i1"}


def test_a_resubmitted_canary_opens_the_gate_when_it_succeeds(tmp_path: Path) -> None:
    world = Mine(tmp_path)
    world.behave({(1, "i1"): K.MODEL_ERROR})
    world.run()
    world.ledger.reopen(world.ledger.items(ItemState.FAILED))
    world.restart()
    assert world.run() is Wish.FINISH
    assert set(world.states().values()) == {"succeeded"}


def test_who_goes_on_without_canaries_is_obeyed(tmp_path: Path) -> None:
    world = Mine(tmp_path)
    world.behave({(1, "i1"): K.MODEL_ERROR})
    world.run()
    world.lift()
    world.restart()
    assert world.run() is Wish.FINISH
    assert sorted(set(world.states().values())) == ["failed", "succeeded"]


@pytest.mark.parametrize("ticks", range(1, 9))
def test_a_kill_at_any_tick_opens_no_gate(tmp_path: Path, ticks: int) -> None:
    world = Mine(tmp_path, count=5)
    world.behave({(1, "i0"): K.MODEL_ERROR})
    for _ in range(ticks):
        world.tick()
        world.work()
    world.restart()
    assert world.run() is Wish.DRAIN
    assert world.begun() == {"i0", "i1"}


def test_canaries_that_are_done_again_come_first_again(tmp_path: Path) -> None:
    world = Mine(tmp_path, count=4)
    world.finish()
    desk = RedoDesk(world.ledger)
    desk.redo(list(desk.finished(0)), 0, "by somebody")
    world.worker.runs.clear()
    world.restart()
    world.finish()
    assert {item for _, item, _ in world.worker.runs[:4]} == {"i0", "i1"}
    assert len(world.worker.runs) == 8


def test_without_others_that_wait_there_is_no_gate(tmp_path: Path) -> None:
    world = Mine(tmp_path, 6)
    world.behave({(1, "i0"): K.MODEL_ERROR})
    assert world.run() is Wish.FINISH
    assert gate_of(world.ledger, "b", 6) == gate_of(world.ledger, "b", 99)
    assert gate_of(world.ledger, "b", 1).first is None


def test_canaries_share_the_lanes_as_if_there_were_no_others(tmp_path: Path) -> None:
    world = Mine(tmp_path, 4, count=60, lanes=2, steps=pipeline(8))
    world.tick()
    assert sorted(dispatch.size for dispatch in world.ledger.out()) == [1, 1, 2]
