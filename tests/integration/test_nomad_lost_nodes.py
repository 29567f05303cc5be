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
from tests.contract.clusters import send
from tests.contract.test_nomad_cluster import parent_of

pytestmark = [pytest.mark.needs_nomad, pytest.mark.timeout(600)]

JOBS = 24
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


def test_every_job_of_a_lost_node_goes_on_elsewhere(
    nomad_cluster_of_three: Agents, tmp_path: Path
) -> None:
    """Nomad itself leaves some of them unknown, now and then."""
    agents = nomad_cluster_of_three
    api = CountingApi(NomadAddress(agents.address))
    with jobs_at_work(api, tmp_path) as (cluster, jobs):
        nodes = Counter(look.node for look in cluster.observe(jobs).values())
        name, count = nodes.most_common()[0]
        victim = next(client for client in agents.clients if client.name == name)
        victim.lose()
        lost_at = time.monotonic()
        until(cluster, jobs, lambda look: is_at_work(look) and look.node != name)
        seconds = time.monotonic() - lost_at
        asked = sum(count > 0 for count in api.evaluated.values())
        print(f"\n{count} jobs were replaced within {seconds:.0f} s; Nomad had forgotten {asked}")
    victim.start()


def test_the_shipped_policy_allows_to_have_a_job_looked_at_again(
    nomad_with_acl: Agents, tmp_path: Path
) -> None:
    policy = Path(__file__).parents[2] / "job_defs/coordinator-policy.hcl"
    rules = {"Name": "coordinator", "Rules": policy.read_text()}
    nomad_with_acl.call("PUT", "acl/policy/coordinator", json=rules)
    token = {"Name": "c", "Type": "client", "Policies": ["coordinator"]}
    secret = nomad_with_acl.call("PUT", "acl/token", json=token)["SecretID"]
    api = NomadApi(NomadAddress(nomad_with_acl.address, token=Secret(secret)))
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
    script = folder / "sleep.sh"
    script.write_text("sleep 600")
    cluster = NomadCluster(api, [parent], listen=False)
    cluster.prepare()
    names = [f"contract--work.j{number}--a1v1" for number in range(count)]
    specs = [JobSpec(name, parent.step, str(script), str(folder), SMALL) for name in names]
    jobs = [send(cluster, spec, f"token-{spec.name}") for spec in specs]
    try:
        until(cluster, jobs, is_at_work)
        yield cluster, jobs
    finally:
        for job in jobs:
            api.delete("job", job, purge="true")
        cluster.dismantle()
        cluster.close()


def is_at_work(look: Observation) -> bool:
    return look.phase is Phase.RUNNING


def until(cluster: NomadCluster, jobs: list[JobId], holds: Any, seconds: float = 90) -> None:
    """Until it holds of all of them."""
    deadline = time.monotonic() + seconds
    while left := [j for j, look in cluster.observe(jobs).items() if not holds(look)]:
        assert time.monotonic() < deadline, cluster.observe(left)
        time.sleep(0.2)
