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

__all__ = [
    "Cluster",
    "JobId",
    "JobSpec",
    "Observation",
    "Phase",
    "Request",
    "Resources",
    "StillHeld",
]
