"""What a test needs from the machine, asked for by name.

A need that is not met skips the test, with a message that says how to meet it. Where `CI=true` it
fails the test instead: there, nothing may be left out silently.
"""

import os
import shutil
import subprocess
from pathlib import Path
from typing import NoReturn

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
DATA_VARIABLE = "COORDINATOR_TEST_DATA"

# The Debian package of each program that some test starts: see `tests/system-packages.sh`.
PACKAGES = {"dockerd": "docker.io", "docker": "docker.io", "debootstrap": "debootstrap"}
ADMIN_FOLDERS = ("/usr/sbin", "/sbin")


def in_ci() -> bool:
    """Whether unmet needs must fail rather than skip."""
    return os.environ.get("CI", "").lower() == "true"


def unmet(need: str, hint: str) -> NoReturn:
    """Skip the running test, or fail it in CI."""
    message = f"{need}; try: {hint}"
    if in_ci():
        pytest.fail(f"CI=true allows no skipped test: {message}", pytrace=False)
    pytest.skip(message)


def require_program(name: str) -> str:
    """The path of a program on this machine."""
    path = os.pathsep.join([os.environ.get("PATH", ""), *ADMIN_FOLDERS])
    found = shutil.which(name, path=path)
    if found is None:
        unmet(f"{name} is not installed", f"apt-get install {PACKAGES.get(name, name)}")
    return found


def require_cluster_program(name: str) -> str:
    """The path of nomad or versitygw, built with Go where the machine has none: minutes, once."""
    script = REPOSITORY / "local-cluster/program.sh"
    done = subprocess.run([str(script), name], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        unmet(f"no {name} ({done.stderr.strip()})", f"install Go 1.26 or set {name.upper()}_BIN")
    return done.stdout.strip()


def require_root(reason: str) -> None:
    """Leave the test unless it runs as root."""
    if os.geteuid() != 0:
        unmet(f"only root can {reason}", "run the tests as root, or leave this one out")


def data_root() -> Path:
    """Where the data lies that is too large, or not ours, to be committed."""
    return Path(os.environ.get(DATA_VARIABLE) or REPOSITORY.parent / "shared" / "data")


def require_data(relative: str = ".") -> Path:
    """A file or folder of the test data."""
    path = data_root() / relative
    if not path.exists():
        unmet(f"the test data has no {relative} ({path})", f"set {DATA_VARIABLE} to its folder")
    return path
