"""What `why` says of an item: the reason that decides first, and what would change it."""

import re
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from coordinator.cli import main
from coordinator.clock import SystemClock
from coordinator.cluster import Observation, Phase
from coordinator.commands import control, out_there
from coordinator.commands.record import BatchRecord, Skipped, as_document
from coordinator.commands.why import Why, why
from coordinator.domain.dispatch_record import AttemptRecord, DispatchRecord, EndingRecord
from coordinator.domain.items import WorkItem
from coordinator.domain.paths import BatchKeys, LogTree
from coordinator.domain.states import AttemptState as S
from coordinator.domain.states import FailureKind as K
from coordinator.domain.states import ItemState
from coordinator.domain.verdicts import Ending
from coordinator.errors import BadInput, ClusterUnavailable
from coordinator.ledger import AttemptEnd, Dispatch, Finish, Ledger, NextStep, Retry, driver_lock
from coordinator.pipelines import Pipeline
from coordinator.settings import Settings

CLOCK = SystemClock()
STEPS = ("one", "two")


class Place:
    """One batch of ten items and two steps, moved by hand."""

    def __init__(self, folder: Path, **more: Any) -> None:
        self.settings = Settings(state_dir=folder / "state", log_dir=folder / "logs")
        self.outputs = folder / "out"
        steps = [{"name": name, "job": "command", "pack": more.pop(name, {})} for name in STEPS]
        asked: dict[str, Any] = {
            "batch": "b",
            "pipeline": Pipeline.model_validate({"name": "p", "steps": steps}),
            "steps": STEPS,
            "source": "here",
            "output_root": str(self.outputs),
            "log_dir": str(self.settings.log_dir),
            "cluster": "local",
            "slots": 100,
            "stop_threshold": 9,
            "resume_threshold": 2,
            "wait_seconds": 0,
            "items": 10,
            "items_sha256": "",
            "created_at": 0,
        }
        record = BatchRecord(**asked | more)
        items = [(WorkItem(f"i{n}"), "") for n in range(10)]
        self.folder = self.settings.state_dir / "b"
        self.ledger = Ledger.create(self.folder, CLOCK, as_document(record), items)

    def claim(self, count: int = 1, step: int = 0, *, fresh: bool = True) -> Dispatch:
        ready = self.ledger.ready(step, fresh=fresh, limit=count)
        return self.ledger.claim([ready], lambda _, n: f"d{n}")[0]

    def send(self, count: int = 1, *, run: bool = False) -> Dispatch:
        dispatch = self.claim(count)
        self.ledger.move(dispatch, S.CLAIMED, S.SUBMITTED, f"job-{dispatch.id}")
        if run:
            self.ledger.move(self.ledger.dispatch(dispatch.id), S.SUBMITTED, S.RUNNING)
            self.ledger.set_nodes({dispatch.id: "node-7"})
        return self.ledger.dispatch(dispatch.id)

    def end(self, dispatch: Dispatch, state: S, sequel: Any, **more: Any) -> None:
        attempts = self.ledger.attempts_of(dispatch)
        self.ledger.end(dispatch, [AttemptEnd(a, state, sequel, **more) for a in attempts])

    def why(self, item: str) -> Why:
        return why(self.settings, "b", item, CLOCK)

    def names(self, item: str) -> list[str]:
        return [reason.name for reason in self.why(item).reasons]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    with closing(made.ledger):
        yield made


@pytest.fixture
def driven(place: Place) -> Iterator[Place]:
    with driver_lock(place.folder, "b"):
        yield place


def test_a_pause_comes_first_and_says_who_asked_and_how_it_is_lifted(place: Place) -> None:
    control.pause(place.settings, "b", CLOCK)
    first, second, *_ = place.why("i3").reasons
    assert (first.name, first.change) == ("paused", "coordinator resume b")
    assert f"by {control.whoami()} at " in first.what
    assert (second.name, second.change) == (
        "undriven",
        "coordinator submit --batch_name b --resume",
    )


def test_where_nobody_drives_it_is_said_what_halted_it(place: Place) -> None:
    place.ledger.note("halted", "the last 10 dispatches all failed the same way")
    assert place.names("i3") == ["undriven", "turn"]
    assert "the last 10 dispatches all failed" in place.why("i3").reasons[0].what


def test_a_batch_that_is_being_stopped_sends_nothing(driven: Place) -> None:
    control.stop(driven.settings, "b", CLOCK, now=False)
    assert driven.names("i3")[0] == "stop"


