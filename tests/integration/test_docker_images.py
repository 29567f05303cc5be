"""Both images, built by a real engine without a network, and run."""

import json
import re
from pathlib import Path

import pytest

import coordinator
from tests.docker_engine import Engine
from tests.support import REPOSITORY

pytestmark = [pytest.mark.needs_docker, pytest.mark.timeout(900)]

A_GIGABYTE = 10**9


def test_coordinator_image_says_its_version(docker_engine: Engine, coordinator_image: str) -> None:
    said = docker_engine.run(coordinator_image, "--version")
    assert coordinator.__version__ in said.stdout


def test_coordinator_image_has_a_debugger_and_no_torch(
    docker_engine: Engine, coordinator_image: str
) -> None:
    asked = "import ipdb, importlib.util as u; print(u.find_spec('torch'))"
    said = docker_engine.run(coordinator_image, "-c", asked, options=("--entrypoint", "python"))
    assert said.stdout.strip() == "None"


def test_worker_image_has_what_a_worker_imports(docker_engine: Engine, worker_image: str) -> None:
    asked = "import torch, transformers, safetensors, coordinator.workers; print(torch.__version__)"
    said = docker_engine.run(worker_image, "-c", asked, options=("--entrypoint", "python"))
    assert said.stdout.partition("+")[0].strip() == _pinned("torch")


def test_neither_image_runs_as_root(
    docker_engine: Engine, coordinator_image: str, worker_image: str
) -> None:
    for image in (coordinator_image, worker_image):
        said = docker_engine.run(image, "-u", options=("--entrypoint", "id"))
        assert said.stdout.strip() == "10001", image


def test_torch_is_a_layer_of_its_own(docker_engine: Engine, worker_image: str) -> None:
    columns = "{{json .}}"
    shown = docker_engine.docker(
        "history", "--no-trunc", "--human=false", "--format", columns, worker_image
    )
    layers = [json.loads(line) for line in shown.stdout.splitlines()]
    large = [layer["CreatedBy"] for layer in layers if int(layer["Size"]) > A_GIGABYTE]
    assert len(large) == 1
    assert "worker.txt torch" in large[0]


def test_images_hold_nothing_that_installed_them(
    docker_engine: Engine, coordinator_image: str, worker_image: str
) -> None:
    asked = r"find / -xdev -type f \( -name '*.whl' -o -name uv \) -size +10M 2>/dev/null; true"
    for image in (coordinator_image, worker_image):
        said = docker_engine.run(image, "-c", asked, options=("--entrypoint", "sh"))
        assert said.stdout == "", image


def _pinned(package: str) -> str:
    pins = Path(REPOSITORY / "requirements-worker.txt").read_text()
    match = re.search(rf"^{package}==(\S+)", pins, re.MULTILINE)
    assert match
    return match[1]
