"""`test-handler`: a model tried in a worker's own process, here or inside the worker image."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from coordinator.bootstrap import reach_of
from coordinator.bootstrap.environment import worker_environment
from coordinator.domain.endpoint import ENDPOINT, TRANSLATE, read_endpoint
from coordinator.domain.model_folder import ModelKind, check_model
from coordinator.errors import ModelError, UsageError
from coordinator.settings import Settings

_MODULE = "coordinator.workers.try_model"


def try_handler(
    settings: Settings,
    folder: Path,
    source: str,
    target: str,
    image: str | None = None,
    *,
    task: str = TRANSLATE,
) -> list[tuple[str, str]]:
    """Sample sentences and their translations; the process has what a job here would have.

    `task` is which of the prompts of an endpoint; other models have no choice.

    Raises:
        ModelError: the model cannot be used, with what its process said.
        UsageError: the image cannot be run.
    """
    kind = check_model(folder)
    here = [sys.executable, "-m", _MODULE, str(folder)]
    command = _in_image(image, folder, kind) if image else here
    try:
        done = subprocess.run(
            [*command, source, target, task],
            input=reach_of(settings).model_dump_json().encode(),
            env=dict(worker_environment(settings)),
            capture_output=True,
            check=False,
        )
    except FileNotFoundError as error:
        raise UsageError("docker is not installed here", hint="try it without --image") from error
    document = _answer(done.stdout)
    if fault := document.get("error"):
        raise ModelError(fault["what"], why=fault["why"], hint=fault["hint"])
    if "pairs" not in document:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise ModelError(
            f"{folder} ended its process with exit code {done.returncode}",
            why=said[-1] if said else "it said nothing",
            hint="a model may not end its process: look for os._exit, or a library that crashes",
        )
    return [(sentence, translation) for sentence, translation in document["pairs"]]


def _in_image(image: str, folder: Path, kind: ModelKind) -> list[str]:
    mount = f"type=bind,source={folder.absolute()},target=/model,readonly"
    docker = ["docker", "run", "--rm", "--interactive", "--mount", mount]
    reach = _as_an_endpoint_needs(folder) if kind == "endpoint" else ["--network", "none"]
    return [*docker, *reach, "--entrypoint", "python", image, "-m", _MODULE, "/model"]


def _as_an_endpoint_needs(folder: Path) -> list[str]:
    """The network, and the key: docker takes its value from the environment, not from here."""
    endpoint = read_endpoint(folder / ENDPOINT)
    named = not isinstance(endpoint, list) and endpoint.api_key_variable
    return ["--env", named] if named else []


def _answer(stdout: bytes) -> dict[str, Any]:
    try:
        document = json.loads(stdout)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