def test_a_halted_batch_that_waits_for_what_runs_sends_nothing(driven: Place) -> None:
    driven.ledger.note("halted", "a canary died")
    assert driven.names("i3")[0] == "halted"
    driven.ledger.note("started", "again")
    assert driven.names("i3") == ["turn"]


def test_refused_keys_hold_a_batch_until_they_are_renewed(driven: Place) -> None:
    driven.ledger.note("credentials_paused", "credentials refused since 12:00: log in")
    reason = driven.why("i3").reasons[0]
    assert (reason.name, reason.change) == ("credentials", "coordinator credentials b")
    driven.ledger.note("credentials_renewed")
    assert driven.names("i3") == ["turn"]


def test_a_new_item_waits_for_the_throttle_with_both_its_numbers(driven: Place) -> None:
    driven.send(9)
    reason = driven.why("i9").reasons[0]
    assert reason.name == "throttle"
    assert reason.what == "9 items are in flight: new ones stop at 9, and go on at 2"


def test_work_in_flight_does_not_wait_for_the_throttle(driven: Place) -> None:
    driven.send(8)
    driven.end(driven.send(1), S.SUCCEEDED, NextStep())
    assert driven.names("i8") == ["turn"]


def test_others_wait_for_the_canaries(tmp_path: Path) -> None:
    place = Place(tmp_path, canary=2)
    with closing(place.ledger), driver_lock(place.folder, "b"):
        assert (place.names("i1"), place.names("i2")) == (["turn"], ["canary", "turn"])
        place.end(place.send(2), S.FAILED, Finish(ItemState.FAILED, K.MODEL_ERROR), reason="no")
        reason = place.why("i5").reasons[0]
        assert reason.name == "canary" and "did not succeed" in reason.what
        assert reason.change == "coordinator resubmit b"


def test_a_retry_says_how_long_it_waits(driven: Place) -> None:
    driven.end(driven.send(), S.FAILED, Retry(wait_seconds=600), kind=K.LOST)
    reason = driven.why("i0").reasons[0]
    assert reason.name == "wait" and re.search(r"due in (600|599) s", reason.what)
    assert driven.why("i0").attempt == 2


def test_a_step_that_may_have_few_dispatches_out_is_full(tmp_path: Path) -> None:
    place = Place(tmp_path, one={"at_once": 1})
    with closing(place.ledger), driver_lock(place.folder, "b"):
        place.send()
        assert place.names("i5") == ["at_once", "turn"]


def test_items_wait_for_their_turn_behind_those_that_are_sent_first(driven: Place) -> None:
    assert "next that is sent" in driven.why("i0").reasons[0].what
    assert "7 ready items go before it" in driven.why("i7").reasons[0].what
    driven.end(driven.send(2), S.SUCCEEDED, NextStep())  # in flight: before all new ones
    assert "7 ready items go before it" in driven.why("i7").reasons[0].what
    assert "1 ready item goes before it" in driven.why("i1").reasons[0].what


def test_a_claimed_item_may_be_with_the_cluster_already(place: Place) -> None:
    place.claim()
    assert place.names("i0") == ["undriven", "claimed"]


def test_what_runs_is_told_with_its_node_and_how_far_its_pack_is(driven: Place) -> None:
    driven.send(2, run=True)
    assert driven.names("i0") == ["running", "pack"]
    assert "on node-7" in driven.why("i0").reasons[0].what
    assert "not begun yet" in driven.why("i1").reasons[1].what
    keys = BatchKeys("b").attempt("i1", "one", 1)
    begun = driven.outputs / keys.begun
    begun.parent.mkdir(parents=True)
    begun.write_text("{}")
    assert "being worked on" in driven.why("i1").reasons[1].what
    (driven.outputs / keys.outcome).write_text("{}")
    assert "this one is done" in driven.why("i1").reasons[1].what


@pytest.fixture
def far(tmp_path: Path) -> Iterator[Place]:
    """A driven batch on a Nomad, with one job out there."""
    place = Place(tmp_path, cluster="nomad")
    with closing(place.ledger), driver_lock(place.folder, "b"):
        place.send()
        yield place


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (Observation(Phase.PENDING, detail="all nodes are busy"), "does not run it yet: all nodes"),
        (Observation(Phase.PENDING, detail="none fits", hopeless=True), "never place d1"),
        (Observation(Phase.RUNNING, 61.0, "n1"), "runs on n1 for 61 s"),
        (Observation(Phase.ENDED, ending=Ending()), "has ended, says Nomad; it is not home"),
    ],
)
def test_nomad_is_asked_about_a_job_that_is_out_there(
    far: Place, monkeypatch: pytest.MonkeyPatch, seen: Observation, words: str
) -> None:
    monkeypatch.setattr(out_there, "look_at_job", lambda *_: seen)
    assert words in far.why("i0").reasons[0].what


