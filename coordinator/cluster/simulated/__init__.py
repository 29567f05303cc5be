"""A cluster in memory, in one thread, on a clock that is moved by hand, with seeded faults.

For tests and benchmarks: it behaves as Nomad was seen to, and no job of it is a process.
"""

from coordinator.cluster.simulated.cluster import SimulatedCluster
from coordinator.cluster.simulated.faults import Fault, Faults
from coordinator.cluster.simulated.runs import Program, Run, Signalled, SimulatedJob, Terminated
from coordinator.cluster.simulated.worker import SimulatedWorker
from coordinator.cluster.simulated.world import World

__all__ = [
    "Fault",
    "Faults",
    "Program",
    "Run",
    "Signalled",
    "SimulatedCluster",
    "SimulatedJob",
    "SimulatedWorker",
    "Terminated",
    "World",
]
