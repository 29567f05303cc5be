"""What Nomad does with dispatches that cannot be placed, are repeated, or come at a bad time."""

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from agents import Cluster as Agents

from coordinator.cluster import JobId, JobSpec, Observation, Phase, Request, Resources
from coordinator.cluster.nomad import cluster as nomad_cluster
from coordinator.cluster.nomad import tracking
from coordinator.cluster.nomad.api import NomadAddress, NomadApi
from coordinator.cluster.nomad.cluster import NomadCluster
from coordinator.cluster.nomad.job_files import SourceText
from coordinator.cluster.nomad.parents import Parent
from coordinator.domain.verdicts import StopReason, verdict_of
from coordinator.errors import JobRefused, UsageError
from tests.contract.clusters import send
from tests.contract.test_nomad_cluster import parent_of

pytestmark = [pytest.mark.needs_nomad, pytest.mark.timeout(600)]

SMALL = Resources(cpu=1, memory_mb=64)
PATIENCE = 60.0
Open = Callable[..., NomadCluster]


@pytest.fixture
def api(nomad_agent: Agents, nomad_namespace: str) -> NomadApi:
    return NomadApi(NomadAddress(nomad_agent.address, nomad_namespace))


@pytest.fixture
def parent(api: NomadApi, tmp_path: Path) -> Parent:
    return replace(parent_of(api.address.namespace, tmp_path), resources=SMALL)


@pytest.fixture
def open_cluster(api: NomadApi) -> Iterator[Open]:
    with ExitStack() as stack:

        def open_one(*parents: Parent, **options: int) -> NomadCluster:
            cluster = NomadCluster(api, parents, **options)  # type: ignore[arg-type]
            cluster.prepare()
            stack.callback(cluster.close)
            return cluster

        yield open_one


def job_of(parent: Parent, folder: Path, script: str, name: str = "one") -> JobSpec:
    path = folder / f"{name}.sh"
    path.write_text(script)
    return JobSpec(
        f"contract--work.{name}--a1v1", parent.step, str(path), str(folder), parent.resources
    )


def until(
    cluster: NomadCluster, job: JobId, is_enough: Callable[[Observation], bool]
) -> Observation:
    deadline = time.monotonic() + PATIENCE
    while not is_enough(seen := cluster.observe([job])[job]):
        assert time.monotonic() < deadline, seen
        time.sleep(0.1)
    return seen


# placement


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"resources": Resources(1, 70_000)}, "no node is large enough: it asks for 1,000 MHz, 70"),
        ({"resources": Resources(1, 64, 3)}, "missing devices"),
        (
            {"variables": SourceText("v", 'driver = "docker"\nimage = "none:none"\n')},
            "missing drivers on 1 node",
        ),
    ],
    ids=["memory", "gpus", "driver"],
)
def test_what_no_node_could_ever_run_is_said_at_once(
    open_cluster: Open, parent: Parent, tmp_path: Path, changes: dict[str, object], why: str
) -> None:
    wanted = replace(parent, **changes)  # type: ignore[arg-type]
    cluster = open_cluster(wanted)
    job = send(cluster, job_of(wanted, tmp_path, "exit 0"), "token")
    began = time.monotonic()
    seen = until(cluster, job, lambda look: look.hopeless)
    assert why in seen.detail
    assert time.monotonic() - began < 20
    closer = open_cluster(wanted).look(job)  # as one who has never looked before
    assert (closer.phase, closer.detail, closer.hopeless) == (Phase.PENDING, seen.detail, True)


def test_a_busy_cluster_is_waited_for(open_cluster: Open, parent: Parent, tmp_path: Path) -> None:
    half = replace(parent, resources=Resources(1, 32_000))
    cluster = open_cluster(half)
    go_on = tmp_path / "go-on"
    wait = f"while [ ! -e {go_on} ]; do sleep 0.1; done"
    jobs = [send(cluster, job_of(half, tmp_path, wait, f"j{n}"), f"t{n}") for n in range(3)]
    looks = [until(cluster, job, _runs_or_is_told_why) for job in jobs]
    waits = [look for look in looks if look.phase is Phase.PENDING]
    assert [(look.detail, look.hopeless) for look in waits] == [
        ("all nodes are busy (memory on 1 node)", False)
    ]
    go_on.touch()
    running = next(
        job for job, look in zip(jobs, looks, strict=True) if look.phase is Phase.RUNNING
    )
    closer = open_cluster(half).look(running)
    assert (closer.phase, closer.node) == (Phase.RUNNING, looks[jobs.index(running)].node)
    for job in jobs:
        ended = until(cluster, job, lambda look: look.ending is not None).ending
        assert ended is not None and open_cluster(half).look(job).ending == ended


def _runs_or_is_told_why(look: Observation) -> bool:
    return look.phase is Phase.RUNNING or "busy" in look.detail


# pressure