def test_without_a_job_out_there_nomad_is_not_asked(
    far: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> Observation:
        raise AssertionError("it was asked")

    monkeypatch.setattr(out_there, "look_at_job", refuse)
    assert far.names("i5") == ["turn"]


def test_a_nomad_that_does_not_answer_is_not_waited_for(
    far: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hangs(*_: object) -> Observation:
        time.sleep(5)
        raise AssertionError("nobody waits for this")

    monkeypatch.setattr(out_there, "look_at_job", hangs)
    monkeypatch.setattr(out_there, "ANSWER_SECONDS", 0.05)
    began = time.monotonic()
    reason = far.why("i0").reasons[0]
    assert time.monotonic() - began < 2
    assert reason.name == "submitted" and "no answer within 0.05 s" in reason.what


def test_a_nomad_that_refuses_is_told_with_what_the_ledger_knows(
    far: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*_: object) -> Observation:
        raise ClusterUnavailable("Nomad does not answer", why="connection refused")

    monkeypatch.setattr(out_there, "look_at_job", refuses)
    assert "could not be asked: Nomad does not answer" in far.why("i0").reasons[0].what


def test_a_failure_is_told_with_its_evidence_and_the_next_command(place: Place) -> None:
    dispatch = place.send()
    end = {"kind": K.OUT_OF_MEMORY, "reason": "killed"}
    place.end(dispatch, S.FAILED, Finish(ItemState.FAILED, K.OUT_OF_MEMORY), **end)
    logs = LogTree(place.settings.log_dir, "b").dispatch("one", "d1")
    logs.folder.mkdir(parents=True)
    claim = AttemptRecord(
        item="i0", attempt=1, state=S.FAILED, kind=K.OUT_OF_MEMORY, reason="killed"
    )
    record = DispatchRecord(
        batch="b",
        step="one",
        steps=STEPS,
        dispatch="d1",
        claimed_at=1.0,
        ending=EndingRecord.of(Ending(exit_code=137)),
        attempts=(claim,),
    )
    logs.record.write_bytes(record.to_bytes())
    logs.stream("worker", "stderr").write_text("loading\n")
    found = place.why("i0")
    verdict, evidence = found.reasons
    assert (found.state, found.step, found.attempt) == (ItemState.FAILED, "one", 1)
    assert verdict.what == "out_of_memory in one, attempt 1: killed"
    assert "coordinator explain out_of_memory" in verdict.change
    assert verdict.change.endswith("coordinator resubmit b i0")
    assert "no whole outcome, and its process ended with exit code 137" in evidence.what
    assert f"{logs.stream('worker', 'stderr')}:1" in evidence.what


def test_where_the_logs_are_gone_that_is_said(place: Place) -> None:
    place.end(place.send(), S.NO_DATA, Finish(ItemState.NO_DATA))
    verdict, evidence = place.why("i0").reasons
    assert verdict.what == "it had nothing to do in one, as expected"
    assert "its logs are not in" in evidence.what


def test_an_item_that_was_stopped_before_it_was_sent(place: Place) -> None:
    control.stop_items(place.settings, "b", ["i4"], CLOCK)
    verdict, evidence = place.why("i4").reasons
    assert verdict.what.startswith("stopped in one, attempt 1")
    assert evidence.what == "no job was ever sent for this attempt"


def test_an_item_that_was_left_out_says_why(tmp_path: Path) -> None:
    place = Place(tmp_path, skipped=(Skipped(id="bad", reason="no reference"),))
    with closing(place.ledger):
        found = place.why("bad")
    assert found.state is ItemState.SKIPPED and "no reference" in found.reasons[0].what


def test_an_unknown_item_is_met_with_near_ones(place: Place) -> None:
    with pytest.raises(BadInput) as caught:
        place.why("i33")
    assert "did you mean i3" in caught.value.hint and "10 items in all" in caught.value.hint


def test_the_answer_stands_first_on_the_screen(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    control.pause(place.settings, "b", CLOCK)
    assert main(["why", "b", "i3", "--state_dir", str(place.settings.state_dir)]) == 0
    head, answer, change, *_ = capsys.readouterr().out.splitlines()
    assert head == "i3 of b: waiting, step one (1 of 2), attempt 1"
    assert answer.startswith("  why") and "the batch is paused by" in answer
    assert change.split() == ["try", "coordinator", "resume", "b"]
