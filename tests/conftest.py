"""Fixtures and checks that every test shares."""

from collections.abc import Callable
from pathlib import Path

import pytest

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
from tests.support import require_data, require_program


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Ask for what a test's markers say it needs, before any of its fixtures is made."""
    if item.get_closest_marker("needs_data"):
        require_data()
    if item.get_closest_marker("needs_docker"):
        require_program("dockerd")
        require_program("docker")


@pytest.fixture(scope="session")
def test_data() -> Callable[[str], Path]:
    """Finds a file or folder of the test data by its relative path; skips the test without it."""
    return require_data


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Prints at once, past pytest."""

    def print_now(line: str) -> None:
        with capsys.disabled():
            print(line, flush=True)

    return print_now
