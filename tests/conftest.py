"""Fixtures and checks that every test shares."""

import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

from tests.docker_engine import (  # noqa: F401  (fixtures)
    build_context,
    coordinator_image,
    docker_engine,
    worker_image,
)
from tests.nomad_agents import (  # noqa: F401  (fixtures)
    nomad_agent,
    nomad_cluster_of_three,
    nomad_namespace,
    nomad_with_acl,
    start_nomad,
)
from tests.servers import loopback_allowed, s3_bucket, s3_server  # noqa: F401  (fixtures)
from tests.support import REPOSITORY, require_data, require_program

pytest.register_assert_rewrite("tests.contract.cluster_contract")

# Tables are as wide as this says; pytest sets it for the processes that it starts.
os.environ.pop("COLUMNS", None)

# Hundreds of processes are started: what one has compiled, the next need not compile again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Ask for what a test's markers say it needs, before any of its fixtures is made."""
    if item.get_closest_marker("needs_data"):
        require_data()
    if item.get_closest_marker("needs_docker"):
        require_program("dockerd")
        require_program("docker")


class FileByFile(LoadFileScheduling):  # type: ignore[misc]
    """The tests of a file run in one process, and all files that need the one Docker engine too."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return "docker" if _needs_docker(file) else file


@functools.cache
def _needs_docker(file: str) -> bool:
    return "needs_docker" in (REPOSITORY / file).read_text()


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> FileByFile | None:
    return FileByFile(config, log) if config.getvalue("dist") == "loadfile" else None


@pytest.fixture(scope="session")
def test_data() -> Callable[[str], Path]:
    """Finds a file or folder of the test data by its relative path; skips the test without it."""
    return require_data


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Prints at once, past pytest, which leaves the processes that it starts no other stream."""
    stream = "stderr" if "PYTEST_XDIST_WORKER" in os.environ else "stdout"

    def print_now(line: str) -> None:
        with capsys.disabled():
            print(line, file=getattr(sys, stream), flush=True)

    return print_now
