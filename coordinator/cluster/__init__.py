"""Clusters behind one protocol: the embedded local executor, and Nomad."""

from coordinator.cluster.base import (
    Cluster,
    JobId,
    JobSpec,
    Observation,
    Phase,
    Request,
    Resources,
    StillHeld,
)
from coordinator.cluster.inside import Inside

__all__ = [
    "Cluster",
    "Inside",
    "JobId",
    "JobSpec",
    "Observation",
    "Phase",
    "Request",
    "Resources",
    "StillHeld",
]
