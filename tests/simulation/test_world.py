"""The simulated cluster itself, where a batch shows its faults too seldom."""

from random import Random

import pytest

from coordinator.clock import SimulatedClock
from coordinator.cluster import JobSpec, Resources
from coordinator.cluster.simulated import Fault, Faults, Run, World
from coordinator.cluster.simulated.runs import Steps

STRIKES = {Fault.NODE_LOST: 1.0, Fault.NODE_CUT_OFF: 1.0, Fault.LEFT_UNKNOWN: 1.0}


def without_end(_run: Run) -> Steps:
    while True:
        yield 60.0


@pytest.mark.parametrize("seed", range(20))
def test_a_node_that_is_lost_while_it_is_cut_off_does_not_come_back(seed: int) -> None:
    clock = SimulatedClock()
    world = World(clock, without_end, lanes=1, faults=Faults(Random(seed), STRIKES))
    job = world.make(JobSpec("job", "step", "handoff", "", Resources()), "token")
    clock.advance(1_000.0)  # whatever befalls the node is over
    world.advance()
    assert not job.runs[0].is_alive and job.ending is None
    world.look_again(job)
    assert job.ending is not None and job.ending.gone
