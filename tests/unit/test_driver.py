"""The driver on a cluster in memory: thresholds, order, limits, outages, and crashes anywhere."""

import json
import os
import random
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from coordinator.cluster import JobId
from coordinator.domain.dispatch_record import parse_dispatch
from coordinator.domain.handoff import HandoffItem
from coordinator.domain.items import WorkItem
from coordinator.domain.paths import LogTree
from coordinator.domain.states import FINISHED_ITEMS, AttemptState, FailureKind, ItemState
from coordinator.domain.verdicts import Ending, StopReason
from coordinator.engine import Batch, Driver, Recovery, Snapshot, Thresholds, Wish
from coordinator.errors import ClusterUnavailable, JobRefused, StorageUnavailable
from coordinator.ledger import Ledger, PortableLedger
from coordinator.pipelines import Pipeline
from coordinator.storage import Storage, open_storage
from tests.fakes import (
    HANDED_BACK,
    HUNG,
    NO_DATA,
    NOT_BEGUN,
    OK,
    FakeCluster,
    FakeWorker,
    HandClock,
)

S, K, I = AttemptState, FailureKind, ItemState  # noqa: E741
KILLED = Ending(exit_code=137, signal=9)
DONE = Ending(exit_code=0)


class Crash(BaseException):
    """The coordinator dies here."""


def pipeline(size: int = 4, **translate: Any) -> Pipeline:
    common = {"job": "command", "options": {"command": ["true"]}, "pack": {"size": size}}
    return Pipeline.model_validate(
        {
            "name": "p",
            "steps": [
                {"name": "translate", "outputs": ["t.txt"], **common, **translate},
                {
                    "name": "score",
                    "inputs": {"text": "translate/t.txt"},
                    "outputs": ["s.txt"],
                    **common,
                },
            ],
        }
    )


class World:
    """A batch, its ledger, its store, and a cluster whose workers do as they are told."""

    def __init__(
        self,
        folder: Path,
        *,
        count: int = 6,
        lanes: int | None = 2,
        thresholds: Thresholds | None = None,
        steps: Pipeline | None = None,
        wait_seconds: float = 0.0,
    ) -> None:
        self.folder, self.clock, self.count = folder, HandClock(), count
        self.cluster = FakeCluster(self.clock, lanes)
        self.storage: Storage = open_storage(str(folder / "out"))
        self.worker = FakeWorker(self.storage)
        chosen = thresholds or Thresholds(100, 50)
        self.batch = Batch(
            "b", steps or pipeline(), "", chosen, LogTree(folder / "logs", "b"), wait_seconds
        )
        items = [(WorkItem(f"i{n}"), "") for n in range(count)]
        self.ledger = Ledger.create(folder / "state", self.clock, {}, items)
        self.peak = 0
        self.start()

    def start(self) -> None:
        """A coordinator is started on what there is."""
        self.driver = Driver(self.batch, self.ledger, self.cluster, self.storage, self.clock)

    def restart(self) -> Recovery:
        self.ledger.close()
        self.ledger = Ledger.open(self.folder / "state", self.clock)
        self.start()
        return self.driver.recover()

    def tick(self) -> int:
        moved = self.driver.tick()
        self.look()
        return moved

    def look(self) -> Snapshot:
        """Check what must hold at every moment."""
        snapshot = self.driver.snapshot()
        self.peak = max(self.peak, snapshot.tally.in_flight)
        assert snapshot.tally.in_flight <= self.batch.thresholds.stop_at
        return snapshot

    def work(self, ending: Ending = DONE) -> int:
        """Let all that runs do its work and end."""
        running = self.cluster.running()
        for job in running:
            self.worker.work(self.cluster.jobs[job].spec)
            self.cluster.end(job, ending)
        return len(running)

    def finish(self, rounds: int = 500) -> None:
        """Tick and work until the batch is over."""
        for _ in range(rounds):
            self.tick()
            if self.is_over():
                return
            self.work()
        pytest.fail(f"not over after {rounds} rounds: {self.ledger.tally()}")

    def forget_ended(self) -> None:
        """The cluster no longer knows what has ended."""
        for job in [job for job, seen in self.cluster.jobs.items() if seen.ending is not None]:
            self.cluster.forget(job)

    def forget_all(self) -> None:
        for job in list(self.cluster.jobs):
            self.cluster.forget(job)

    def is_over(self) -> bool:
        ended = set(self.ledger.tally().items) <= FINISHED_ITEMS
        return ended and not PortableLedger(self.ledger).has_gap

    def states(self) -> dict[str, str]:
        return {row.id: str(row.state) for row in self.ledger.items(*ItemState)}

    def history(self, item: str) -> list[tuple[int, int, str, str | None]]:
        rows = self.ledger.history(item)
        return [(row["step"], row["number"], row["state"], row["kind"]) for row in rows]

    def behave(self, step_item: dict[tuple[int, str], Any]) -> None:
        """(attempt number, item) -> what the worker does at the first step; else it succeeds."""

        def behaviour(item: HandoffItem) -> Any:
            is_first = not item.inputs
            return step_item.get((item.attempt, item.item), OK) if is_first else OK

        self.worker.behaviour = behaviour

    def assert_all_ran_once(self) -> None:
        runs = Counter((step, item) for step, item, _ in self.worker.runs)
        assert runs == {(s, i): 1 for s in ("translate", "score") for i in self.ledger.item_ids()}
        assert set(self.states().values()) == {"succeeded"}

    def assert_one_job_a_token(self) -> None:
        tokens = Counter(job.token for job in self.cluster.jobs.values())
        names = Counter(job.spec.name for job in self.cluster.jobs.values())
        assert set(tokens.values()) | set(names.values()) <= {1}
        asked = set(self.cluster.submissions)
        assert len(asked) == len({name for name, _ in asked}) == len({t for _, t in asked})


