"""The simulated cluster, and the one on Nomad over a simulated API, under every cluster's tests.

One of them does not apply: nothing that a job started outlives it, since no job here is a process.
That a job outlives who submitted it is shown by a new connection, not by a killed process: the
cluster lives in the memory of the test.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from coordinator.clock import SimulatedClock
from coordinator.cluster import Phase
from coordinator.cluster.simulated import SimulatedCluster, World
from coordinator.domain.verdicts import Ending
from tests.contract.cluster_contract import ClusterContract, OpenCluster, witness
from tests.contract.clusters import send
from tests.contract.tiny_shell import run_script
from tests.simulation.lives import Life
from tests.simulation.nomad import nomad_by_the_clock, nomad_cluster_over, parent_of


class SimulatedContract(ClusterContract):
    test_nothing_a_job_started_outlives_it = None  # type: ignore[assignment]

    @pytest.fixture
    def world(self) -> World:
        self.clock = SimulatedClock()
        timeout = self.KILL_TIMEOUT
        return World(self.clock, run_script, lanes=self.LANES, kill_timeout=timeout)

    def time(self) -> float:
        return self.clock.monotonic()

    def pause(self, seconds: float) -> None:
        self.clock.advance(seconds)

    def test_a_job_lasts_longer_than_its_submitter(
        self, open_cluster: OpenCluster, tmp_path: Path
    ) -> None:
        spec = self.spec(tmp_path, self.until("released") + "echo ran >>witness")
        first = open_cluster()
        self.until_running(first, send(first, spec, "a-token"))
        first.close()
        cluster = open_cluster()
        job = cluster.find(spec, "a-token")
        assert job is not None
        assert cluster.observe([job])[job].phase is Phase.RUNNING
        (tmp_path / "released").touch()
        assert self.ending(cluster, job) == Ending(exit_code=0)
        assert witness(tmp_path) == ["ran"]


class TestSimulatedCluster(SimulatedContract):
    @pytest.fixture
    def open_cluster(self, world: World) -> OpenCluster:
        return lambda: SimulatedCluster(world)


class TestNomadClusterOverASimulatedApi(SimulatedContract):
    @pytest.fixture
    def open_cluster(self, world: World) -> Iterator[OpenCluster]:
        parents, life = [parent_of("contract", self.STEP, self.RESOURCES)], Life(None, print)
        with nomad_by_the_clock(self.clock):
            yield lambda: nomad_cluster_over(life, world, parents, tells_lanes=True)
