"""A batch of one item whose handler hangs, each in a way of its own, until a test lets it go on."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.acceptance.batches import Workplace, ended, kill, wait_until

ITEM = "eng-fra"
SENTENCE = "The lamp is still burning."
HANDLER = '''
"""For tests: a handler that hangs in the way that the file `way` says."""

import ctypes
import os
import select
import struct
import sys
import threading
import time


class Handler:
    def load(self, model_dir, device):
        self.folder = model_dir

    def translate(self, sentences, source_language, target_language):
        way = (self.folder / "way").read_text()
        for sentence in sentences:
            (self.folder / "hangs").touch()
            getattr(self, way)(sentence)
        return [sentence.upper() for sentence in sentences]

    def in_python(self, sentence):
        seconds = 0.05
        while not (self.folder / "go").exists():
            time.sleep(seconds)  # hangs in_python

    def in_c(self, sentence):
        door, libc = self.door(), ctypes.CDLL(None)
        found = libc.poll(door, 1, 90_000)  # hangs in_c
        assert found == 1, "the call was interrupted"

    def in_c_for_ever(self, sentence):
        mutex, libc = ctypes.create_string_buffer(64), ctypes.CDLL(None)
        libc.pthread_mutex_lock(mutex)
        libc.pthread_mutex_lock(mutex)  # hangs in_c_for_ever

    def in_c_with_the_lock(self, sentence):
        door, libc = self.door(), ctypes.PyDLL(None)
        found = libc.poll(door, 1, 90_000)  # hangs in_c_with_the_lock
        assert found == 1, "the call was interrupted"

    def door(self):
        """What poll waits for: that somebody writes to the pipe `door`."""
        descriptor = os.open(self.folder / "door", os.O_RDONLY | os.O_NONBLOCK)
        return struct.pack("ihh", descriptor, select.POLLIN, 0)

    def busy(self, sentence):
        while not (self.folder / "go").exists():
            found = sum(range(1000))

    def telling_of_traces(self, sentence):
        told = None
        while not (self.folder / "go").exists():
            if told is not (traced := sys.gettrace() is not None):
                (self.folder / "traced").write_text(str(traced))
                told = traced
            time.sleep(0.01)

    def with_own_signals(self, sentence):
        import signal

        for number in (signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(number, lambda *_: (self.folder / "signalled").touch())
        self.in_python(sentence)

    def with_lies(self, sentence):
        """Write into the file that `debug` reads, on and on."""
        main = threading.main_thread().ident
        lie = f'Thread {main:#x} (most\\n  File "/\\x1b]0;evil\\x07", line 1 in \\x1b[2J'
        path = f"{os.environ['COORDINATOR_JOB_FOLDER']}/debug/{os.getpid()}.stacks"
        while not (self.folder / "go").exists():
            with open(path, "a") as stream:
                stream.write(lie + "\\n")
            time.sleep(0.05)

    def not_at_all(self, sentence):
        pass
'''
PIPELINE = """
name: translate-only
properties: ["mt:source_language", "mt:target_language"]
steps:
  - name: translate
    job: inference
    inputs: {source: asset/source}
    outputs: [translations.jsonl]
    options: {sentence_timeout: %s}
    time_limit: %ss
    resources: {memory_mb: [500]}
"""


def prepare(place: Workplace, *, sentence_timeout: int = 600, time_limit: int = 900) -> None:
    """Put the model, the one item and the pipeline into the folder of a workplace."""
    place.model.mkdir(parents=True)
    (place.model / "handler.py").write_text(HANDLER)
    os.mkfifo(place.model / "door")
    (place.folder / "source.txt").write_text(f"{SENTENCE}\n")
    place.pipeline.write_text(PIPELINE % (sentence_timeout, time_limit))
    item = {
        "id": ITEM,
        "properties": {"mt:source_language": "eng", "mt:target_language": "fra"},
        "assets": {"source": {"href": str(place.folder / "source.txt")}},
    }
    (place.folder / "items.ndjson").write_text(json.dumps(item) + "\n")


def line_of(way: str) -> int:
    """The line of the handler at which it hangs."""
    lines = HANDLER.splitlines()
    return next(n for n, line in enumerate(lines, 1) if line.endswith(f"# hangs {way}"))


def let_go(place: Workplace) -> None:
    """Whatever the handler waits for has come."""
    (place.model / "go").touch()
    with suppress(OSError):  # nobody waits for that
        door = os.open(place.model / "door", os.O_WRONLY | os.O_NONBLOCK)
        os.write(door, b"!")
        os.close(door)


@contextmanager
def hanging(place: Workplace, batch: str, way: str) -> Iterator["subprocess.Popen[str]"]:
    """The submit of a batch whose handler hangs by now; killed with its workers at the end."""
    for name in ("go", "hangs", "signalled"):
        (place.model / name).unlink(missing_ok=True)
    (place.model / "way").write_text(way)
    flags = place.submit_flags(batch)
    flags[flags.index("--catalog") + 1] = "items.ndjson"
    submit = place.start("submit", *flags)
    try:
        wait_until((place.model / "hangs").exists)
        yield submit
    finally:
        let_go(place)
        kill(submit.pid)
        ended(submit)
        for pid in place.batch(batch).workers():
            kill(pid)


def debugged(place: Workplace, batch: str) -> dict[str, Any]:
    """What `coordinator debug --json` says of the item."""
    done = place.run("debug", batch, ITEM, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    document: dict[str, Any] = json.loads(done.stdout)["debug"]
    return document


def handler_of(place: Workplace) -> Path:
    return place.model.resolve() / "handler.py"
