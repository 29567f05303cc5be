"""The cluster on a real Nomad keeps the contract of every cluster."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from agents import Cluster as Agents

from coordinator.cluster import Resources
from coordinator.cluster.nomad import tracking
from coordinator.cluster.nomad.api import NomadAddress, NomadApi
from coordinator.cluster.nomad.cluster import NomadCluster
from coordinator.cluster.nomad.job_files import SourceText, shipped_job_file
from coordinator.cluster.nomad.parents import Parent
from tests.contract.cluster_contract import ClusterContract, OpenCluster

pytestmark = [pytest.mark.needs_nomad, pytest.mark.timeout(900)]

HALF_A_NODE = Resources(cpu=1, memory_mb=32_000)
VARIABLES = SourceText(
    "test.vars", 'driver = "raw_exec"\npython = "/usr/bin/env"\nkill_timeout = "1s"\n'
)


def shell_job_file() -> SourceText:
    """The shipped job file, with a shell script in place of the worker."""
    text = shipped_job_file("command").read_text()
    worker = '"-m", "coordinator.workers", "${NOMAD_META_output_root}", "${NOMAD_META_handoff}",'
    assert worker in text
    return SourceText("shell.nomad.hcl", text.replace(worker, '"sh", "${NOMAD_META_handoff}",'))


def parent_of(namespace: str, folder: Path) -> Parent:
    return Parent(
        batch="contract",
        uid="the-contract",
        step=ClusterContract.STEP,
        resources=HALF_A_NODE,
        output_root=str(folder),
        job_file=shell_job_file(),
        variables=VARIABLES,
        namespace=namespace,
    )


class TestNomadCluster(ClusterContract):
    TASK = "command"
    RESOURCES = HALF_A_NODE
    UNKNOWN = (None,)  # raw_exec kills a stopped task's executor, at times before it is asked

    @pytest.fixture
    def open_cluster(
        self, nomad_agent: Agents, nomad_namespace: str, tmp_path: Path
    ) -> Iterator[OpenCluster]:
        api = NomadApi(NomadAddress(nomad_agent.address, nomad_namespace))
        with ExitStack() as stack:

            def open_one() -> NomadCluster:
                cluster = NomadCluster(api, [parent_of(nomad_namespace, tmp_path)])
                cluster.prepare()
                stack.callback(cluster.close)
                return cluster

            yield open_one

    def test_many_jobs_are_asked_about_together(
        self, open_cluster: OpenCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tracking, "FEW", 0)
        cluster = open_cluster()
        codes = [0, 1, 65, 137]
        jobs = [self.submit(cluster, tmp_path, f"exit {code}") for code in codes]
        assert [ending.exit_code for ending in self.endings(cluster, jobs)] == codes