# to the end


def test_a_batch_from_one_end_to_the_other(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.finish()
    world.assert_all_ran_once()
    world.assert_one_job_a_token()
    for item in world.ledger.item_ids():
        assert world.storage.read(f"b/items/{item}/t.txt") == f"translate {item} 1".encode()
        assert world.storage.read(f"b/items/{item}/s.txt") == f"score {item} 1".encode()
    jobs = [j.spec for j in world.cluster.jobs.values()]
    for spec in jobs:
        logs = world.batch.logs.dispatch(spec.step, spec.name)
        record = parse_dispatch(logs.record.read_bytes())
        assert record is not None and record.ending is not None
        assert record.ended_at is not None and record.steps == ("translate", "score")
        for attempt in record.attempts:
            assert attempt.state == "succeeded" and logs.outcome(attempt.item).exists()
    assert sum(len(world.worker.handoff(spec).items) for spec in jobs) == 12


def test_a_later_step_reads_what_the_earlier_one_left(tmp_path: Path) -> None:
    world = World(tmp_path, count=1)
    world.behave({(1, "i0"): K.INFRASTRUCTURE})
    world.finish()
    handoff = world.worker.handoff(list(world.cluster.jobs.values())[-1].spec)
    (item,) = handoff.items
    assert item.inputs["text"].key == "b/items/i0/translate/a2/t.txt"
    assert len(item.inputs["text"].sha256) == 64


def test_run_goes_on_until_all_is_finished(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.clock.on_sleep = world.work
    seen: list[Snapshot] = []
    assert world.driver.run(seen.append) is Wish.FINISH
    assert world.is_over() and seen[-1].finished == 6 and not seen[-1].trouble
    assert {s.name: s.done for s in seen[-1].steps} == {"translate": 6, "score": 6}


def test_leaving_leaves_the_jobs_alone(tmp_path: Path) -> None:
    world = World(tmp_path, count=20)
    world.tick()
    world.driver.wish(Wish.LEAVE)
    assert world.driver.run(lambda _: None) is Wish.LEAVE
    assert world.cluster.running() and not world.cluster.stops
    world.restart()
    world.finish()
    world.assert_all_ran_once()


def test_draining_starts_nothing_and_waits(tmp_path: Path) -> None:
    world = World(tmp_path, count=40)
    world.tick()
    jobs = len(world.cluster.jobs)
    world.driver.wish(Wish.DRAIN)
    world.clock.on_sleep = world.work
    assert world.driver.run(lambda _: None) is Wish.DRAIN
    assert len(world.cluster.jobs) == jobs and not world.cluster.running()
    assert not world.ledger.out() and not world.is_over()
    world.restart()
    world.finish()
    world.assert_all_ran_once()


# thresholds and order


@pytest.mark.parametrize(
    ("stop", "resume", "size"), [(1, 0, 4), (2, 0, 4), (5, 4, 2), (8, 4, 3), (8, 0, 16), (7, 6, 1)]
)
def test_thresholds_hold_at_every_moment(tmp_path: Path, stop: int, resume: int, size: int) -> None:
    thresholds = Thresholds(stop, resume)
    world = World(tmp_path, count=30, lanes=8, thresholds=thresholds, steps=pipeline(size))
    world.finish()
    world.assert_all_ran_once()
    assert world.peak == stop
    paused, in_flight = False, 0
    for event in world.ledger.events():
        match event.action:
            case "claimed":
                fresh = started_by(world, event.dispatch)
                assert not (paused and fresh), "a new item was started while paused"
                in_flight += fresh
                assert in_flight <= stop
            case "succeeded":
                in_flight -= is_last_step(world, event.attempt)
            case "paused":
                paused = True
                assert in_flight >= stop
            case "resumed":
                paused = False
                assert in_flight <= resume


def started_by(world: World, dispatch: int | None) -> int:
    sql = "SELECT count(*) FROM attempts WHERE dispatch = ? AND step = 0 AND number = 1"
    return int(world.ledger._db.execute(sql, (dispatch,)).fetchone()[0])


def is_last_step(world: World, attempt: int | None) -> int:
    sql = "SELECT step FROM attempts WHERE id = ?"
    return int(world.ledger._db.execute(sql, (attempt,)).fetchone()[0] == 1)


def test_items_in_flight_go_before_new_ones(tmp_path: Path) -> None:
    world = World(tmp_path, count=4, lanes=1, steps=pipeline(1), thresholds=Thresholds(2, 1))
    world.finish()
    order = [step for step, _, _ in world.worker.runs]
    assert order[:3] == ["translate", "translate", "score"]  # the lane and one that waits for it
    started = 0
    for step, item, _ in world.worker.runs:
        started += 1 if step == "translate" else -1
        assert started <= 2, item
    actions = [(j.spec.step, j.spec.name) for j in world.cluster.jobs.values()]
    assert len(actions) == 8


def test_a_pause_outlives_the_coordinator(tmp_path: Path) -> None:
    world = World(tmp_path, count=12, thresholds=Thresholds(8, 2), steps=pipeline(4))
    world.tick()
    assert world.look().paused
    while world.ledger.tally().in_flight > 4:
        world.work()
        world.tick()
    assert world.look().paused and world.ledger.tally().items[I.WAITING] == 4
    world.restart()
    world.tick()
    assert world.look().paused and world.ledger.tally().items[I.WAITING] == 4
    world.finish()
    world.assert_all_ran_once()


def test_there_is_a_wait_between_dispatches(tmp_path: Path) -> None:
    world = World(tmp_path, count=12, lanes=None, steps=pipeline(2), wait_seconds=10.0)
    world.clock.on_sleep = world.work
    world.driver.run(lambda _: None)
    at = world.cluster.submitted_at
    assert len(at) >= 7
    assert all(later - earlier >= 10.0 for earlier, later in pairwise(at))
    assert all(later - earlier < 11.0 for earlier, later in pairwise(at))
    world.assert_all_ran_once()


def test_no_more_is_out_than_the_lanes_and_a_short_queue(tmp_path: Path) -> None:
    world = World(tmp_path, count=40, lanes=4, steps=pipeline(1))
    for _ in range(200):
        world.tick()
        assert sum(j.ending is None for j in world.cluster.jobs.values()) <= 5
        if world.is_over():
            break
        world.work()
    world.assert_all_ran_once()


def test_a_step_in_a_pool_of_its_own_leaves_the_other_lanes_alone(tmp_path: Path) -> None:
    pool = {"size": 1, "at_once": 2}
    world = World(tmp_path, count=12, lanes=4, steps=pipeline(1, pack=pool))
    most = 0
    for _ in range(200):
        world.tick()
        out = world.ledger.out_by_step().get(0, 0)
        assert out <= 2
        most = max(most, out)
        if world.is_over():
            break
        world.work()
    assert most == 2
    world.assert_all_ran_once()


# failures


def test_each_item_of_a_pack_ends_alone(tmp_path: Path) -> None:
    world = World(tmp_path, count=4, lanes=None, steps=pipeline(4))
    world.behave(
        {(1, "i0"): K.BAD_INPUT, (1, "i1"): NO_DATA, (1, "i2"): K.TIMEOUT, (2, "i2"): K.TIMEOUT}
    )
    world.finish()
    assert world.states() == {
        "i0": "failed", "i1": "no_data", "i2": "failed", "i3": "succeeded",
    }  # fmt: skip
    assert [h[1:] for h in world.history("i2")] == [
        (1, "failed", "timeout"),
        (2, "failed", "timeout"),
    ]
    assert world.ledger.tally().failed_kinds == {"bad_input": 1, "timeout": 1}


def test_exit_0_without_an_outcome_is_unknown(tmp_path: Path) -> None:
    world = World(tmp_path, count=1)
    world.behave({(1, "i0"): HUNG})
    world.finish()
    assert world.history("i0")[:2] == [(0, 1, "unknown", "unknown"), (0, 2, "succeeded", None)]


def test_where_nothing_was_begun_all_are_charged(tmp_path: Path) -> None:
    world = World(tmp_path, count=4, lanes=None, steps=pipeline(4))
    world.worker.behaviour = lambda _: NOT_BEGUN
    world.tick()
    world.work(KILLED)
    world.tick()
    for n in range(4):
        assert world.history(f"i{n}")[0] == (0, 1, "failed", "out_of_memory")


def test_where_some_were_begun_only_those_are_charged(tmp_path: Path) -> None:
    world = World(tmp_path, count=4, lanes=None, steps=pipeline(4))
    world.behave({(1, "i1"): HUNG, (1, "i2"): NOT_BEGUN, (1, "i3"): NOT_BEGUN})
    world.tick()
    world.work(KILLED)
    world.tick()
    assert world.history("i0")[0] == (0, 1, "succeeded", None)
    assert world.history("i1")[0] == (0, 1, "failed", "out_of_memory")
    assert world.history("i2")[0] == world.history("i3")[0] == (0, 1, "returned", None)
    assert [d.memory_step for d in world.ledger.out()] == [0, 0]  # scoring, and what was returned
    world.finish()
    assert set(world.states().values()) == {"succeeded"}


def test_what_a_stopped_worker_hands_back_is_not_charged(tmp_path: Path) -> None:
    world = World(tmp_path, count=3, lanes=None, steps=pipeline(3))
    world.behave({(1, "i1"): HANDED_BACK, (1, "i2"): HUNG})
    world.tick()
    world.work(Ending(exit_code=75))
    world.tick()
    assert world.history("i0")[0] == (0, 1, "succeeded", None)
    assert world.history("i1")[0] == (0, 1, "returned", None)
    assert world.history("i2")[0] == (0, 1, "failed", "infrastructure")
    world.finish()
    assert set(world.states().values()) == {"succeeded"}


@pytest.mark.parametrize(
    ("ending", "kind"),
    [
        (Ending(exit_code=75), "infrastructure"),  # again and again, or it would go on for ever
        (Ending(exit_code=75, stop=StopReason.TIME_LIMIT), "timeout"),
    ],
)
def test_a_pack_that_hands_all_back_is_charged(tmp_path: Path, ending: Ending, kind: str) -> None:
    world = World(tmp_path, count=2, lanes=None, steps=pipeline(2))
    world.worker.behaviour = lambda _: HANDED_BACK
    world.tick()
    world.work(ending)
    world.tick()
    assert [world.history(f"i{n}")[0] for n in range(2)] == [(0, 1, "failed", kind)] * 2


def test_a_drained_pack_that_began_nothing_is_not_charged(tmp_path: Path) -> None:
    world = World(tmp_path, count=2, lanes=1)
    world.worker.behaviour = lambda _: NOT_BEGUN
    for _ in range(5):
        world.tick()
        world.work(Ending(exit_code=143, stop=StopReason.DRAINED))
    world.worker.behaviour = lambda _: OK
    world.finish()
    assert set(world.states().values()) == {"succeeded"}
    assert {h[2] for h in world.history("i0")} == {"returned", "succeeded"}


def test_more_memory_after_out_of_memory(tmp_path: Path) -> None:
    resources = {"memory_mb": [100, 200]}
    world = World(tmp_path, count=1, steps=pipeline(resources=resources))
    world.behave({(1, "i0"): K.OUT_OF_MEMORY})
    world.finish()
    asked = [j.spec.resources.memory_mb for j in world.cluster.jobs.values()]
    assert asked[:2] == [100, 200]


def test_a_forgotten_job_is_lost_and_tried_again(tmp_path: Path) -> None:
    world = World(tmp_path, count=1)
    world.tick()
    world.cluster.forget(JobId("job-0"))
    world.finish()
    assert world.history("i0")[:2] == [(0, 1, "lost", "lost"), (0, 2, "succeeded", None)]


def test_a_forgotten_job_with_an_outcome_has_succeeded(tmp_path: Path) -> None:
    world = World(tmp_path, count=1)
    world.tick()
    world.worker.work(world.cluster.jobs[JobId("job-0")].spec)
    world.cluster.forget(JobId("job-0"))
    world.finish()
    assert world.history("i0")[0] == (0, 1, "succeeded", None)


def test_a_refused_job_fails_at_once(tmp_path: Path) -> None:
    world = World(tmp_path, count=4, lanes=1, steps=pipeline(2))
    world.cluster.fail("submit", JobRefused("no such job", why="it was never registered"))
    world.finish()
    assert [world.states()[f"i{n}"] for n in range(4)] == ["failed"] * 2 + ["succeeded"] * 2
    assert world.history("i0") == [(0, 1, "failed", "infrastructure")]
    (row, _) = world.ledger.items(I.FAILED)
    assert "never registered" in row.reason


def spoil(change: Callable[[dict[str, Any]], None]) -> Callable[[bytes], bytes]:
    def changed(data: bytes) -> bytes:
        document = json.loads(data)
        change(document)
        return json.dumps(document).encode()

    return changed


LIES: dict[str, Callable[[bytes], bytes]] = {
    "another attempt": spoil(lambda d: d.update(attempt=2)),
    "another item": spoil(lambda d: d.update(item="i1")),
    "another batch": spoil(lambda d: d.update(batch="c")),
    "another step": spoil(lambda d: d.update(step="score")),
    "too small": spoil(lambda d: d["files"][0].update(size=1)),
    "too large": spoil(lambda d: d["files"][0].update(size=10**9)),
    "a file that is not there": spoil(lambda d: d["files"][0].update(name="u.txt")),
    "a file elsewhere": spoil(lambda d: d["files"][0].update(name="../../../batch.json")),
    "a file with a long name": spoil(lambda d: d["files"][0].update(name="u" * 9000)),
    "no files": spoil(lambda d: d.update(files=[])),
    "another format": spoil(lambda d: d.update(format=9)),
    "half": lambda data: data[: len(data) // 2],
    "empty": lambda data: b"",
    "no JSON": lambda data: b"\xff\xfe\0",
    "too long to be read": lambda data: b" " * (16 << 20) + data,
}


@pytest.mark.parametrize("lie", LIES)
def test_an_outcome_that_lies_is_not_believed(tmp_path: Path, lie: str) -> None:
    world = World(tmp_path, count=1)
    world.tick()
    spec = world.cluster.jobs[JobId("job-0")].spec
    world.worker.work(spec)
    keys = world.worker.keys(world.worker.handoff(spec), world.worker.handoff(spec).items[0])
    world.storage.write(keys.outcome, LIES[lie](world.storage.read(keys.outcome)))
    world.cluster.end(JobId("job-0"), DONE)
    world.finish()
    assert world.history("i0")[:2] == [(0, 1, "unknown", "unknown"), (0, 2, "succeeded", None)]
    assert world.storage.read("b/items/i0/t.txt") == b"translate i0 2"


@pytest.mark.parametrize("is_link", [True, False])
def test_a_link_or_a_pipe_is_no_outcome(tmp_path: Path, is_link: bool) -> None:
    world = World(tmp_path, count=1)
    world.tick()
    spec = world.cluster.jobs[JobId("job-0")].spec
    world.worker.work(spec)
    handoff = world.worker.handoff(spec)
    outcome = Path(world.storage.uri) / world.worker.keys(handoff, handoff.items[0]).outcome
    if is_link:
        outcome.symlink_to(outcome.rename(tmp_path / "elsewhere"))
    else:
        outcome.unlink()
        os.mkfifo(outcome)
    world.cluster.end(JobId("job-0"), DONE)
    world.finish()
    assert world.history("i0")[:2] == [(0, 1, "unknown", "unknown"), (0, 2, "succeeded", None)]


def test_a_file_called_like_a_step_stays_where_it_is(tmp_path: Path) -> None:
    """`items/<item>/score` is the folder of a step's attempts: nothing can be published there."""
    world = World(tmp_path, count=1)
    world.tick()
    spec = world.cluster.jobs[JobId("job-0")].spec
    world.worker.work(spec)
    handoff = world.worker.handoff(spec)
    keys = world.worker.keys(handoff, handoff.items[0])
    world.storage.write(keys.file("translate"), b"x")
    document = json.loads(world.storage.read(keys.outcome))
    document["files"].append({"name": "translate", "size": 1, "sha256": ""})
    world.storage.write(keys.outcome, json.dumps(document).encode())
    world.cluster.end(JobId("job-0"), DONE)
    world.finish()
    world.assert_all_ran_once()


# time limits


def test_what_runs_too_long_is_stopped_and_tried_again(tmp_path: Path) -> None:
    world = World(tmp_path, count=1, steps=pipeline(time_limit=10))
    world.tick()
    world.tick()
    world.worker.behaviour = lambda _: HUNG
    world.worker.work(world.cluster.jobs[JobId("job-0")].spec)
    world.clock.advance(9.9)
    world.tick()
    assert not world.cluster.stops
    world.clock.advance(0.2)
    world.tick()
    assert world.cluster.stops == [(JobId("job-0"), StopReason.TIME_LIMIT)]
    world.worker.behaviour = lambda _: OK
    world.finish()
    assert world.history("i0")[:2] == [(0, 1, "failed", "timeout"), (0, 2, "succeeded", None)]


def test_each_item_has_its_own_time(tmp_path: Path) -> None:
    """Three items of 9 s each pass a limit of 10 s; the one that hangs then has 10 s more."""
    world = World(tmp_path, count=5, lanes=None, steps=pipeline(8, time_limit=10))
    world.behave({(1, "i3"): HUNG, (1, "i4"): NOT_BEGUN})
    world.tick()
    spec = world.cluster.jobs[JobId("job-0")].spec
    handoff = world.worker.handoff(spec)
    assert len(handoff.items) == 5
    world.tick()
    for item in handoff.items[:3]:
        world.clock.advance(9.0)
        world.worker.work_on(handoff, item)
        world.tick()
    world.worker.work_on(handoff, handoff.items[3])
    world.clock.advance(9.0)  # 36 s; three are done: 40 s are allowed
    world.tick()
    assert not world.cluster.stops
    world.clock.advance(5.0)
    world.tick()
    world.tick()
    assert [reason for _, reason in world.cluster.stops] == [StopReason.TIME_LIMIT]
    assert world.history("i2")[0] == (0, 1, "succeeded", None)
    assert world.history("i3")[0] == (0, 1, "failed", "timeout")
    assert world.history("i4")[0] == (0, 1, "returned", None)


def test_a_job_is_asked_once_to_stop(tmp_path: Path) -> None:
    world = World(tmp_path, count=1, steps=pipeline(time_limit=10))
    world.cluster.deaf = True
    world.tick()
    world.tick()
    for _ in range(4):
        world.clock.advance(11)
        world.tick()
    assert len(world.cluster.stops) == 1
    actions = Counter(event.action for event in world.ledger.events())
    assert actions["stopping"] == 1


@pytest.mark.parametrize("again", ["outage", "crash"])
def test_a_stop_that_the_cluster_never_heard_of_is_asked_again(tmp_path: Path, again: str) -> None:
    world = World(tmp_path, count=1, steps=pipeline(time_limit=10))
    world.tick()
    world.tick()
    world.clock.advance(11)
    error = ClusterUnavailable("no answer") if again == "outage" else Crash()
    world.cluster.fail("stop", error)
    with pytest.raises(type(error)):
        world.tick()
    assert not world.cluster.stops
    if again == "crash":
        world.restart()
    world.tick()
    assert world.cluster.stops == [(JobId("job-0"), StopReason.TIME_LIMIT)]
    world.finish()
    assert world.history("i0")[0] == (0, 1, "failed", "timeout")


# outages


@pytest.mark.parametrize("method", ["observe", "submit", "find", "save_logs"])
def test_an_outage_moves_nothing_and_passes(tmp_path: Path, method: str) -> None:
    world = World(tmp_path, count=3, lanes=1, steps=pipeline(1, time_limit=1000))
    world.tick()
    world.cluster.fail(method, ClusterUnavailable("no answer"), times=6)
    if method == "find":
        world.cluster.fail("submit", ClusterUnavailable("no answer"))
    seen: list[Snapshot] = []
    world.clock.on_sleep = world.work
    world.driver.run(seen.append)
    assert any("no answer" in snapshot.trouble for snapshot in seen)
    assert not seen[-1].trouble
    assert set(world.states().values()) == {"succeeded"}
    attempts = {(h[2], h[3]) for n in range(3) for h in world.history(f"i{n}")}
    assert attempts == {("succeeded", None)}
    assert max(world.clock.slept) > 5.0  # it waits longer and longer
    world.assert_one_job_a_token()


def test_a_store_that_does_not_answer_moves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path, count=3)
    world.tick()
    world.work()
    before = [tuple(vars(event).values()) for event in world.ledger.events()]
    with monkeypatch.context() as patch:
        patch.setattr(world.storage, "open", raising(StorageUnavailable("slow down")))
        for _ in range(3):
            assert world.driver._tick_or_trouble() == 0
    assert [tuple(vars(event).values()) for event in world.ledger.events()] == before
    world.finish()
    world.assert_all_ran_once()


def raising(error: BaseException) -> Callable[..., Any]:
    def fail(*_: Any, **__: Any) -> Any:
        raise error

    return fail


# crashes


def once(function: Callable[..., Any], *, after: bool) -> Callable[..., Any]:
    """`function`, but the first call crashes before or after it is done."""
    calls = []

    def crashing(*args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        is_first = len(calls) == 1  # others may call while this one is at work
        if is_first and not after:
            raise Crash
        result = function(*args, **kwargs)
        if is_first:
            raise Crash
        return result

    return crashing


POINTS = [
    ("cluster", "submit"),
    ("cluster", "save_logs"),
    ("cluster", "observe"),
    ("storage", "write"),
    ("storage", "copy"),
    ("ledger", "claim"),
    ("ledger", "move_all"),
    ("ledger", "end_all"),
    ("ledger", "note"),
]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("room", "method"), POINTS)
@pytest.mark.parametrize("skip", [0, 3])
def test_a_crash_anywhere_loses_and_doubles_nothing(
    tmp_path: Path, room: str, method: str, after: bool, skip: int
) -> None:
    world = World(tmp_path, count=6, steps=pipeline(2), thresholds=Thresholds(2, 1))
    for _ in range(skip):
        world.tick()
        world.work()
    with pytest.MonkeyPatch.context() as patch:
        subject = getattr(world, room)
        patch.setattr(subject, method, once(getattr(subject, method), after=after))
        with pytest.raises(Crash):
            world.finish()
    world.restart()
    world.finish()
    world.assert_all_ran_once()
    world.assert_one_job_a_token()
    states = {row["state"] for n in range(6) for row in world.ledger.history(f"i{n}")}
    assert states == {"succeeded"}


def test_a_start_says_what_it_found(tmp_path: Path) -> None:
    world = World(tmp_path, count=3, lanes=4, steps=pipeline(1))
    world.cluster.fail("submit", Crash(), done=True)
    with pytest.raises(Crash):
        world.tick()
    tokens = [dispatch.token for dispatch in world.ledger.out()]
    found = world.restart()  # the cluster has the first, and never heard of the others
    assert (found.adopted, found.sent_again) == (1, 2)
    assert [token for _, token in world.cluster.submissions] == tokens
    world.finish()
    world.assert_all_ran_once()
    world.assert_one_job_a_token()


@pytest.mark.parametrize("seed", range(12))
def test_faults_at_random_moments(tmp_path: Path, seed: int) -> None:
    """Outages, lost answers and crashes, with workers that fail now and then."""
    dice = random.Random(seed)
    thresholds = dice.choice([Thresholds(3, 0), Thresholds(6, 5), Thresholds(50, 20)])
    steps = pipeline(dice.choice([1, 3, 8]), time_limit=1000)
    world = World(tmp_path, count=15, lanes=dice.choice([1, 3]), thresholds=thresholds, steps=steps)
    passing = [OK] * 8 + [K.INFRASTRUCTURE, HUNG, NOT_BEGUN, K.BAD_INPUT, NO_DATA]
    world.worker.behaviour = lambda _: dice.choice(passing)
    for _ in range(400):
        method = dice.choice(["submit", "find", "observe", "save_logs"])
        error = dice.choice([Crash(), ClusterUnavailable("no answer")])
        if dice.random() < 0.3:
            world.cluster.fail(method, error, done=method == "submit" and dice.random() < 0.5)
        try:
            world.tick()
        except Crash:
            world.cluster.heal()
            world.restart()
        except ClusterUnavailable:
            world.look()
        if world.is_over():
            break
        for job in world.cluster.running():
            if dice.random() < 0.6:
                world.worker.work(world.cluster.jobs[job].spec)
                world.cluster.end(job, dice.choice([DONE, DONE, KILLED, Ending(exit_code=75)]))
    assert world.is_over()
    world.assert_one_job_a_token()
    assert max(Counter(world.worker.runs).values()) == 1  # no attempt ran twice
    assert len(world.states()) == 15
    for item, state in world.states().items():
        history = world.history(item)
        assert (history[-1][2] == state) or (state == "failed" and history[-1][3])
        succeeded = [h for h in history if h[2] == "succeeded"]
        assert len(succeeded) == len({h[0] for h in succeeded}) <= 2
        assert (len(succeeded) == 2) == (state == "succeeded")
