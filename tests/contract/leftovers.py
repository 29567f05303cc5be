"""Ending what a failed test of the local executor has left running."""

from pathlib import Path

from coordinator.cluster.local import shim


def end_jobs(folder: Path) -> None:
    """Kill the jobs, shims included, of every local cluster below `folder`."""
    for job in folder.glob("**/cluster/jobs/*"):
        if (job / shim.STARTED).exists() and not (job / shim.ENDED).exists():
            shim.end_processes(0, str(job))
