"""Whether a folder goes with its container, and how the container is started."""

import os
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

from coordinator.bootstrap.container import is_on_a_mount
from tests.support import REPOSITORY

MOUNTS = """\
22 1 0:21 / / rw,relatime - overlay overlay rw
23 22 0:22 / /proc rw - proc proc rw
24 22 8:1 /home/me/state /state rw - ext4 /dev/sda1 rw
25 22 8:1 /x /with\\040space/here rw - ext4 /dev/sda1 rw
"""


@pytest.mark.parametrize(
    ("folder", "is_kept"),
    [
        ("/state", True),
        ("/state/coordinator/batch", True),
        ("/with space/here/below", True),
        ("/stately", False),
        ("/home/me/.local/state", False),
        ("/", False),
    ],
)
def test_a_folder_on_a_mount(folder: str, is_kept: bool) -> None:
    assert is_on_a_mount(Path(folder), MOUNTS) is is_kept


def test_the_wrapper_names_what_it_passes_on(tmp_path: Path) -> None:
    """No value of a variable is on the command line; what is kept is mounted at its own path."""
    client, said = tmp_path / "client", tmp_path / "said"
    client.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > "{said}"\nenv >> "{said}.env"\n')
    client.chmod(0o755)
    (tmp_path / "inputs").mkdir()
    secrets = {"NOMAD_TOKEN": "canary-1", "AWS_SECRET_ACCESS_KEY": "canary 2\nAWS_FAKE=x"}
    own = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "COORDINATOR_DOCKER": str(client)}
    command = [str(REPOSITORY / "tools/coordinator-docker"), "status", "my batch"]
    subprocess.run(command, cwd=tmp_path, env=own | secrets, check=True)
    arguments = said.read_text().splitlines()
    assert arguments[0] == "run"
    assert arguments[-3:] == ["coordinator", "status", "my batch"]
    assert "canary" not in said.read_text()
    named = {name for flag, name in pairwise(arguments) if flag == "--env"}
    assert {"NOMAD_TOKEN", "AWS_SECRET_ACCESS_KEY", "COORDINATOR_STATE_DIR"} <= named
    assert "AWS_FAKE" not in named
    assert "canary-1" in Path(f"{said}.env").read_text()
    mounted = [a for flag, a in pairwise(arguments) if flag == "--volume"]
    kept = [".local/state/coordinator", "local-logs", "local-reports"]
    assert {f"{tmp_path}/{name}:{tmp_path}/{name}" for name in kept} <= set(mounted)
    assert f"{tmp_path}/inputs:{tmp_path}/inputs:ro" in mounted
    assert f"{os.getuid()}:{os.getgid()}" in arguments
