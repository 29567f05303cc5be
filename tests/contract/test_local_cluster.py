"""The local executor, under the tests that every cluster passes."""

from pathlib import Path

import pytest

from coordinator.cluster import Cluster, JobSpec
from coordinator.cluster.local import LocalCluster
from tests.contract.cluster_contract import ClusterContract, OpenCluster


def shell(job: JobSpec) -> list[str]:
    return ["/bin/sh", job.handoff]


class TestLocalCluster(ClusterContract):
    @pytest.fixture
    def open_cluster(self, tmp_path: Path) -> OpenCluster:
        def opened() -> Cluster:
            folder = tmp_path / "cluster"
            timeout = self.KILL_TIMEOUT
            return LocalCluster(folder, slots=self.LANES, command=shell, kill_timeout=timeout)

        return opened
