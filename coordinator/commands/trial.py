"""`test-handler`: a model tried in a worker's own process, here or inside the worker image."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from coordinator.domain.model_folder import check_model
from coordinator.errors import ModelError, UsageError

_MODULE = "coordinator.workers.try_model"


def try_handler(
    folder: Path, source: str, target: str, image: str | None = None
) -> list[tuple[str, str]]:
    """Sample sentences and their translations.

    Raises:
        ModelError: the model cannot be used, with what its process said.
        UsageError: the image cannot be run.
    """
    check_model(folder)
    command = _in_image(image, folder) if image else [sys.executable, "-m", _MODULE, str(folder)]
    try:
        done = subprocess.run([*command, source, target], capture_output=True, check=False)
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
        )
    return [(sentence, translation) for sentence, translation in document["pairs"]]


def _in_image(image: str, folder: Path) -> list[str]:
    mount = f"type=bind,source={folder.absolute()},target=/model,readonly"
    docker = ["docker", "run", "--rm", "--network", "none", "--mount", mount]
    return [*docker, "--entrypoint", "python", image, "-m", _MODULE, "/model"]


def _answer(stdout: bytes) -> dict[str, Any]:
    try:
        document = json.loads(stdout)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
