"""A model process for tests: its model shouts, and misbehaves where a sentence says so.

The name of the model's folder says what it is like: "mixing", "apart" (each direction), "small"
(its memory holds 40 tokens), "whole" (an item at a time), "dying" or "broken" (neither loads),
"slow" (loads until the file "go" lies beside the folder), "sick" (on GPU 1 it dies of everything),
"half" (on GPU 1 it does not load).
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from coordinator.errors import BadInput, ModelError, StorageUnavailable
from coordinator.inference import server
from coordinator.inference.backend import Output, Row

COMMAND = (sys.executable, "-m", "tests.model_server")
MEMORY = 40  # tokens


class Shouter:
    """Rows hold their sentence; a word is a token."""

    device = "cpu"

    def __init__(self, folder: Path, *_: Any) -> None:
        self.folder, kind = folder, folder.name
        if kind == "broken":
            raise ModelError("no such model", why="it is broken")
        if kind == "dying" or (kind == "half" and on_gpu_1()):
            os.kill(os.getpid(), signal.SIGSEGV)
        while kind == "slow" and not (folder.parent / "go").exists():
            time.sleep(0.02)
        self.mixes_directions = kind in ("mixing", "small", "slow", "sick", "half")
        self.whole_items = kind == "whole"
        self.memory = MEMORY if kind == "small" else sys.maxsize
        self.is_sick, self.is_spoilt = kind == "sick" and on_gpu_1(), False

    def encode(self, texts: Sequence[str], source: str, target: str) -> list[Row]:
        if target == "tlh":
            raise BadInput("no Klingon")
        for text in texts:
            self.act("ENCODE", text)
        rows = [Row(len(text.split()), {"text": text, "to": target}) for text in texts]
        return [row if row.tokens < 100 else Row(100, row.data, True) for row in rows]

    def translate(self, rows: Sequence[Row]) -> list[Output]:
        if len(rows) * max(row.tokens for row in rows) > self.memory:
            raise MemoryError("no more room")
        if self.is_sick:
            os._exit(3)
        for row in rows:
            self.act("", row.data["text"])
        if self.is_spoilt:
            raise RuntimeError("CUDA error: device-side assert triggered")
        return [Output(row.tokens, [row.data["text"], row.data["to"]]) for row in rows]

    def decode(self, outputs: Sequence[Output]) -> list[Any]:
        said = [output.data for output in outputs]
        for text, _ in said:
            self.act("DECODE", text)
        return [
            17 if "NUMBER" in o.data[0] else f"{o.data[0].upper()}.{o.data[1]}" for o in outputs
        ]

    def act(self, where: str, text: str) -> None:
        """Misbehave, where the sentence says so."""
        match text.removeprefix(where).split()[:2] if text.startswith(where) else []:
            case ["SAY", word]:
                print("said", word)
            case ["EXIT", _]:
                os._exit(3)
            case ["KILL", _]:
                os.kill(os.getpid(), signal.SIGKILL)
            case ["ONCE", name]:  # the first that comes is killed
                if not (mark := self.folder.parent / name).exists():
                    mark.touch()
                    os.kill(os.getpid(), signal.SIGKILL)
            case ["HANG", _]:
                time.sleep(1000)
            case ["SLOW", _]:
                time.sleep(0.3)
            case ["RAISE", _]:
                raise_value_error(text)
            case ["MEMORY", _]:
                raise MemoryError("no room for this one")
            case ["SPOIL", _]:
                self.is_spoilt = True
            case ["GPU", _]:
                print("on GPU", os.environ.get("CUDA_VISIBLE_DEVICES"))
                time.sleep(0.3)
            case ["SHOUT", _]:
                os.write(1, b"shouted\n" + (b"x" * 999 + b"\n") * 3000)
            case ["LEAVE", _]:  # the process holds no pipe any more
                os.closerange(3, 100)
            case ["IDLE", _]:
                threading.Timer(0.2, os._exit, (0,)).start()
            case ["FORK", name]:  # a child that holds all pipes, and a parent that is killed
                if (child := os.fork()) == 0:
                    os.setsid() if name == "away" else None
                    (self.folder.parent / f"child-{os.getpid()}").touch()
                    time.sleep(100)
                    os._exit(0)
                while not (self.folder.parent / f"child-{child}").exists():
                    time.sleep(0.01)
                os.kill(os.getpid(), signal.SIGKILL)
            case ["UNPLUGGED", _]:
                raise StorageUnavailable("no answer")


def on_gpu_1() -> bool:
    return os.environ.get("CUDA_VISIBLE_DEVICES") == "1"


def raise_value_error(text: str) -> None:
    raise ValueError(f"cannot say {text}")


if __name__ == "__main__":
    server.load_backend = Shouter  # type: ignore[assignment]
    sys.exit(server.main())
