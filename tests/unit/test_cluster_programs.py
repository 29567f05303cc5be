"""`local-cluster/program.sh` finds or builds what tests start, or says in one line why not."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.support import REPOSITORY

SCRIPT = REPOSITORY / "local-cluster" / "program.sh"
TOOLS = ("awk", "bash", "dirname", "env", "flock", "mkdir", "mv")


@pytest.mark.parametrize("name", ["nomad", "versitygw"])
def test_a_chosen_program_goes_first(tmp_path: Path, name: str) -> None:
    chosen = fake_program(tmp_path, "mine")
    found = run(name, path_with(tmp_path, name), **{f"{name.upper()}_BIN": str(chosen)})
    assert (found.returncode, found.stdout) == (0, f"{chosen}\n")


def test_a_chosen_program_that_is_none_is_refused(tmp_path: Path) -> None:
    done = run("nomad", path_with(tmp_path), NOMAD_BIN=str(tmp_path / "missing"))
    assert done.returncode == 2
    assert done.stderr == f"{tmp_path}/missing, the nomad that was chosen, is not a program\n"


def test_then_the_path(tmp_path: Path) -> None:
    path = path_with(tmp_path, "nomad")
    assert run("nomad", path).stdout == f"{path}/nomad\n"


def test_without_program_and_go_it_says_so(tmp_path: Path) -> None:
    done = run("nomad", path_with(tmp_path), XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert (done.returncode, done.stderr) == (2, "neither nomad nor go is installed\n")
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(("name", "version"), [("nomad", "v1.11.3"), ("versitygw", "v1.8.0")])
def test_two_at_once_build_it_once_under_its_version(
    tmp_path: Path, name: str, version: str
) -> None:
    path = path_with(tmp_path)
    go = '#!/usr/bin/env bash\necho go >>"$COUNT"\nwhile [ "$1" != -o ]; do shift; done\n'
    fake_program(path, "go", go + 'echo "#!/bin/sh" >"$2"; /bin/chmod +x "$2"; /bin/sleep 0.5\n')
    cache, count = tmp_path / "cache", tmp_path / "count"
    environment = {"PATH": str(path), "XDG_CACHE_HOME": str(cache), "COUNT": str(count)}
    both = [
        subprocess.Popen([SCRIPT, name], env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = {process.communicate(timeout=30)[0] for process in both}
    assert said == {f"{cache}/coordinator/{name}-{version}/{name}\n"}
    assert count.read_text() == "go\n"


def run(name: str, path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SCRIPT, name], env={"PATH": str(path), **environment}, capture_output=True, text=True
    )


def path_with(folder: Path, *names: str) -> Path:
    """A folder with the tools of the script, and these programs."""
    path = folder / "path"
    path.mkdir()
    for tool in TOOLS:
        found = next(Path(bin) / tool for bin in os.get_exec_path() if (Path(bin) / tool).exists())
        (path / tool).symlink_to(found)
    for name in names:
        fake_program(path, name)
    return path


def fake_program(folder: Path, name: str, text: str = "#!/bin/sh\n") -> Path:
    program = folder / name
    program.write_text(text)
    program.chmod(0o755)
    return program
