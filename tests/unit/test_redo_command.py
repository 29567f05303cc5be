"""What `rescore` and `rerun` plan, and what they refuse before anything is changed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from coordinator.clock import SystemClock
from coordinator.commands.record import BatchRecord, as_document
from coordinator.commands.redo import Wanted, metrics_of, plan_rerun, plan_rescore
from coordinator.domain.items import WorkItem
from coordinator.domain.states import AttemptState as S
from coordinator.domain.states import FailureKind, ItemState
from coordinator.errors import BadInput, BatchBusy, UsageError
from coordinator.ledger import Attempt, AttemptEnd, Finish, Ledger, NextStep, addresses
from coordinator.pipelines import Pipeline
from coordinator.settings import Settings

CLOCK = SystemClock()
METRICS = metrics_of("bleu,chrf")
TRANSLATE: dict[str, Any] = {
    "name": "translate",
    "job": "inference",
    "inputs": {"source": "asset/source"},
    "outputs": ["translations.jsonl"],
}
SCORE: dict[str, Any] = {
    "name": "score",
    "job": "scoring",
    "inputs": {"translations": "translate/translations.jsonl", "reference": "asset/reference"},
    "outputs": ["scores.json"],
    "options": {"metrics": list(METRICS)},
}
UPLOAD: dict[str, Any] = {"name": "upload", "job": "command", "options": {"command": ["true"]}}


def made(
    folder: Path, steps: Sequence[dict[str, Any]] = (TRANSLATE, SCORE), reference: str = "r.txt"
) -> Settings:
    """A batch of three items, of which nothing has run yet."""
    settings = Settings(state_dir=folder)
    pipeline = Pipeline.model_validate({"name": "p", "steps": list(steps)})
    record = BatchRecord(
        batch="b",
        pipeline=pipeline,
        steps=tuple(step.name for step in pipeline.steps),
        source="",
        output_root=str(folder / "out"),
        log_dir=str(folder / "logs"),
        cluster="local",
        slots=1,
        stop_threshold=9,
        resume_threshold=3,
        wait_seconds=0.0,
        items=3,
        items_sha256="",
        created_at=0.0,
    )
    items = [WorkItem(f"i{n}", "", {"source": "s.txt", "reference": reference}) for n in range(3)]
    Ledger.create(folder / "b", CLOCK, as_document(record), ((i, "") for i in items)).close()
    return settings


def advance(folder: Path, step: int, *, last: bool, failed: Sequence[str] = ()) -> None:
    """All items do the step; some fail at it."""
    ledger = Ledger.open(folder / "b", CLOCK)
    ready = ledger.ready(step, fresh=step == 0, limit=9)
    [claimed] = ledger.claim([ready], lambda _pack, number: f"d{number}")
    ledger.move(claimed, S.CLAIMED, S.SUBMITTED, f"job-{claimed.id}")
    [dispatch] = ledger.out()
    won = Finish(ItemState.SUCCEEDED) if last else NextStep()

    def end(attempt: Attempt) -> AttemptEnd:
        if attempt.item.id in failed:
            kind = FailureKind.MODEL_ERROR
            return AttemptEnd(attempt, S.FAILED, Finish(ItemState.FAILED, kind), kind)
        return AttemptEnd(attempt, S.SUCCEEDED, won)

    ledger.end(dispatch, [end(attempt) for attempt in ledger.attempts_of(dispatch)])
    ledger.close()


def finished(folder: Path, failed: Sequence[str] = (), **more: Any) -> Settings:
    settings = made(folder, **more)
    advance(folder, 0, last=False, failed=failed)
    advance(folder, 1, last=True)
    return settings


def test_what_is_left_alone_is_counted(tmp_path: Path) -> None:
    settings = finished(tmp_path, failed=["i1"])
    plan = plan_rescore(settings, Wanted("b"), CLOCK)
    assert ([item.id for item in plan.items], plan.steps) == (["i0", "i2"], ("score",))
    assert list(plan.left.in_words("score")) == ["1 failed or were stopped before score"]
    plan = plan_rerun(settings, Wanted("b", "inference"), CLOCK)
    assert ([item.id for item in plan.items], plan.steps) == (
        ["i0", "i1", "i2"],
        ("translate", "score"),
    )
    assert not list(plan.left.in_words("translate"))


def test_an_item_that_did_not_come_so_far_is_refused_by_name(tmp_path: Path) -> None:
    settings = finished(tmp_path, failed=["i1"])
    with pytest.raises(BadInput) as caught:
        plan_rescore(settings, Wanted("b", items=("i0", "i1", "i4")), CLOCK)
    assert [problem.where for problem in caught.value.problems] == ["i1", "i4"]


def test_the_same_metrics_are_no_change(tmp_path: Path) -> None:
    settings = finished(tmp_path)
    same = plan_rescore(settings, Wanted("b", metrics=metrics_of("[bleu, chrf]")), CLOCK)
    assert same.metrics is None
    other = plan_rescore(
        settings, Wanted("b", metrics=metrics_of("ter, {name: bleu, label: x}")), CLOCK
    )
    assert other.metric_names == ("ter", "bleu-x")


def test_metrics_do_not_change_while_some_are_being_scored(tmp_path: Path) -> None:
    settings = made(tmp_path)
    advance(tmp_path, 0, last=False)
    ledger = Ledger.open(tmp_path / "b", CLOCK)
    ledger.claim([ledger.ready(1, fresh=False, limit=1)], lambda _pack, number: f"d{number}")
    ledger.close()
    assert not plan_rescore(settings, Wanted("b"), CLOCK).items
    with pytest.raises(BatchBusy, match="cannot change now"):
        plan_rescore(settings, Wanted("b", metrics=metrics_of("ter")), CLOCK)


def test_rescore_does_nothing_but_scoring(tmp_path: Path) -> None:
    settings = made(tmp_path, steps=(TRANSLATE, SCORE, UPLOAD))
    with pytest.raises(UsageError, match="more than scoring"):
        plan_rescore(settings, Wanted("b"), CLOCK)
    assert plan_rerun(settings, Wanted("b", "score"), CLOCK).steps == ("score", "upload")


def test_of_several_scoring_steps_one_is_named(tmp_path: Path) -> None:
    second = {**SCORE, "name": "again", "outputs": ["more.json"]}
    settings = made(tmp_path, steps=(TRANSLATE, SCORE, second))
    with pytest.raises(UsageError, match="has 2 scoring steps"):
        plan_rescore(settings, Wanted("b"), CLOCK)
    assert plan_rescore(settings, Wanted("b", "again"), CLOCK).steps == ("again",)


def test_an_address_that_was_forgotten_is_missed_before_anything_is_sent(tmp_path: Path) -> None:
    settings = finished(tmp_path, reference="https://***@host/r.txt")
    with pytest.raises(BadInput, match="3 of the items cannot be done again"):
        plan_rescore(settings, Wanted("b"), CLOCK)
    (tmp_path / "b" / addresses.FILE).touch()  # as long as some have failed, it is kept
    assert len(plan_rescore(settings, Wanted("b"), CLOCK).items) == 3


@pytest.mark.parametrize("text", ["", "blue", "[bleu", "bleu,bleu", "{name: spbleu}", "a: b: c"])
def test_metrics_that_cannot_be_are_refused(text: str) -> None:
    with pytest.raises(BadInput):
        metrics_of(text)
