"""Items that have ended are done again from a step on: new attempts, old ones as history."""

from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from coordinator.domain.states import FailureKind, ItemState
from coordinator.engine import Thresholds
from coordinator.errors import StaleMove
from coordinator.ledger import ControlDesk, CountedFrom, Finished, Ledger, RedoDesk
from tests.fakes import NO_DATA
from tests.ledger_checks import check_ledger
from tests.unit.test_adopting import rebuild
from tests.unit.test_driver import World

K = FailureKind
TRANSLATE, SCORE = 0, 1


def finished(folder: Path, behaviour: dict[tuple[int, str], object] | None = None) -> World:
    world = World(folder)
    world.behave(dict(behaviour or {}))
    world.finish()
    return world


def redo(world: World, step: int, *ids: str) -> list[str]:
    """As `rescore` and `rerun` do; the ids of what waits now."""
    desk = RedoDesk(world.ledger)
    items = list(desk.finished(step, ids or None))
    assert desk.redo(items, step, "by somebody") == len(items)
    check_ledger(world.ledger.path)
    return [item.id for item in items]


def runs(world: World) -> Counter[str]:
    return Counter(step for step, _, _ in world.worker.runs)


def published(world: World, item: str, name: str) -> str | None:
    key = f"b/items/{item}/{name}"
    return None if world.storage.size(key) is None else world.storage.read(key).decode()


def test_scoring_again_starts_nothing_but_scoring(tmp_path: Path) -> None:
    world = finished(tmp_path)
    assert redo(world, SCORE) == [f"i{n}" for n in range(6)]
    assert world.look().tally.items == {ItemState.WAITING: 6}
    world.finish()
    assert runs(world) == {"translate": 6, "score": 12}
    for item, state in world.states().items():
        assert state == "succeeded"
        assert published(world, item, "t.txt") == f"translate {item} 1"
        assert published(world, item, "s.txt") == f"score {item} 2"
        assert world.storage.read(f"b/items/{item}/score/a1/s.txt") == f"score {item} 1".encode()
    steps = {step.name: (step.done, step.total) for step in world.look().steps}
    assert steps == {"translate": (6, 6), "score": (6, 6)}


def test_until_the_new_attempt_wins_the_old_files_stay(tmp_path: Path) -> None:
    world = finished(tmp_path)
    redo(world, SCORE, "i0")
    world.tick()
    assert published(world, "i0", "s.txt") == "score i0 1"
    world.work()
    world.tick()
    assert published(world, "i0", "s.txt") == "score i0 2"


def test_scores_are_never_seen_beside_other_translations(tmp_path: Path) -> None:
    world = finished(tmp_path)
    redo(world, TRANSLATE, "i0")
    world.tick()
    both = published(world, "i0", "t.txt"), published(world, "i0", "s.txt")
    assert both == ("translate i0 1", "score i0 1")
    assert world.ledger.published("i0").keys() == {"t.txt", "s.txt"}
    world.work()
    world.tick()  # translated again, and not scored yet
    both = published(world, "i0", "t.txt"), published(world, "i0", "s.txt")
    assert both == ("translate i0 2", None)
    assert world.ledger.published("i0").keys() == {"t.txt"}
    world.finish()
    assert published(world, "i0", "s.txt") == "score i0 2"
    assert published(world, "i1", "s.txt") == "score i1 1"


def test_a_step_reads_what_its_newest_predecessor_left(tmp_path: Path) -> None:
    world = finished(tmp_path)
    redo(world, TRANSLATE, "i0")
    world.finish()
    redo(world, SCORE, "i0")
    world.finish()
    last = world.worker.handoff(list(world.cluster.jobs.values())[-1].spec)
    assert [i.inputs["text"].key for i in last.items] == ["b/items/i0/translate/a2/t.txt"]
    assert [i.attempt for i in last.items] == [3]


def test_what_never_came_to_the_step_is_left_alone(tmp_path: Path) -> None:
    world = finished(tmp_path, {(1, "i1"): K.MODEL_ERROR, (1, "i2"): NO_DATA})
    before = world.states()
    assert redo(world, SCORE) == ["i0", "i3", "i4", "i5"]
    world.finish()
    assert world.states() == before
    early = list(RedoDesk(world.ledger).finished(TRANSLATE, ["i1"]))
    with pytest.raises(StaleMove):
        RedoDesk(world.ledger).redo(early, SCORE, "")
    assert redo(world, TRANSLATE) == [f"i{n}" for n in range(6)]
    world.finish()
    assert set(world.states().values()) == {"succeeded"}


