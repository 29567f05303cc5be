"""The local executor, under the tests that every cluster passes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from coordinator.cluster import Cluster, JobSpec
from coordinator.cluster.local import LocalCluster
from tests.contract.cluster_contract import ClusterContract, OpenCluster
from tests.contract.leftovers import end_jobs


def shell(job: JobSpec) -> list[str]:
    return ["/bin/sh", job.handoff]


class TestLocalCluster(ClusterContract):
    @pytest.fixture
    def open_cluster(self, tmp_path: Path) -> Iterator[OpenCluster]:
        def opened() -> Cluster:
            folder = tmp_path / "cluster"
            timeout = self.KILL_TIMEOUT
            return LocalCluster(folder, slots=self.LANES, command=shell, kill_timeout=timeout)

        yield opened
        end_jobs(tmp_path)
