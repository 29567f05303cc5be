"""Steering a batch while its driver runs: wishes of others, and a stop where all fails alike."""

import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from coordinator.domain.states import ENDED, FailureKind, ItemState
from coordinator.domain.verdicts import Ending, StopReason
from coordinator.engine import Thresholds, Wish
from coordinator.errors import LedgerError
from coordinator.ledger import FILE, Asked, Control, ControlDesk, Ledger
from tests.fakes import OK, HandClock
from tests.unit.test_driver import World, pipeline

K, I = FailureKind, ItemState  # noqa: E741
ASKED = Asked(by="ada@desk", at=1_700_000_000.0)


def ask(world: World, change: Callable[[Control], Control]) -> None:
    """As another process does: on a connection of its own."""
    other = Ledger.open(world.folder / "state", HandClock())
    ControlDesk(other).ask(change, "asked", "by ada@desk")
    other.close()


def items(world: World) -> dict[str, ItemState]:
    return {item.id: item.state for item in world.ledger.items(*ItemState)}


def test_a_pause_sends_nothing_new_and_lets_what_runs_go_on(tmp_path: Path) -> None:
    world = World(tmp_path, count=8, steps=pipeline(1))
    world.tick()
    sent = len(world.cluster.jobs)
    ask(world, lambda c: c.changed(paused=ASKED))
    assert world.work() == 2
    for _ in range(3):
        world.tick()
        world.work()
    assert len(world.cluster.jobs) == sent and not world.ledger.out()
    said = world.look().paused
    assert "by ada@desk at" in said and "coordinator resume b goes on" in said
    ask(world, lambda c: c.changed(paused=None))
    world.finish()
    assert world.look().paused == "" and set(items(world).values()) == {I.SUCCEEDED}


def test_a_pause_outlives_the_driver_and_a_stop_does_not(tmp_path: Path) -> None:
    world = World(tmp_path)
    ask(world, lambda c: c.changed(paused=ASKED, stop=ASKED, now=True))
    ControlDesk(world.ledger).forget_stop()
    world.restart()
    world.tick()
    assert not world.cluster.jobs and "ada@desk" in world.look().paused
    assert world.driver.halted == ""


def test_settings_change_while_it_runs(tmp_path: Path) -> None:
    world = World(tmp_path, count=9, lanes=9, thresholds=Thresholds(2, 1), steps=pipeline(1))
    world.tick()
    assert world.look().tally.in_flight == 2
    other = Ledger.open(world.folder / "state", HandClock())
    tuned = {"stop_threshold": 5, "resume_threshold": 3, "max_same_failure": 2}
    ControlDesk(other).change_record(lambda record: record | tuned, "set", "")
    other.close()
    world.driver.tick()
    snapshot = world.driver.snapshot()
    assert (snapshot.stop_at, snapshot.resume_at, snapshot.tally.in_flight) == (5, 3, 5)


def test_a_stop_drains_and_one_now_stops_what_runs(tmp_path: Path) -> None:
    world = World(tmp_path, count=8, steps=pipeline(1))
    world.tick()
    ask(world, lambda c: c.changed(stop=ASKED))
    world.tick()
    assert world.cluster.stops == [] and world.look().draining
    assert "by ada@desk" in world.driver.halted
    out = {dispatch.id for dispatch in world.ledger.out()}
    ask(world, lambda c: c.changed(now=True))
    assert world.driver.run(lambda _snapshot: None) is Wish.DRAIN
    assert len(world.cluster.stops) == len(out) and not world.ledger.out()
    assert {reason for _job, reason in world.cluster.stops} == {StopReason.ASKED}
    states = list(items(world).values())
    assert states.count(I.STOPPED) == len(out) and states.count(I.WAITING) == 8 - len(out)


def test_items_are_stopped_without_harm_to_others(tmp_path: Path) -> None:
    """i0, i1 run in a pack together, i2 in one with i3; i5 and i6 wait."""
    world = World(tmp_path, count=8, thresholds=Thresholds(4, 0), steps=pipeline(2))
    world.tick()
    packs = [[a.item.id for a in world.ledger.attempts_of(d)] for d in world.ledger.out()]
    assert packs == [["i0", "i1"], ["i2", "i3"]]
    ask(world, lambda c: c.changed(items=("i0", "i1", "i2", "i5")))
    world.tick()
    assert len(world.cluster.stops) == 1, "only the pack that holds nothing else"
    assert items(world)["i5"] is I.STOPPED and items(world)["i2"] is I.IN_FLIGHT
    world.finish()
    states = items(world)
    assert [i for i, state in states.items() if state is I.STOPPED] == ["i0", "i1", "i2", "i5"]
    assert {state for i, state in states.items() if i in ("i3", "i4", "i6", "i7")} == {I.SUCCEEDED}
    assert ("score", "i2", 1) not in world.worker.runs, "its next step was not begun"
    assert ControlDesk(world.ledger).read().items == ()


def test_looking_for_wishes_writes_nothing_and_reads_them_only_when_there_are_news(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path)
    world.tick()
    reads: list[int] = []
    monkeypatch.setattr(ControlDesk, "read", lambda _desk: reads.append(1) or Control())
    for _ in range(5):
        world.tick()
    assert reads == []
    ask_again = Ledger.open(world.folder / "state", HandClock())
    ask_again.note("anything")
    ask_again.close()
    world.tick()
    assert reads == [1]


