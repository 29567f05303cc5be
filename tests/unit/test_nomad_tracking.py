"""Where jobs stand, told from listings: an API in memory shows moments that a real one hides."""

import json
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from coordinator.cluster.base import JobId, Phase
from coordinator.cluster.nomad import tracking
from coordinator.cluster.nomad.placement import Placement
from coordinator.cluster.nomad.tracking import Site, Tracker
from tests.unit.test_nomad_endings import allocation

SITE = Site({"namespace": "default"}, "t")
JOBS = [JobId(f"b--s/dispatch-b--s.i{n}--a1v1-1-00000000") for n in range(3)]


class Reply:
    def __init__(self, document: Any) -> None:
        self.headers, self.content = {"Date": "Thu, 01 Jan 2026 00:10:00 GMT"}, json.dumps(document)


class Api:
    """Jobs and their allocations, as a test wants them."""

    def __init__(self) -> None:
        self.jobs: dict[JobId, dict[str, Any]] = {}
        self.allocations: dict[JobId, list[dict[str, Any]]] = {}
        self.listings = 0

    def call(self, _method: str, _path: str, params: Mapping[str, Any]) -> Reply:
        assert params["prefix"] == "b--"
        self.listings += 1
        return Reply(list(self.jobs.values()))

    def listed(self, reply: Reply) -> Any:
        return json.loads(reply.content)

    def get_all(self, *path: str, **_: Any) -> Any:
        return self.allocations[JobId(path[1])]

    def put(self, job: JobId, status: str, *found: dict[str, Any], index: int = 1) -> None:
        self.jobs[job] = {"ID": job, "Status": status, "ModifyIndex": index}
        self.allocations[job] = list(found)


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def tracker(api: Api, monkeypatch: pytest.MonkeyPatch) -> Tracker:
    monkeypatch.setattr(tracking, "_SHARE", 0.0)
    made = Tracker(api, "b--", lambda _: SITE, lambda _: Placement())  # type: ignore[arg-type]
    made.poll_seconds = 1000.0
    return made


def test_jobs_of_an_earlier_run_are_looked_at_when_they_are_asked_about(
    api: Api, tracker: Tracker
) -> None:
    """A listing has them already, from when only others were asked about."""
    api.put(JOBS[0], "running", allocation("running", state="running"))
    api.put(JOBS[1], "dead", allocation("complete", exit_code="0"))
    assert tracker.observe([JOBS[0]])[JOBS[0]].phase is Phase.RUNNING
    assert tracker.observe([JOBS[1]])[JOBS[1]].phase is Phase.ENDED
    assert api.listings == 1


def test_another_allocation_starts_the_clock_anew(api: Api, tracker: Tracker) -> None:
    """A job that Nomad placed again, its node lost, has not run for as long as the first one."""
    job = JOBS[0]
    api.put(job, "running", allocation("running", state="running"))
    assert tracker.observe([job])[job].running_seconds > 500
    second = {**allocation("pending", state="pending"), "ID": "b", "CreateIndex": 2}
    second["TaskStates"]["t"]["StartedAt"] = None
    api.put(job, "running", allocation("lost"), second, index=2)
    tracker.hint()
    assert tracker.observe([job])[job].phase is Phase.PENDING
    again = {**allocation("running", state="running"), "ID": "b", "CreateIndex": 2}
    api.put(job, "running", allocation("lost"), again, index=3)
    tracker.hint()
    seen = tracker.observe([job])[job]
    assert (seen.phase, seen.running_seconds < 60) == (Phase.RUNNING, True)


def test_a_nodes_clock_makes_no_job_late_that_was_seen_before(api: Api, tracker: Tracker) -> None:
    job = JOBS[0]
    tracker.sent(job)
    time.sleep(0.05)
    api.put(job, "running", allocation("running", state="running"))  # ten minutes ago, it says
    tracker.hint()
    seen = tracker.observe([job])[job]
    assert seen.phase is Phase.RUNNING and seen.running_seconds < 60


def test_a_node_whose_clock_is_late_makes_no_job_older_than_its_allocation(
    api: Api, tracker: Tracker
) -> None:
    """A coordinator that starts anew has not seen it begin; the node says: ten minutes ago."""
    placed_at = parsedate_to_datetime(Reply(None).headers["Date"]).timestamp() - 5
    found = allocation("running", state="running") | {"CreateTime": int(placed_at * 1e9)}
    api.put(JOBS[0], "running", found)
    seen = tracker.observe([JOBS[0]])[JOBS[0]]
    assert seen.phase is Phase.RUNNING and 4 < seen.running_seconds < 60


def test_a_job_that_waits_again_does_not_run(api: Api, tracker: Tracker) -> None:
    job = JOBS[0]
    api.put(job, "running", allocation("running", state="running"))
    tracker.observe([job])
    api.put(job, "pending", allocation("lost"), index=2)
    tracker.hint()
    assert tracker.observe([job])[job].phase is Phase.PENDING


def test_a_job_that_nomad_does_not_list_is_gone(api: Api, tracker: Tracker) -> None:
    api.put(JOBS[0], "running", allocation("running", state="running"))
    tracker.observe([JOBS[0]])
    tracker.sent(JOBS[1])  # after the listing: nothing is concluded from it
    assert tracker.observe([JOBS[0], JOBS[1]])[JOBS[1]].phase is Phase.PENDING
    seen = tracker.observe([JOBS[2]])[JOBS[2]]
    assert seen.ending is not None and seen.ending.gone
