"""The embedded executor: every dispatch is a process group on this machine."""

from coordinator.cluster.local.cluster import LocalCluster

__all__ = ["LocalCluster"]