def test_retries_begin_anew(tmp_path: Path) -> None:
    """Infrastructure has three tries: one was spent before, and two more fail now."""
    again = {(number, "i0"): K.INFRASTRUCTURE for number in (1, 3, 4)}
    world = finished(tmp_path, again)
    assert world.states()["i0"] == "succeeded"
    redo(world, TRANSLATE, "i0")
    world.finish()
    assert world.states()["i0"] == "succeeded"
    assert [row[1] for row in world.history("i0") if row[0] == TRANSLATE] == [1, 2, 3, 4, 5]


def test_two_who_ask_at_once_have_it_done_once(tmp_path: Path) -> None:
    world = finished(tmp_path)
    items = list(RedoDesk(world.ledger).finished(SCORE))
    other = Ledger.open(world.folder / "state", world.clock)
    RedoDesk(other).redo(items, SCORE, "")
    for stale in (items, items[:1], [Finished("absent", 99, 1)]):
        with pytest.raises(StaleMove):
            RedoDesk(world.ledger).redo(stale, SCORE, "")
    other.close()
    world.finish()
    assert runs(world)["score"] == 12


def test_some_that_moved_keep_all_from_being_moved(tmp_path: Path) -> None:
    world = finished(tmp_path)
    items = list(RedoDesk(world.ledger).finished(SCORE))
    redo(world, SCORE, "i5")
    with pytest.raises(StaleMove):
        RedoDesk(world.ledger).redo(items, SCORE, "")
    assert world.states()["i0"] == "succeeded"
    check_ledger(world.ledger.path)


def test_thresholds_hold_for_what_is_done_again(tmp_path: Path) -> None:
    world = World(tmp_path, count=9, thresholds=Thresholds(4, 2))
    world.finish()
    redo(world, SCORE)
    world.finish()  # which looks after each tick
    assert world.peak == 4 and runs(world)["score"] == 18


def test_a_crash_at_any_tick_changes_nothing(tmp_path: Path) -> None:
    world = finished(tmp_path)
    redo(world, SCORE)
    while not world.is_over():
        world.tick()
        world.restart()
        world.work()
    assert runs(world) == {"translate": 6, "score": 12}
    world.assert_one_job_a_token()


def test_what_counts_begins_where_it_was_done_again(tmp_path: Path) -> None:
    world = finished(tmp_path, {(1, "i1"): K.INFRASTRUCTURE, (1, "i2"): K.MODEL_ERROR})
    desk = RedoDesk(world.ledger)
    assert list(desk.counted_from()) == []
    world.ledger.reopen(world.ledger.items(ItemState.FAILED))
    world.behave({})
    world.finish()
    assert list(desk.counted_from()) == [], "a retry and a resubmission count from the first"
    redo(world, SCORE, "i0")
    assert list(desk.counted_from()) == [CountedFrom("i0", SCORE, 2)]
    redo(world, TRANSLATE, "i1")
    world.finish()
    expected = {("i0", SCORE, 2), ("i1", SCORE, 2)}  # the last step that was begun again
    assert set(desk.counted_from()) == expected
    redo(world, TRANSLATE, "i0", "i1")
    expected = {("i0", TRANSLATE, 2), ("i0", SCORE, 3), ("i1", TRANSLATE, 4), ("i1", SCORE, 3)}
    assert set(desk.counted_from()) == expected


def test_an_item_that_is_done_again_may_be_stopped(tmp_path: Path) -> None:
    world = finished(tmp_path)
    redo(world, SCORE)
    with closing(Ledger.open(world.folder / "state", world.clock)) as other:
        desk = ControlDesk(other)
        desk.ask(lambda now: now.changed(items=("i0",)), "stop asked", "")
    world.finish()
    assert world.states() == {**dict.fromkeys(world.states(), "succeeded"), "i0": "stopped"}
    assert published(world, "i0", "s.txt") == "score i0 1"
    check_ledger(world.ledger.path)


@pytest.mark.parametrize("steps", [(SCORE,), (TRANSLATE,), (SCORE, TRANSLATE), (TRANSLATE, SCORE)])
def test_a_ledger_that_is_rebuilt_learns_of_it(tmp_path: Path, steps: tuple[int, ...]) -> None:
    world = finished(tmp_path, {(1, "i3"): K.INFRASTRUCTURE})
    for step in steps:
        redo(world, step)
        world.finish()
    before, ran = world.states(), Counter(world.worker.runs)
    files = {i: world.ledger.published(i) for i in before}
    world.forget_all()
    rebuild(world)
    world.finish()
    assert world.states() == before and Counter(world.worker.runs) == ran
    assert {i: world.ledger.published(i) for i in before} == files
    for item in before:
        wanted = world.storage.read(f"b/items/{item}/score/a{1 + len(steps)}/s.txt").decode()
        assert published(world, item, "s.txt") == wanted
