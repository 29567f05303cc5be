"""What takes long to import is imported by those who use it, and not with the program."""

import json
import subprocess
import sys

import pytest

SLOW = {
    *("altair", "boto3", "docker", "jinja2", "nomad", "numba", "numpy", "pandas"),
    *("pyarrow", "pystac", "requests", "tensorboard", "torch"),
}
DRIVING = {"coordinator.engine.driver", "coordinator.cluster.local", "coordinator.catalog"}
THEN = "; print(json.dumps(sorted(sys.modules)))"


def imported_by(code: str) -> set[str]:
    """The modules that a new process has when it has run this."""
    command = [sys.executable, "-c", f"import json, sys; {code}{THEN}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


@pytest.mark.parametrize("module", ["coordinator.cli.app", "coordinator.workers.frame"])
def test_a_start_imports_nothing_slow(module: str) -> None:
    found = imported_by(f"import {module}")
    assert module in found
    assert not found & SLOW


def test_no_verb_imports_anything_slow_before_it_is_called() -> None:
    found = imported_by("from coordinator.cli.app import whole_app; whole_app()")
    assert "coordinator.cli.verbs_run" in found
    assert not found & SLOW


def test_the_page_of_all_verbs_imports_none_of_them() -> None:
    found = imported_by("from coordinator.cli.app import contents; contents()")
    assert "coordinator.cli.contents" in found
    assert not any(module.startswith("coordinator.cli.verbs_") for module in found)


@pytest.mark.parametrize("module", ["verbs_look", "verbs_explain"])
def test_verbs_that_look_import_nothing_that_drives(module: str) -> None:
    found = imported_by(f"from coordinator.cli.app import app_of; app_of({module!r})")
    assert f"coordinator.cli.{module}" in found
    assert not found & (SLOW | DRIVING)