def test_dispatching_waits_while_evaluations_are_blocked(
    open_cluster: Open,
    parent: Parent,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(nomad_cluster, "_PRESSURE_SECONDS", 0.0)
    huge = replace(parent, resources=Resources(1, 70_000))
    cluster = open_cluster(huge, max_blocked=2)
    jobs = [send(cluster, job_of(huge, tmp_path, "exit 0", f"j{n}"), f"t{n}") for n in range(3)]
    deadline = time.monotonic() + PATIENCE
    while not (why := cluster.pressure()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert why == "the cluster is busy: 3 evaluations are blocked (limit 2)"
    assert open_cluster(huge).pressure() == ""  # without a limit nothing is asked
    cluster.purge(_stopped(cluster, jobs))
    while cluster.pressure():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _stopped(cluster: NomadCluster, jobs: list[JobId]) -> list[JobId]:
    cluster.stop(jobs, StopReason.ASKED)
    for job in jobs:
        until(cluster, job, lambda look: look.ending is not None)
    return jobs


# tokens


def test_one_token_sent_at_once_by_many_is_one_job_that_exists(
    open_cluster: Open, parent: Parent, tmp_path: Path
) -> None:
    """Nomad tells the losers of such a race of jobs that do not exist."""
    cluster = open_cluster(parent)
    for race in range(10):
        spec = job_of(parent, tmp_path, "exit 0", f"race{race}")
        request = Request(spec, f"token-{race}", again=True)
        with ThreadPoolExecutor(4) as pool:
            results = [r for [r] in pool.map(lambda _, r=request: cluster.submit([r]), range(4))]
        assert len(set(results)) == 1 and isinstance(results[0], str)
        assert cluster.find(spec, f"token-{race}") == results[0]


def test_a_dispatch_that_nomad_will_never_take_is_refused(
    open_cluster: Open, api: NomadApi, parent: Parent, tmp_path: Path
) -> None:
    cluster = open_cluster(parent)
    api.delete("job", parent.id, purge="true")
    [result] = cluster.submit([Request(job_of(parent, tmp_path, "exit 0"), "token")])
    assert isinstance(result, JobRefused) and "parameterized job not found" in result.why


def test_a_job_that_is_not_there_has_no_allocations(api: NomadApi, parent: Parent) -> None:
    """No error: a job may be collected between the list that has it and a closer look."""
    assert api.get_all("job", f"{parent.id}/dispatch-gone", "allocations") == []
    assert api.get_all("job", f"{parent.id}/dispatch-gone", "evaluations") == []


def test_a_nomad_that_does_not_know_the_batch_is_refused(api: NomadApi, parent: Parent) -> None:
    cluster = NomadCluster(api, [parent])
    with pytest.raises(UsageError, match="knows nothing of batch contract"):
        cluster.prepare(is_known=True)
    cluster.prepare()
    cluster.prepare(is_known=True)
    cluster.dismantle()
    assert api.get("jobs") == []


# endings


def test_a_command_that_is_missing_is_the_infrastructures_fault(
    open_cluster: Open, parent: Parent, tmp_path: Path
) -> None:
    wrong = SourceText("v", 'driver = "raw_exec"\npython = "/no/such/program"\n')
    broken = replace(parent, variables=wrong)
    cluster = open_cluster(broken)
    job = send(cluster, job_of(broken, tmp_path, "exit 0"), "token")
    ending = until(cluster, job, lambda look: look.ending is not None).ending
    assert ending is not None
    verdict = verdict_of(None, ending)
    assert (str(verdict.kind), "/no/such/program" in verdict.reason) == ("infrastructure", True)
    cluster.save_logs(job, tmp_path / "logs")
    events = json.loads((tmp_path / "logs" / "events.json").read_text())
    assert any(event["event"] == "Driver Failure" for event in events)


def test_more_memory_is_another_parent(
    open_cluster: Open, api: NomadApi, parent: Parent, tmp_path: Path
) -> None:
    larger = replace(parent, resources=Resources(1, 128), memory_step=1)
    cluster = open_cluster(parent, larger)
    first, second = (
        send(cluster, job_of(each, tmp_path, "exit 0", f"m{each.memory_step}"), each.id)
        for each in (parent, larger)
    )
    assert (first.split("/")[0], second.split("/")[0]) == ("contract--work", "contract--work~m1")
    tasks = [api.get("job", job)["TaskGroups"][0]["Tasks"][0] for job in (first, second)]
    assert [task["Resources"]["MemoryMB"] for task in tasks] == [64, 128]


def test_a_listing_is_spaced_by_its_own_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    tracker = tracking.Tracker(None, "b--", lambda _: None, lambda _: None)  # type: ignore[arg-type, return-value]
    now = [100.0]
    monkeypatch.setattr(tracking.time, "monotonic", lambda: now[0])
    tracker._listed_at, tracker._cost, tracker.poll_seconds = 100.0, 0.1, 10.0
    tracker.hint()
    now[0] = 101.0
    assert not tracker._is_due([])
    now[0] = 102.0
    assert tracker._is_due([])
    tracker._hinted.clear()
    assert not tracker._is_due([])
    now[0] = 110.5
    assert tracker._is_due([])
