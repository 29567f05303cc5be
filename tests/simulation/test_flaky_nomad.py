"""The cluster on Nomad over an API that fails again and again: whatever was done stays done."""

from random import Random

import pytest

from coordinator.clock import SimulatedClock
from coordinator.cluster import JobSpec, Resources
from coordinator.cluster.simulated import Fault, Faults, Run, World
from coordinator.cluster.simulated.runs import Steps
from coordinator.errors import ClusterUnavailable
from tests.contract.clusters import send
from tests.simulation.lives import Life
from tests.simulation.nomad import nomad_by_the_clock, nomad_cluster_over, parent_of

JOBS = 64


def at_once(_run: Run) -> Steps:
    yield 0.0
    return 0


@pytest.mark.parametrize("fault", [Fault.DONE_BUT_ERROR, Fault.API_ERROR])
def test_many_jobs_are_purged_though_half_of_all_requests_fail(fault: Fault) -> None:
    """All together they would succeed once in 2^64 tries."""
    clock, life = SimulatedClock(), Life(None, print)
    world = World(clock, at_once, lanes=JOBS)
    resources = Resources(cpu=1, memory_mb=64)
    with nomad_by_the_clock(clock):
        parents = [parent_of("flaky", "step", resources)]
        cluster = nomad_cluster_over(life, world, parents, tells_lanes=True)
        specs = [JobSpec(f"job-{n}", "step", f"handoff-{n}", "", resources) for n in range(JOBS)]
        jobs = [send(cluster, spec, spec.name) for spec in specs]
        clock.advance(60.0)
        assert all(look.ending for look in cluster.observe(jobs).values())
        world.faults = Faults(Random(1), {fault: 0.5})
        cluster = nomad_cluster_over(life, world, parents, tells_lanes=True)
        for _ in range(40):
            clock.advance(30.0)
            try:
                cluster.purge(jobs)
                break
            except ClusterUnavailable:
                continue
        else:
            pytest.fail("no end of purging")
        assert not world.jobs
