"""The inference job in its frame: a user's handler that misbehaves fails the item that it is at."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from coordinator.domain.handoff import (
    Handoff,
    HandoffItem,
    InputRef,
    Outcome,
    is_handed_back,
    parse_outcome,
)
from coordinator.domain.paths import BatchKeys
from coordinator.domain.states import FailureKind
from coordinator.storage import Storage, open_storage
from coordinator.workers.frame import run_worker
from tests.model_folders import write_handler

K = FailureKind
KEY = "b/handoff/d.json"
HANDLER = """
def load(self, model_dir, device):
    self.folder = model_dir

def translate(self, sentences, source, target):
    print("asked for", len(sentences))
    (self.folder / "pid").write_text(str(__import__("os").getpid()))
    for sentence in sentences:
        self.act(sentence)
    return [sentence.upper() for sentence in sentences]

def act(self, sentence):
    import os, signal, time
    if sentence == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if sentence == "hang":
        time.sleep(1000)
    if sentence == "raise":
        raise ValueError("not this one")
    if sentence == "memory":
        raise MemoryError("too long")
    if sentence == "wait":
        (self.folder / "waiting").touch()
        while not (self.folder / "go").exists():
            time.sleep(0.01)
"""

SLOW_TO_LOAD = """
class Handler:
    def load(self, model_dir, device):
        (model_dir / "loading").touch()
        __import__("time").sleep(1000)

    def translate(self, sentences, source, target):
        return sentences
"""

STOPPED_IN_BETWEEN = """
import time

class Handler:
    def load(self, model_dir, device):
        self.folder = model_dir

    def translate(self, sentences, source, target):
        if sentences == ["one"]:
            (self.folder / "waiting").touch()
            while not (self.folder / "go").exists():
                time.sleep(0.01)
            raise ValueError("not now")
        time.sleep(0.5)
        return sentences
"""


class Place:
    """An output root, a model, and the outcomes of the items."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.storage: Storage = open_storage(str(root / "out"))
        self.model = write_handler(root / "model", HANDLER)

    def put(self, texts: dict[str, str], **options: Any) -> None:
        handoff = Handoff(
            batch="b", dispatch="d", step="s", job="inference", model=str(self.model),
            output_root=str(self.root / "out"), options={"device": "cpu", **options},
            outputs=("translations.jsonl",),
            items=tuple(self._item(name, text) for name, text in texts.items()),
        )  # fmt: skip
        self.storage.write(KEY, handoff.model_dump_json().encode())

    def _item(self, name: str, text: str) -> HandoffItem:
        path = self.root / f"{name}.txt"
        path.write_text(text, encoding="utf-8")
        languages = {"mt:source_language": "eng", "mt:target_language": "deu"}
        inputs = {"source": InputRef(href=str(path))}
        return HandoffItem(item=name, attempt=1, properties=languages, inputs=inputs)

    def run(self) -> int:
        return run_worker(str(self.root / "out"), KEY)

    def start(self) -> subprocess.Popen[bytes]:
        """In a process of its own, and a group of its own."""
        command = [sys.executable, "-m", "coordinator.workers", str(self.root / "out"), KEY]
        return subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)

    def wait_for(self, mark: str) -> None:
        """Until the handler has left it in its folder."""
        end = time.monotonic() + 60
        while not (self.model / mark).exists():
            assert time.monotonic() < end
            time.sleep(0.01)

    def outcome(self, name: str) -> Outcome | None:
        key = BatchKeys("b").attempt(name, "s", 1).outcome
        return parse_outcome(self.storage.read(key)) if self.storage.size(key) else None

    def is_begun(self, name: str) -> bool:
        return self.storage.size(BatchKeys("b").attempt(name, "s", 1).begun) is not None

    def is_charged(self, name: str) -> bool:
        """Whether it was begun and not handed back."""
        key = BatchKeys("b").attempt(name, "s", 1).begun
        return self.is_begun(name) and not is_handed_back(self.storage.read(key))

    def lines(self, name: str) -> list[str]:
        key = BatchKeys("b").attempt(name, "s", 1).file("translations.jsonl")
        records = [json.loads(line) for line in self.storage.read(key).decode().splitlines()]
        assert [record["line"] for record in records] == list(range(1, len(records) + 1))
        return [record["translation"] for record in records]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_each_item_gets_its_lines_in_order(place: Place, capfd: pytest.CaptureFixture[str]) -> None:
    place.put({"one": "a\n\nb\na\n", "two": "c\n", "none": ""})
    assert place.run() == 0
    assert place.lines("one") == ["A", "", "B", "A"]
    assert place.lines("two") == ["C"] and place.lines("none") == []
    found = place.outcome("one")
    assert found is not None and found.facts["sentences"] == 4
    entries = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    printed = [entry["line"] for entry in entries if entry["event"] == "model"]
    assert "asked for 4" in printed
    batches = [entry for entry in entries if entry["event"] == "batch"]
    assert [(b["items"], b["sentences"]) for b in batches] == [(["one"], 4), (["two"], 1)]
    assert all(b["peak_memory"] and b["tokens_per_second"] for b in batches)


