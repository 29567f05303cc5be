"""What `purge` leaves alone: all that a batch needs which is driven, or has jobs out."""

from collections.abc import Collection
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest

from coordinator.clock import SystemClock
from coordinator.cluster import JobId
from coordinator.commands import purge as purging
from coordinator.commands.record import BatchRecord, as_document
from coordinator.domain.items import WorkItem
from coordinator.domain.states import AttemptState as S
from coordinator.domain.states import ItemState
from coordinator.ledger import AttemptEnd, Dispatch, Finish, Ledger, driver_lock
from coordinator.pipelines import Pipeline
from coordinator.settings import Settings

CLOCK = SystemClock()


class Recorder:
    """A cluster that only remembers what it was asked."""

    def __init__(self) -> None:
        self.purged: list[JobId] = []
        self.dismantled = 0

    def purge(self, ids: Collection[JobId]) -> None:
        self.purged += ids

    def dismantle(self) -> None:
        self.dismantled += 1

    def held(self, _on_lost: object) -> AbstractContextManager[bool]:
        return nullcontext(True)

    def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    recorder = Recorder()
    monkeypatch.setattr(purging, "make_cluster", lambda *_: recorder)
    return recorder


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(state_dir=tmp_path)


def begun(settings: Settings, *, ended: int, out: int) -> None:
    """A batch with dispatches that ended and such that are out."""
    step = {"name": "s", "job": "command", "pack": {"size": 1}}
    record = BatchRecord(
        batch="b",
        pipeline=Pipeline.model_validate({"name": "p", "steps": [step]}),
        steps=("s",),
        source="here",
        output_root=str(settings.state_dir / "out"),
        log_dir=str(settings.state_dir / "logs"),
        cluster="local",
        slots=1,
        stop_threshold=9,
        resume_threshold=1,
        wait_seconds=0,
        items=ended + out + 1,
        items_sha256="",
        created_at=0,
    )
    items = [(WorkItem(f"i{n}"), "") for n in range(ended + out + 1)]
    ledger = Ledger.create(settings.state_dir / "b", CLOCK, as_document(record), items)
    for number in range(ended + out):
        dispatch = _sent(ledger, number)
        if number < ended:
            [attempt] = ledger.attempts_of(dispatch)
            end = AttemptEnd(attempt, S.SUCCEEDED, Finish(ItemState.SUCCEEDED))
            ledger.end(dispatch, [end])
    ledger.close()


def _sent(ledger: Ledger, number: int) -> Dispatch:
    dispatch = ledger.claim([ledger.ready(0, fresh=True, limit=1)], lambda _, n: f"d{n}")[0]
    ledger.move(dispatch, S.CLAIMED, S.SUBMITTED, f"job-{number}")
    return next(each for each in ledger.out() if each.id == dispatch.id)


def purge(settings: Settings) -> None:
    plan = purging.plan_purge(settings, "b", CLOCK)
    purging.purge(plan, settings, CLOCK, include_running=False, yes=False)


def test_a_batch_that_is_driven_keeps_what_its_next_jobs_need(
    settings: Settings, cluster: Recorder
) -> None:
    """A step that has no job out just now would else lose its parent under the driver's hands."""
    begun(settings, ended=2, out=0)
    with driver_lock(settings.state_dir / "b", "b"):
        purge(settings)
    assert (cluster.purged, cluster.dismantled) == (["job-0", "job-1"], 0)


def test_a_batch_with_jobs_out_keeps_it_too(settings: Settings, cluster: Recorder) -> None:
    begun(settings, ended=1, out=1)
    purge(settings)
    assert (cluster.purged, cluster.dismantled) == (["job-0"], 0)


def test_what_is_left_of_an_idle_batch_goes(settings: Settings, cluster: Recorder) -> None:
    begun(settings, ended=2, out=0)
    purge(settings)
    purge(settings)  # repeatable; what was purged is not asked for again
    assert (cluster.purged, cluster.dismantled) == (["job-0", "job-1"], 2)
