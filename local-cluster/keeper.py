"""Clears up after agents, also when the process that started them is killed.

A Nomad agent that ends leaves its tasks running and their folders mounted, to find them again when
it restarts. So another process, the keeper, waits at the end of a pipe until its parent closes it
or is gone. Then it ends all that bears the mark of the folder, unmounts what is in it, and deletes
it.
"""

import contextlib
import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

MARK = "LOCAL_CLUSTER_FOLDER"  # in the environment of an agent, and so of all that it starts
ALLOCATION_LABEL = "com.hashicorp.nomad.alloc_id"
END_SECONDS = 30.0

_LIBC = ctypes.CDLL(None)
_MNT_DETACH = 2


@contextlib.contextmanager
def kept_folder(docker_host: str = "") -> Iterator[Path]:
    """A new folder; at the end, all that runs or is mounted in it goes with it.

    Containers of its allocations are looked for on that engine, or else on the client's default.
    Its path is short: sockets lie in it, and the path of a socket has at most 107 characters.
    """
    folder = Path(tempfile.mkdtemp(prefix="nomad-", dir="/tmp"))
    command = [sys.executable, __file__, str(folder)]
    where = {"DOCKER_HOST": docker_host} if docker_host else {}
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        env={**os.environ, **where},
        start_new_session=True,  # Ctrl-C is for the parent, who then closes the pipe
    ):
        yield folder


def end_marked(folder: Path) -> None:
    """Kill every process that was started for this folder, or for one in it."""
    end = time.monotonic() + END_SECONDS
    while left := marked(folder):
        if time.monotonic() > end:
            raise TimeoutError(f"these do not end: {left}")
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(left, timeout=1)


def marked(folder: Path) -> list[psutil.Process]:
    """The processes that were started for this folder, or for one in it."""
    return [process for process in psutil.process_iter() if _is_marked(process, folder)]


def _is_marked(process: psutil.Process, folder: Path) -> bool:
    with contextlib.suppress(psutil.Error, OSError):
        if process.status() != psutil.STATUS_ZOMBIE:
            mark = Path(process.environ().get(MARK, ""))
            return folder in (mark, *mark.parents)
    return False


def clear(folder: Path) -> None:
    """End, unmount and delete all of this folder."""
    end_marked(folder)
    allocations = {path.name for path in folder.glob("*/data/alloc/*")}
    _remove_containers(allocations)
    unmount(folder)
    _remove_cgroups(allocations)
    shutil.rmtree(folder, ignore_errors=True)


def unmount(folder: Path) -> None:
    """Unmount all that is mounted in a folder."""
    paths = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for path in sorted(paths, reverse=True):  # the inner ones first
        if path.startswith(f"{folder}/"):
            _LIBC.umount2(os.fsencode(path), _MNT_DETACH)  # a process each takes minutes


def _remove_containers(allocations: set[str]) -> None:
    """Those of these allocations, where an engine answers."""
    docker = shutil.which("docker")
    if docker is None or not allocations:
        return
    listing = f'{{{{.ID}}}} {{{{.Label "{ALLOCATION_LABEL}"}}}}'
    listed = subprocess.run(
        [docker, "ps", "--all", "--filter", f"label={ALLOCATION_LABEL}", "--format", listing],
        capture_output=True,
        text=True,
        check=False,
    )
    rows = [line.split() for line in listed.stdout.splitlines()]
    if ours := [row[0] for row in rows if row[-1] in allocations]:
        subprocess.run([docker, "rm", "--force", *ours], capture_output=True, check=False)


def _remove_cgroups(allocations: set[str]) -> None:
    """The empty control groups of tasks whose executor was killed."""
    for path in sorted(Path("/sys/fs/cgroup").glob("**/nomad*/**/"), reverse=True):
        if any(path.name.startswith(allocation) for allocation in allocations):
            with contextlib.suppress(OSError):
                path.rmdir()


if __name__ == "__main__":
    sys.stdin.buffer.read()  # until the parent closes its end, or is no more
    clear(Path(sys.argv[1]))
