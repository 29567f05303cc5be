"""Both images, built by a real engine without a network, and run."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

import coordinator
from coordinator.domain.handoff import Handoff, HandoffItem, InputRef, parse_outcome
from coordinator.domain.paths import BatchKeys
from tests.docker_engine import Engine
from tests.support import REPOSITORY

pytestmark = [pytest.mark.needs_docker, pytest.mark.timeout(900)]

A_GIGABYTE = 10**9

HANDLER = """
class Handler:
    def load(self, model_dir, device):
        pass

    def translate(self, sentences, source_language, target_language):
        return [sentence.upper() for sentence in sentences]
"""


def test_coordinator_image_says_its_version(docker_engine: Engine, coordinator_image: str) -> None:
    said = docker_engine.run(coordinator_image, "--version")
    assert coordinator.__version__ in said.stdout


def test_coordinator_image_has_a_debugger_and_no_torch(
    docker_engine: Engine, coordinator_image: str
) -> None:
    asked = "import ipdb, importlib.util as u; print(u.find_spec('torch'))"
    said = docker_engine.run(coordinator_image, "-c", asked, options=("--entrypoint", "python"))
    assert said.stdout.strip() == "None"


ECHO = """
name: echo
steps:
  - name: say
    job: command
    outputs: [stdout.txt]
    options: {command: [echo, hello]}