def test_wishes_of_two_at_once_are_both_kept(tmp_path: Path) -> None:
    world = World(tmp_path)
    ask(world, lambda c: c.changed(items=(*c.items, "i0")))
    ask(world, lambda c: c.changed(items=(*c.items, "i1")))
    assert ControlDesk(world.ledger).read().items == ("i0", "i1")


def test_many_ask_while_the_driver_works(tmp_path: Path) -> None:
    """Each on a connection of its own, as processes have: no wish and no move is lost."""
    world = World(tmp_path, count=12, steps=pipeline(1))

    def asks(who: int) -> None:
        for number in range(20):
            ask(world, lambda c, n=number: c.changed(items=(*c.items, f"{who}-{n}")))

    kept = ControlDesk(world.ledger).carry_out
    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(4) as pool:
        patch.setattr(ControlDesk, "carry_out", ControlDesk.read)  # they name no items of the batch
        asking = [pool.submit(asks, who) for who in range(4)]
        world.finish()
        for each in asking:
            each.result()
    wanted = {f"{who}-{number}" for who in range(4) for number in range(20)}
    assert set(ControlDesk(world.ledger).read().items) == wanted
    assert set(items(world).values()) == {I.SUCCEEDED}
    assert kept().items == (), "what is not in the batch is forgotten"


def test_damage_to_the_wishes_is_said(tmp_path: Path) -> None:
    world = World(tmp_path)
    with sqlite3.connect(tmp_path / "state" / FILE) as db:
        db.execute("INSERT INTO batch VALUES ('control', 'x')")
    db.close()
    with pytest.raises(LedgerError, match="cannot be read"):
        ControlDesk(world.ledger).read()


# All fails alike.


def failing(tmp_path: Path, kind: Callable[[str], FailureKind | str], limit: int) -> World:
    world = World(tmp_path, count=30, steps=pipeline(1))
    ControlDesk(world.ledger).change_record(
        lambda record: record | {"max_same_failure": limit}, "set", ""
    )
    world.worker.behaviour = lambda item: kind(item.item)
    return world


def drive(world: World) -> None:
    world.clock.on_sleep = lambda: world.work() and None
    world.driver.run(lambda _snapshot: None)


def test_the_batch_stops_where_all_fails_alike(tmp_path: Path) -> None:
    world = failing(tmp_path, lambda _item: K.MODEL_ERROR, 4)
    drive(world)
    assert 4 <= len(world.cluster.jobs) <= 4 + 3, "those that were out at the time come on top"
    assert "last" in world.driver.halted and "model_error: told to" in world.driver.halted
    assert not world.ledger.out()
    assert [e.why for e in world.ledger.events() if e.action == "halted"] == [world.driver.halted]
    world.restart()
    world.worker.behaviour = lambda _item: OK
    drive(world)
    assert world.driver.halted == "" and I.WAITING not in items(world).values()


@pytest.mark.parametrize(
    ("kind", "limit"),
    [
        (lambda _item: K.MODEL_ERROR, 0),
        (lambda item: K.MODEL_ERROR if int(item[1:]) % 3 else OK, 3),
        (lambda item: K.MODEL_ERROR if int(item[1:]) % 2 else K.BAD_INPUT, 2),
    ],
    ids=["never", "successes between", "different failures"],
)
def test_it_goes_on_where_not_all_fails_alike(
    tmp_path: Path, kind: Callable[[str], FailureKind | str], limit: int
) -> None:
    world = failing(tmp_path, kind, limit)
    drive(world)
    assert world.driver.halted == "" and I.WAITING not in items(world).values()


def test_refusals_count_too(tmp_path: Path) -> None:
    from coordinator.errors import JobRefused

    world = failing(tmp_path, lambda _item: OK, 3)
    world.cluster.fail("submit", JobRefused("no such driver"), times=30)
    drive(world)
    assert "no such driver" in world.driver.halted
    assert I.WAITING in items(world).values()


@pytest.mark.parametrize(
    "ending",
    [
        Ending(exit_code=143, signal=15, stop=StopReason.ASKED),
        Ending(exit_code=143, signal=15, stop=StopReason.DRAINED),
        Ending(gone=True, detail="its node is down"),
    ],
    ids=["stopped", "drained", "lost"],
)
def test_what_no_work_is_to_blame_for_says_nothing(tmp_path: Path, ending: Ending) -> None:
    world = failing(tmp_path, lambda _item: OK, 2)
    for _ in range(3):
        world.tick()
        for job in world.cluster.running():
            world.cluster.end(job, ending)
    world.tick()
    assert world.driver.halted == ""
    assert world.ledger.tally().of_step(0, *ENDED) >= 6


def test_a_ledger_of_the_first_format_is_read_and_upgraded(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.tick()
    world.ledger.close()
    path = tmp_path / "state" / FILE
    db = sqlite3.connect(path)
    db.executescript(
        "ALTER TABLE dispatches DROP COLUMN node;"
        " UPDATE batch SET value = '1' WHERE key = 'version'"
    )
    db.close()
    old = Ledger.open(tmp_path / "state", HandClock(), read_only=True)
    assert [dispatch.node for dispatch in old.out()] == ["", "", ""]
    old.close()
    world.ledger = Ledger.open(tmp_path / "state", HandClock())
    assert world.restart().adopted == 3
    world.tick()
    assert [dispatch.node for dispatch in world.ledger.out()] == ["n1", "n1", ""]
    world.finish()
