"""A node of a real Nomad that is lost for good: all its jobs go on elsewhere."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from agents import Cluster as Agents

from coordinator.cluster import JobId, JobSpec, Observation, Phase, Resources
from coordinator.cluster.nomad.api import NomadAddress, NomadApi
from coordinator.cluster.nomad.cluster import NomadCluster
from coordinator.cluster.nomad.job_files import SourceText
from coordinator.secrecy import Secret
from tests.contract.cluster_contract import ClusterContract
from tests.contract.clusters import send
from tests.contract.test_nomad_cluster import parent_of
from tests.nomad_agents import token_of

pytestmark = [pytest.mark.needs_nomad, pytest.mark.timeout(600)]

JOBS = 6
SMALL = Resources(cpu=1, memory_mb=64)
VARIABLES = """
driver = "raw_exec"
python = "/usr/bin/env"
kill_timeout = "1s"
mhz_per_core = 1000
lost_after = "5s"
"""


class CountingApi(NomadApi):
    """Counts the jobs that Nomad is asked to look at again."""

    def __init__(self, address: NomadAddress) -> None:
        super().__init__(address)
        self.evaluated: Counter[str] = Counter()

    def post(self, *path: str, json: Any = None, **params: Any) -> Any:
        self.evaluated[path[1]] += path[-1] == "evaluate"
        return super().post(*path, json=json, **params)


@pytest.mark.parametrize("forgets", [False, True])
def test_every_job_of_a_lost_node_goes_on_elsewhere(
    nomad_cluster_of_three: Agents, tmp_path: Path, forgets: bool
) -> None:
    """Also where Nomad's own look at the moment when the node counts as lost decides nothing.

    Where a job has ended on the node, and is known still, the node never counts as down: then
    nothing else makes Nomad look.
    """
    agents = nomad_cluster_of_three
    api = CountingApi(NomadAddress(agents.address))
    with jobs_at_work(api, tmp_path) as (cluster, jobs):
        nodes = Counter(look.node for look in cluster.observe(jobs).values())
        name, count = nodes.most_common()[0]
        end_jobs_on(name, agents, cluster, tmp_path)
        victim = next(client for client in agents.clients if client.name == name)
        victim.lose()
        lost_at = time.monotonic()
        forgotten = forget_to_look_again(agents, count) if forgets else set()
        until(cluster, jobs, lambda look: is_at_work(look) and look.node != name)
        seconds = time.monotonic() - lost_at
        assert {job for job, count in api.evaluated.items() if count} >= forgotten
        print(f"\n{count} jobs, {len(forgotten)} forgotten, were replaced within {seconds:.0f} s")
    victim.start()


def end_jobs_on(node: str, agents: Agents, cluster: NomadCluster, folder: Path) -> None:
    """Run jobs that do nothing until one of them has ended there."""
    for number in range(12):
        job = submitted(cluster, folder, f"ended{number}", "true")
        until(cluster, [job], lambda look: look.phase is Phase.ENDED)
        [allocation] = agents.call("GET", f"job/{job}/allocations")
        if allocation["NodeName"] == node:
            return
    raise AssertionError(f"no job is placed on {node}")


def forget_to_look_again(agents: Agents, jobs: int) -> set[str]:
    """Have the evaluations deleted that wait for the node to count as lost; the jobs, all of it."""
    agents.wait_for(lambda: len(waiting(agents)) == jobs, "the jobs to be unknown", 30)
    pause(agents, True)
    evaluations = waiting(agents)
    agents.call("DELETE", "evaluations", json={"EvalIDs": [each["ID"] for each in evaluations]})
    pause(agents, False)
    assert not waiting(agents)
    return {each["JobID"] for each in evaluations}


def waiting(agents: Agents) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = agents.call("GET", "evaluations", params={"status": "pending"})
    return [each for each in found if each["TriggeredBy"] == "max-disconnect-timeout"]


def pause(agents: Agents, whether: bool) -> None:
    known = agents.call("GET", "operator/scheduler/configuration")["SchedulerConfig"]
    wanted = {**known, "PauseEvalBroker": whether}
    agents.call("PUT", "operator/scheduler/configuration", json=wanted)


def test_the_shipped_policy_allows_to_have_a_job_looked_at_again(
    nomad_with_acl: Agents, tmp_path: Path
) -> None:
    token = Secret(token_of(nomad_with_acl))
    api = NomadApi(NomadAddress(nomad_with_acl.address, token=token))
    with jobs_at_work(api, tmp_path, 1) as (_, [job]):
        assert api.post("job", job, "evaluate", json={"JobID": job})["EvalID"]


@contextmanager
def jobs_at_work(
    api: NomadApi, folder: Path, count: int = JOBS
) -> Iterator[tuple[NomadCluster, list[JobId]]]:
    parent = replace(
        parent_of(api.address.namespace, folder),
        resources=SMALL,
        variables=SourceText("test.vars", VARIABLES),
    )
    cluster = NomadCluster(api, [parent], listen=False)
    cluster.prepare()
    jobs = [submitted(cluster, folder, f"j{number}", "sleep 600") for number in range(count)]
    try:
        until(cluster, jobs, is_at_work)
        yield cluster, jobs
    finally:
        for job in api.get_all("jobs", prefix=f"{parent.id}/"):
            api.delete("job", job["ID"], purge="true")
        cluster.dismantle()
        cluster.close()


def submitted(cluster: NomadCluster, folder: Path, name: str, script: str) -> JobId:
    path = folder / f"{name}.sh"
    path.write_text(script)
    step = ClusterContract.STEP
    spec = JobSpec(f"contract--work.{name}--a1v1", step, str(path), str(folder), SMALL)
    return send(cluster, spec, f"token of {path}")


def is_at_work(look: Observation) -> bool:
    return look.phase is Phase.RUNNING


def until(cluster: NomadCluster, jobs: list[JobId], holds: Any, seconds: float = 90) -> None:
    """Until it holds of all of them."""
    deadline = time.monotonic() + seconds
    while left := [j for j, look in cluster.observe(jobs).items() if not holds(look)]:
        assert time.monotonic() < deadline, cluster.observe(left)
        time.sleep(0.2)
