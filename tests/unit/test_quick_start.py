"""What takes long to import is imported by those who use it, and not with the program."""

import json
import subprocess
import sys

import pytest

SLOW = {"boto3", "docker", "nomad", "numba", "numpy", "pandas", "pystac", "requests", "torch"}
ASKED = "import json, sys, {}; print(json.dumps(sorted(sys.modules)))"


def imported_with(module: str) -> set[str]:
    """The modules that a new process has when it has imported this one."""
    command = [sys.executable, "-c", ASKED.format(module)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


@pytest.mark.parametrize("module", ["coordinator.cli.app", "coordinator.workers.frame"])
def test_a_start_imports_nothing_slow(module: str) -> None:
    found = imported_with(module)
    assert module in found
    assert not found & SLOW
