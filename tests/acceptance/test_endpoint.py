"""A batch whose model is an endpoint elsewhere, and `test-handler` for every kind of model."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from coordinator.errors import ExitCode
from tests.acceptance.batches import COORDINATOR, environment
from tests.llm_server import Llm, completion, llm_server, raw, write_endpoint
from tests.model_folders import write_handler

pytestmark = pytest.mark.timeout(180)

KEY = "sk-canary-of-the-endpoint"
VARIABLE = "LLM_API_KEY"
SENTENCES = ["The boat is late.", "Nobody waits.", "", "The boat is late."]
PIPELINE = """
name: translate
steps:
  - name: translate
    job: inference
    inputs: {source: asset/source}
    outputs: [translations.jsonl]
    retry: {infrastructure: {attempts: 1}}
    options: {task: formal}
"""


class Place:
    """A folder with an endpoint, its key, and settings that let it be asked."""

    def __init__(self, folder: Path, llm: Llm) -> None:
        self.folder = folder
        tasks = {"formal": {"user": "$target_code: $sentence"}}
        described = {"api_key_variable": VARIABLE, "tasks": tasks, "attempts": 2}
        write_endpoint(folder / "model", llm.url, **described)
        (folder / "settings.yml").write_text("allow_networks: [127.0.0.1]\n")
        secrets = folder / "secrets.env"
        secrets.write_text(f"{VARIABLE}={KEY}\n")
        secrets.chmod(0o600)
        (folder / "pipeline.yml").write_text(PIPELINE)

    def items(self, **texts: list[str]) -> None:
        """Items to be translated from English into French."""
        (self.folder / "items.ndjson").write_text("".join(map(self._item, texts, texts.values())))

    def _item(self, name: str, sentences: list[str]) -> str:
        (self.folder / f"{name}.txt").write_text("".join(f"{line}\n" for line in sentences))
        languages = {"mt:source_language": "eng", "mt:target_language": "fra"}
        assets = {"source": {"href": f"{name}.txt"}}
        return json.dumps({"id": name, "properties": languages, "assets": assets}) + "\n"

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [COORDINATOR, *arguments],
            cwd=self.folder,
            env=environment(self.folder),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def submit(self, *more: str) -> subprocess.CompletedProcess[str]:
        flags = ["--catalog=items.ndjson", "--model=model", "--slots=1", *more]
        return self.run("submit", "b", "--pipeline=pipeline.yml", *flags)

    def options(self) -> dict[str, Any]:
        """Of inference, as the batch's record has them."""
        record = json.loads((self.folder / "outputs/b/batch.json").read_text())
        options: dict[str, Any] = record["pipeline"]["steps"][0]["options"]
        return options

    def translations(self, item: str) -> list[str]:
        text = (self.folder / f"outputs/b/items/{item}/translations.jsonl").read_text()
        return [json.loads(line)["translation"] for line in text.splitlines()]

    def failures(self) -> dict[str, Any]:
        status = json.loads(self.run("status", "b", "--json").stdout)["status"]
        return {item["item"]: item for item in status["failed_items"]}

    def everything_written(self) -> Iterator[tuple[Path, bytes]]:
        for path in self.folder.rglob("*"):
            if path.is_file() and path.name != "secrets.env":
                yield path, path.read_bytes()


@pytest.fixture
def llm() -> Iterator[Llm]:
    with llm_server(Llm()) as server:
        yield server


@pytest.fixture
def place(tmp_path: Path, llm: Llm) -> Place:
    return Place(tmp_path, llm)


def test_a_batch_is_translated_elsewhere_and_the_key_stays_nowhere(place: Place, llm: Llm) -> None:
    place.items(a=SENTENCES, b=["Other words."])
    done = place.submit()
    assert done.returncode == ExitCode.OK, done.stderr
    late = "FRA: THE BOAT IS LATE."
    assert place.translations("a") == [late, "FRA: NOBODY WAITS.", "", late]
    assert place.translations("b") == ["FRA: OTHER WORDS."]
    assert set(llm.keys) == {f"Bearer {KEY}"}
    assert not [path for path, data in place.everything_written() if KEY.encode() in data]
    assert KEY not in done.stdout + done.stderr


def test_a_sentence_that_is_refused_fails_its_item_alone(place: Place, llm: Llm) -> None:
    place.items(a=["Fine.", "Bad."], b=["Good."])
    refused = completion(None, refusal=f"I will not, and your key is {KEY}.")
    llm.reply = lambda said, _: refused if "Bad" in said else said
    assert place.submit().returncode == ExitCode.SOME_FAILED
    assert place.translations("b") == ["fra: Good."]
    [(item, failed)] = place.failures().items()
    assert (item, failed["kind"]) == ("a", "model_error")
    assert "refuses to answer" in failed["reason"] and KEY not in failed["reason"]


