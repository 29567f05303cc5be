"""The jobs that run inside the cluster, in one frame: `python -m coordinator.workers`."""