"""


def wrapped(engine: Engine, image: str, folder: Path, *arguments: str, **more: str) -> str:
    """What `tools/coordinator-docker ARGUMENTS` prints in `folder`; `more`: variables."""
    own = {"HOME": str(folder), "COORDINATOR_DOCKER": engine.client, "COORDINATOR_IMAGE": image}
    own |= {"COORDINATOR_NETWORK": "none", "COORDINATOR_MOUNT": "outputs"}
    kept = {k: v for k, v in engine.environment().items() if not k.startswith("COORDINATOR_")}
    done = subprocess.run(
        [str(REPOSITORY / "tools/coordinator-docker"), *arguments],
        cwd=folder,
        env=kept | own | more,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_a_batch_through_the_wrapper_is_kept_on_the_host(
    docker_engine: Engine, coordinator_image: str, tmp_path: Path
) -> None:
    (tmp_path / "inputs").mkdir()
    (tmp_path / "outputs").mkdir()
    (tmp_path / "inputs/echo.yml").write_text(ECHO)
    item = {"id": "one", "properties": {}, "assets": {}}
    (tmp_path / "inputs/items.ndjson").write_text(f"{json.dumps(item)}\n")
    flags = ("--pipeline", "inputs/echo.yml", "--catalog", "inputs/items.ndjson")
    said = wrapped(docker_engine, coordinator_image, tmp_path, "submit", "wrapped", *flags)
    assert "1 succeeded" in said and "on no mount" not in said
    ledger = tmp_path / ".local/state/coordinator/wrapped/ledger.db"
    assert (ledger.stat().st_uid, ledger.stat().st_gid) == (os.getuid(), os.getgid())
    assert (tmp_path / "local-logs/wrapped/batch.json").exists()
    assert "1 succeeded" in wrapped(docker_engine, coordinator_image, tmp_path, "status", "wrapped")


def test_a_ledger_that_goes_with_the_container_is_warned_of(
    docker_engine: Engine, coordinator_image: str, tmp_path: Path
) -> None:
    item = {"id": "one", "properties": {}, "assets": {}}
    (tmp_path / "items.ndjson").write_text(f"{json.dumps(item)}\n")
    (tmp_path / "echo.yml").write_text(ECHO)
    flags = ("--pipeline", "/in/echo.yml", "--catalog", "/in/items.ndjson", "--dry-run")
    mounted = ("--volume", f"{tmp_path}:/in:ro", "--user", f"{os.getuid()}:{os.getgid()}")
    places = ("--output_root", "/tmp/outputs", "--state_dir", "/tmp/state")
    said = docker_engine.run(coordinator_image, "submit", "b", *flags, *places, options=mounted)
    assert "is on no mount: it goes with this container" in said.stdout + said.stderr


def test_the_wrappers_shell_has_a_debugger(
    docker_engine: Engine, coordinator_image: str, tmp_path: Path
) -> None:
    (tmp_path / "outputs").mkdir()
    asked = "python -c 'import ipdb; print(ipdb.__name__)'; pwd; printenv AWS_REGION"
    said = wrapped(
        docker_engine, coordinator_image, tmp_path, "shell", "-c", asked, AWS_REGION="here"
    )
    assert said.split() == ["ipdb", str(tmp_path), "here"]


def test_worker_image_has_what_a_worker_imports(docker_engine: Engine, worker_image: str) -> None:
    needed = "ctranslate2, torch, transformers, safetensors, coordinator.workers"
    asked = f"import {needed}; print(torch.__version__)"
    said = docker_engine.run(worker_image, "-c", asked, options=("--entrypoint", "python"))
    assert said.stdout.partition("+")[0].strip() == _pinned("torch")


def test_worker_image_works_off_a_dispatch(
    docker_engine: Engine, worker_image: str, tmp_path: Path
) -> None:
    keys = BatchKeys("smoke")
    handoff = _small_dispatch(tmp_path, keys)
    mounted = ("--volume", f"{tmp_path}:/work", "--user", f"{os.getuid()}:{os.getgid()}")
    docker_engine.run(worker_image, "/work/out", keys.handoff(handoff.dispatch), options=mounted)

    attempt = keys.attempt("greeting", "translate", 1)
    outcome = parse_outcome((tmp_path / "out" / attempt.outcome).read_bytes())
    assert outcome is not None
    assert outcome.status == "succeeded"
    translated = (tmp_path / "out" / attempt.file("translations.jsonl")).read_text()
    said = [json.loads(line)["translation"] for line in translated.splitlines()]
    assert said == ["GOOD MORNING", "GOOD NIGHT"]


def test_worker_image_says_what_it_needs(docker_engine: Engine, worker_image: str) -> None:
    said = docker_engine.run(worker_image, check=False)
    assert said.returncode != 0
    assert "usage:" in said.stderr
    assert "Traceback" not in said.stderr


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
    assert "torch.txt torch" in large[0]


def test_images_hold_nothing_that_installed_them(
    docker_engine: Engine, coordinator_image: str, worker_image: str
) -> None:
    asked = r"find / -xdev -type f \( -name '*.whl' -o -name uv \) -size +10M 2>/dev/null; true"
    for image in (coordinator_image, worker_image):
        said = docker_engine.run(image, "-c", asked, options=("--entrypoint", "sh"))
        assert said.stdout == "", image


def _small_dispatch(root: Path, keys: BatchKeys) -> Handoff:
    """A model, an item's text and a handoff below `root`, as `/work` of a container sees them."""
    (root / "model").mkdir()
    (root / "model" / "handler.py").write_text(HANDLER)
    (root / "source.txt").write_text("good morning\ngood night\n")
    item = HandoffItem(
        item="greeting",
        attempt=1,
        properties={"mt:source_language": "eng", "mt:target_language": "eng"},
        inputs={"source": InputRef(href="/work/source.txt")},
    )
    handoff = Handoff(
        batch="smoke",
        dispatch="d1",
        step="translate",
        job="inference",
        output_root="/work/out",
        model="/work/model",
        outputs=("translations.jsonl",),
        items=(item,),
    )
    file = root / "out" / keys.handoff(handoff.dispatch)
    file.parent.mkdir(parents=True)
    file.write_text(handoff.model_dump_json())
    return handoff


def _pinned(package: str) -> str:
    pins = Path(REPOSITORY / "requirements-torch.txt").read_text()
    match = re.search(rf"^{package}==(\S+)", pins, re.MULTILINE)
    assert match
    return match[1]