@pytest.mark.parametrize(
    ("act", "kind", "said"),
    [
        ("kill", K.OUT_OF_MEMORY, "SIGKILL"),
        ("hang", K.TIMEOUT, "the model hung"),
        ("raise", K.MODEL_ERROR, "line 2 («raise»): "),
        ("memory", K.OUT_OF_MEMORY, "line 2 («memory»): "),
    ],
)
def test_a_handler_that_misbehaves_fails_one_item(
    place: Place, act: str, kind: FailureKind, said: str
) -> None:
    place.put({"one": "a\n", "bad": f"b\n{act}\nc\n", "two": "d\ne\n"}, sentence_timeout=0.5)
    assert place.run() == 70
    assert place.lines("one") == ["A"] and place.lines("two") == ["D", "E"]
    bad = place.outcome("bad")
    assert bad is not None and bad.failure is not None
    assert bad.failure.kind is kind
    assert said in bad.failure.message
    if act == "raise":
        assert "in act" in bad.failure.traceback and "coordinator" not in bad.failure.traceback


def test_items_that_cannot_be_read_fail_alone(place: Place) -> None:
    place.put({"one": "a\n", "two": "b\n", "three": "c\n"})
    (place.root / "two.txt").write_bytes(b"\xff\n")
    (place.root / "three.txt").unlink()
    assert place.run() == 65
    assert place.lines("one") == ["A"]
    for name in ("two", "three"):
        found = place.outcome(name)
        assert found is not None and found.failure is not None and place.is_begun(name)
        assert found.failure.kind is K.BAD_INPUT


def test_a_model_that_cannot_be_loaded_fails_every_item(place: Place) -> None:
    (place.model / "handler.py").write_text("class Handler:\n    load = translate = 3\n")
    place.put({"one": "a\n", "two": "b\n"})
    assert place.run() == 70
    for name in ("one", "two"):
        found = place.outcome(name)
        assert found is not None and found.failure is not None
        assert found.failure.kind is K.MODEL_ERROR and "handler.py" in found.failure.message


def test_a_model_that_always_dies_fails_only_what_was_begun(place: Place) -> None:
    names = [f"item-{n}" for n in range(40)]
    place.put(dict.fromkeys(names, "kill\n" * 300))
    assert place.run() == 70
    kinds = [
        found.failure.kind for name in names if (found := place.outcome(name)) and found.failure
    ]
    begun = sum(map(place.is_begun, names))
    assert kinds == [K.OUT_OF_MEMORY] * begun and 0 < begun < 20
    assert not place.is_begun("item-39")


def test_a_repeated_run_does_only_what_is_left(place: Place) -> None:
    place.put({"one": "a\n", "two": "b\n"})
    assert place.run() == 0
    before = place.outcome("one")
    place.put({"one": "a\n", "two": "b\n", "three": "c\n"})
    assert place.run() == 0
    assert place.outcome("one") == before and place.lines("three") == ["C"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_finishes_the_batch_in_hand(place: Place, number: int) -> None:
    """It goes to the whole group, the model's process among it."""
    place.put({"one": "wait\n", **{f"item-{n}": "a\n" for n in range(40)}})
    worker = place.start()
    place.wait_for("waiting")
    os.killpg(worker.pid, number)
    time.sleep(0.5)
    (place.model / "go").touch()
    assert worker.wait(30) == 75
    assert place.lines("one") == ["WAIT"]
    assert not place.is_begun("item-39")
    for n in range(40):
        found = place.outcome(f"item-{n}")
        assert found.status == "succeeded" if found else not place.is_charged(f"item-{n}")
    assert place.run() == 0 and place.lines("item-39") == ["A"]


def test_an_item_that_fails_after_a_stop_ends_no_batch_in_hand(place: Place) -> None:
    """The signal may be why it failed; what is whole is kept all the same."""
    (place.model / "handler.py").write_text(STOPPED_IN_BETWEEN)
    place.put({name: f"{name}\n" for name in ("one", "two", "three", "four")})
    worker = place.start()
    place.wait_for("waiting")
    os.killpg(worker.pid, signal.SIGTERM)
    time.sleep(0.5)
    (place.model / "go").touch()
    assert worker.wait(60) == 75
    assert place.outcome("one") is None and not place.is_charged("one")
    assert place.lines("two") == ["two"]


def test_a_stop_while_the_model_loads_begins_nothing(place: Place) -> None:
    (place.model / "handler.py").write_text(SLOW_TO_LOAD)
    place.put({"one": "a\n"})
    worker = place.start()
    place.wait_for("loading")
    os.killpg(worker.pid, signal.SIGTERM)
    assert worker.wait(30) == 75
    assert place.outcome("one") is None and not place.is_begun("one")


def test_a_load_that_takes_too_long_is_named(place: Place) -> None:
    (place.model / "handler.py").write_text(SLOW_TO_LOAD)
    place.put({"one": "a\n"}, load_timeout=1.0)
    assert place.run() == 70
    found = place.outcome("one")
    assert found is not None and found.failure is not None
    assert found.failure.kind is K.TIMEOUT and "load_timeout" in found.failure.message


def test_a_worker_that_is_killed_takes_its_model_along(place: Place) -> None:
    place.put({"one": "a\n", "two": "hang\n"})
    worker = place.start()
    place.wait_for("pid")
    model = int((place.model / "pid").read_text())
    worker.kill()
    worker.wait()
    end = time.monotonic() + 20
    while Path(f"/proc/{model}/cmdline").exists() and Path(f"/proc/{model}/cmdline").read_bytes():
        assert time.monotonic() < end
        time.sleep(0.02)