def test_an_endpoint_that_is_down_is_nobodys_model_error(place: Place, llm: Llm) -> None:
    place.items(a=["Fine."])
    llm.reply = lambda *_: raw(b"later", 503)
    assert place.submit().returncode == ExitCode.SOME_FAILED
    assert place.failures()["a"]["kind"] == "infrastructure"


def test_an_endpoint_is_tried_with_the_settings_and_secrets_of_a_job(
    place: Place, llm: Llm
) -> None:
    described = {"api_key_variable": VARIABLE, "languages": {"eng": "Pirate"}}
    write_endpoint(place.folder / "model", llm.url, **described)
    tried = place.run("test-handler", "model", "--json")
    assert tried.returncode == ExitCode.OK, tried.stdout
    pairs = json.loads(tried.stdout)["pairs"]
    assert ["Good morning.", "GOOD MORNING."] in pairs and len(pairs) == 12
    assert set(llm.keys) == {f"Bearer {KEY}"}
    assert "from Pirate into French" in llm.asked[0]["messages"][0]["content"]


def test_any_task_of_an_endpoint_can_be_tried(place: Place, llm: Llm) -> None:
    write_endpoint(place.folder / "model", llm.url, tasks={"formal": {"user": "Sir: $sentence"}})
    tried = place.run("test-handler", "model", "--task", "formal")
    assert tried.returncode == ExitCode.OK, tried.stderr
    assert "SIR: GOOD MORNING." in tried.stdout
    refused = place.run("test-handler", "model")
    assert refused.returncode == ExitCode.USAGE
    assert "it has formal" in refused.stderr and "--task" in refused.stderr


def test_a_model_that_ends_its_process_is_named(tmp_path: Path, place: Place) -> None:
    ending = "def load(self, folder, device): import os; os._exit(3)\n"
    write_handler(tmp_path / "ends", f"{ending}def translate(self, *_): ...")
    tried = place.run("test-handler", "ends")
    assert tried.returncode == ExitCode.USAGE
    assert "exit code 3" in tried.stderr and "os._exit" in tried.stderr


def test_a_trial_of_an_endpoint_says_what_is_wrong(place: Place, llm: Llm) -> None:
    write_endpoint(place.folder / "model", llm.url, api_key_variable=VARIABLE)
    llm.reply = lambda *_: raw(f"no such key: {KEY}".encode(), 401)
    refused = place.run("test-handler", "model")
    assert refused.returncode == ExitCode.USAGE
    assert "refuses the key in LLM_API_KEY" in refused.stderr and KEY not in refused.stderr
    (place.folder / "settings.yml").write_text("")
    unreachable = place.run("test-handler", "model")
    assert "allow_networks: [127.0.0.1]" in unreachable.stderr


def test_a_handler_of_batches_is_tried_like_any_other(tmp_path: Path, place: Place) -> None:
    counting = "def count_tokens(self, sentences): return [len(s) for s in sentences]\n"
    loading = "def load(self, folder, device): ...\n"
    translating = (
        "def translate_batch(self, sentences, sources, targets):\n"
        "    return [f'{t}: {s}' for s, t in zip(sentences, targets)]"
    )
    write_handler(tmp_path / "batches", loading + counting + translating)
    tried = place.run("test-handler", "batches")
    assert tried.returncode == ExitCode.OK, tried.stderr
    assert "fra: Good morning." in tried.stdout


def test_flags_of_inference_are_kept_and_may_change(place: Place, llm: Llm) -> None:
    place.items(one=SENTENCES)
    refused = place.submit("--sentence_timeout=0")
    assert refused.returncode == ExitCode.USAGE and "--sentence_timeout 0" in refused.stderr
    assert place.submit("--sentence_timeout=77", "--max_batch_tokens=50").returncode == 0
    assert place.options() == {"task": "formal", "sentence_timeout": 77, "max_batch_tokens": 50}
    again = ["submit", "b", "--resume", "--pipeline=pipeline.yml"]
    assert place.run(*again).returncode == 0
    assert place.run(*again, "--sentence_timeout=78").returncode == 0
    (place.folder / "pipeline.yml").write_text(PIPELINE.replace("formal", "other"))
    refused = place.run(*again)
    assert refused.returncode == ExitCode.USAGE and "differs from the batch's" in refused.stderr
