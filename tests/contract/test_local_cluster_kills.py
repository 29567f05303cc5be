"""Kills at chosen system calls: of the coordinator that uses the local executor, and of a shim."""

import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from coordinator.cluster import JobId, JobSpec
from coordinator.cluster.local import LocalCluster, shim
from coordinator.domain.verdicts import Ending
from tests.contract.clusters import send
from tests.contract.leftovers import end_jobs
from tests.support import REPOSITORY, require_program

COORDINATOR = """
import sys, time
from pathlib import Path
from coordinator.cluster import JobSpec, Request
from coordinator.cluster.local import LocalCluster, shim

folder = Path(sys.argv[1])
cluster = LocalCluster(
    folder / "cluster", slots=1, command=lambda job: ["/bin/sh", "-c", job.handoff]
)
specs = [JobSpec(f"job{n}--a1v1", "work", f"echo job{n} >>{folder}/witness", "") for n in range(2)]
jobs = cluster.submit([Request(spec, spec.name) for spec in specs])
while any(seen.ending is None for seen in cluster.observe(jobs).values()):
    time.sleep(0.01)
assert [seen.ending.exit_code for seen in cluster.observe(jobs).values()] == [0, 0]
(folder / "purging").touch()
cluster.purge(jobs[:1])
"""
OF_THE_COORDINATOR = ("mkdir", "rename", "flock", "fcntl", "clone,clone3", "unlinkat", "rmdir")
OF_THE_SHIM = ("chdir", "pipe2", "clone,fork", "setpgid", "rename", "write", "waitid", "wait4")


@pytest.fixture(autouse=True)
def nothing_runs_on(tmp_path: Path) -> Iterator[None]:
    yield
    end_jobs(tmp_path)


def killing(calls: str, nth: int) -> list[str]:
    """A command line's beginning that kills what follows at the nth of these system calls."""
    strace = [require_program("strace"), "-qq", "-o", "/dev/null", "-e", f"trace={calls}"]
    return [*strace, "-e", f"inject={calls}:signal=KILL:when={nth}"]


def is_reached(folder: Path, calls: str, nth: int) -> bool:
    """Kill a coordinator at one point, and look what another one makes of it."""
    place = folder / f"{calls}-{nth}"
    place.mkdir()
    script = folder / "drive.py"
    script.write_text(COORDINATOR)
    drive = [sys.executable, str(script), str(place)]
    killed = subprocess.run([*killing(calls, nth), *drive], cwd=REPOSITORY).returncode != 0
    if killed:
        subprocess.run(drive, cwd=REPOSITORY, check=True)
    ran = sorted(lines(place / "witness"))
    # A purged job is forgotten, token and all: submitted once more after that, it is a new one.
    purged = killed and (place / "purging").exists()
    assert ran == ["job0", "job1"] or (purged and ran == ["job0", "job0", "job1"])
    return killed


@pytest.mark.parametrize("calls", OF_THE_COORDINATOR)
def test_a_killed_coordinator_leaves_each_job_to_run_once(tmp_path: Path, calls: str) -> None:
    assert is_reached(tmp_path, calls, 1)
    is_reached(tmp_path, calls, 5)


@pytest.mark.soak
@pytest.mark.parametrize("calls", OF_THE_COORDINATOR)
def test_a_coordinator_killed_anywhere_leaves_each_job_to_run_once(
    tmp_path: Path, calls: str
) -> None:
    nth = next(nth for nth in count(1) if not is_reached(tmp_path, calls, nth))
    print(f"\nlocal executor: {nth - 1} kills of a coordinator at {calls}")


def shell(job: JobSpec) -> list[str]:
    return ["/bin/sh", "-c", job.handoff]


def lines(path: Path) -> list[str]:
    return path.read_text().split() if path.exists() else []


def ending(cluster: LocalCluster, job: JobId) -> Ending:
    deadline = time.monotonic() + 30
    while (found := cluster.observe([job])[job].ending) is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return found


WRAPPER = """#!/bin/sh
[ -z "${mark}" ] || exec env -u {mark} MARK="${mark}" "$0" "$@"
echo started >>{place}/starts
[ $(wc -l <{place}/starts) = 1 ] || exec env {mark}="$MARK" {python} "$@"
{strace} -E {mark}="$MARK" {python} "$@"
[ $? = 0 ] || echo killed >>{place}/kills
"""


def python_that_kills_a_shim(place: Path, calls: str, nth: int) -> str:
    """In place of Python. Only the first shim is killed: another may take over what never ran.

    The wrapper takes the job's mark off itself, lest the shim end it with what the job has left.
    """
    wrapper, strace = place / "python", shlex.join(killing(calls, nth))
    wrapper.write_text(
        WRAPPER.format(mark=shim.MARK, place=place, python=sys.executable, strace=strace)
    )
    wrapper.chmod(0o755)
    return str(wrapper)


@pytest.mark.parametrize("calls", OF_THE_SHIM)
def test_a_shim_killed_anywhere_runs_its_job_once_at_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, calls: str
) -> None:
    for nth in count(1):
        place = tmp_path / str(nth)
        place.mkdir()
        monkeypatch.setattr(sys, "executable", python_that_kills_a_shim(place, calls, nth))
        cluster = LocalCluster(place / "cluster", slots=1, command=shell)
        job = JobSpec("job", "work", f"echo ran >>{place}/witness; sleep 0.02", "")
        found = ending(cluster, send(cluster, job, "token"))
        monkeypatch.undo()
        assert found.gone or found == Ending(exit_code=0)
        ran = lines(place / "witness")
        assert ran == ["ran"] or (found.gone and ran == []), f"after a kill at {calls} {nth}"
        if not lines(place / "kills"):
            break
    assert nth > 1
