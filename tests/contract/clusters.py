"""Means for tests of clusters."""

from coordinator.cluster import Cluster, JobId, JobSpec, Request
from coordinator.errors import CoordinatorError


def send(cluster: Cluster, job: JobSpec, token: str) -> JobId:
    """Submit one job; raise what comes back in place of its id."""
    [result] = cluster.submit([Request(job, token)])
    if isinstance(result, CoordinatorError):
        raise result
    return result
