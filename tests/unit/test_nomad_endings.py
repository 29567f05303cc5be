"""What Nomad's records of a job mean, told from documents as its API gives them."""

from typing import Any

import pytest

from coordinator.cluster.nomad.endings import ending_of, is_over, started
from coordinator.cluster.nomad.placement import (
    Room,
    lanes_in,
    placement_of,
    room_asked_by,
    rooms_of,
)
from coordinator.domain.states import AttemptState
from coordinator.domain.verdicts import StopReason, verdict_of

DEAD = {"ID": "j", "Status": "dead", "Stop": False}
NODE = {
    "Status": "ready",
    "SchedulingEligibility": "eligible",
    "NodeResources": {"Cpu": {"CpuShares": 4000}, "Memory": {"MemoryMB": 8000}},
    "ReservedResources": {"Memory": {"MemoryMB": 1000}},
}


def allocation(
    client: str, desired: str = "run", said: str = "", state: str = "dead", **task: Any
) -> dict[str, Any]:
    events = [{"Type": "Terminated", "Details": task, "DisplayMessage": "x"}] if task else []
    return {
        "ID": "a",
        "CreateIndex": 1,
        "NodeName": "n",
        "ClientStatus": client,
        "ClientDescription": "",
        "DesiredStatus": desired,
        "DesiredDescription": said,
        "TaskStates": {
            "t": {"State": state, "StartedAt": "2026-01-01T00:00:00.5Z", "Events": events}
        },
    }


STOPPED, AWAY = "alloc not needed due to job update", "alloc is unknown since its node is away"
MIGRATED = "alloc is being migrated"


@pytest.mark.parametrize(
    ("found", "state", "kind"),
    [
        (allocation("failed", exit_code="65"), "failed", "bad_input"),
        (allocation("failed", exit_code="137", signal="9"), "failed", "out_of_memory"),
        (allocation("failed", exit_code="-1"), "failed", "infrastructure"),
        (allocation("complete", exit_code="0"), "unknown", "unknown"),
        (allocation("complete", "stop", STOPPED, exit_code="130"), "stopped", "stopped"),
        (allocation("complete", "stop", MIGRATED, exit_code="130"), "failed", "infrastructure"),
        (allocation("complete", "evict", "preempted", exit_code="137"), "failed", "infrastructure"),
        (allocation("lost", "stop", "alloc is lost since its node is down"), "lost", "lost"),
        (allocation("unknown", "stop", STOPPED, state="running"), "stopped", "stopped"),
        (allocation("unknown", "stop", AWAY, state="running"), "lost", "lost"),
    ],
)
def test_endings_without_an_outcome(found: dict[str, Any], state: str, kind: str) -> None:
    assert is_over(DEAD, [found])
    verdict = verdict_of(None, ending_of(DEAD, [found], "t"))
    assert (verdict.state, str(verdict.kind)) == (AttemptState(state), kind)


@pytest.mark.parametrize(
    "found",
    [
        allocation("running", state="running"),
        allocation("running", "stop", STOPPED, state="running"),
        allocation("complete", state="running"),  # a poststop task works on
        allocation("unknown", state="running"),
    ],
)
def test_a_dead_job_may_still_run(found: dict[str, Any]) -> None:
    assert not is_over(DEAD, [found])


@pytest.mark.parametrize(
    ("events", "kind"),
    [
        (["Started"], "out_of_memory"),
        (["Started", "Sibling Task Failed", "Killing"], "infrastructure"),
        (["Started", "Killing"], "infrastructure"),
        (["Started", "Killing", "Restarting", "Started"], "out_of_memory"),
    ],
)
def test_a_kill_is_for_memory_unless_an_event_of_the_same_run_explains_it(
    events: list[str], kind: str
) -> None:
    found = allocation("failed", exit_code="137", signal="9")
    before = [{"Type": each, "DisplayMessage": f"{each}: why"} for each in events]
    found["TaskStates"]["t"]["Events"][:0] = before
    ending = ending_of(DEAD, [found], "t")
    assert verdict_of(None, ending).kind == kind
    assert (kind == "infrastructure") == ending.detail.endswith(": why")
    found["TaskStates"]["t"]["Events"][-1]["Details"]["oom_killed"] = "true"
    assert verdict_of(None, ending_of(DEAD, [found], "t")).kind == "out_of_memory"


def test_a_job_that_was_never_placed() -> None:
    assert ending_of({**DEAD, "Stop": True}, [], "t").stop is StopReason.ASKED
    assert ending_of(DEAD, [], "t").gone


def test_a_disconnected_job_is_not_timed() -> None:
    seen = started([allocation("unknown", state="running")], "t")
    assert seen is not None
    assert (seen.started_at, seen.waits_for) == ("", "its node is disconnected")


# placement

BUSY = {"NodesEvaluated": 1, "NodesExhausted": 1, "DimensionExhausted": {"memory": 1}}
FILTERED = {"NodesEvaluated": 1, "ConstraintFiltered": {"missing drivers": 1}}


def evaluations(metrics: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"CreateIndex": 1}, {"CreateIndex": 2, "FailedTGAllocs": {"g": metrics}}]


@pytest.mark.parametrize(
    ("metrics", "nodes", "asked", "hopeless"),
    [
        (BUSY, [NODE], Room(4000, 7000, 0), False),
        (BUSY, [NODE], Room(4000, 7001, 0), True),
        (BUSY, None, Room(4000, 7001, 0), False),
        (BUSY, [NODE, {**NODE, "Status": "down"}], Room(9000, 1, 0), True),
        (BUSY, [{**NODE, "SchedulingEligibility": "ineligible"}], Room(4000, 7000, 0), False),
        (FILTERED, [NODE], Room(1, 1, 0), True),
        (FILTERED, [NODE, {**NODE, "SchedulingEligibility": "ineligible"}], Room(1, 1, 0), False),
        ({"NodesEvaluated": 0}, [], Room(1, 1, 0), False),
    ],
)
def test_hopeless_is_only_what_no_node_can_change(
    metrics: dict[str, Any], nodes: list[dict[str, Any]] | None, asked: Room, hopeless: bool
) -> None:
    assert placement_of(evaluations(metrics), nodes, asked).hopeless is hopeless


def test_what_a_job_asks_for_is_read_off_it() -> None:
    task = {"Resources": {"CPU": 800, "MemoryMB": 100, "Devices": [{"Count": 2}]}}
    side = {"Resources": {"CPU": 100, "MemoryMB": 50}}
    asked = room_asked_by({"TaskGroups": [{"Tasks": [task, side]}]})
    assert asked == Room(900, 150, 2)
    assert lanes_in(rooms_of([NODE]), Room(900, 150, 0)) == 4
    assert lanes_in(rooms_of([NODE]), asked) == 0
