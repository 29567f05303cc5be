"""`python -m coordinator.inference.server`: the process of a model. It knows sentences only.

It reads requests from standard input and writes replies to standard output (see `wire`). The first
request names the model; its reply says what the backend is like. The others are
`{"id", "do": "encode", "texts", "source", "target"}`, `{"id", "do": "translate", "rows", "folder"}`
(the folder: for curves, of the only item that the rows are of) and `{"id", "do": "decode",
"outputs"}`: each is answered by `{"id", "ok", "seconds", "peak_memory"}` or `{"id", "error",
"spoilt"}` (spoilt: nothing more can come of this process). What the model prints goes to standard
error. The end of the input ends it.
"""

import os
import resource
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import IO, Any, NoReturn

from coordinator.debugging.answering import answer_debuggers, heed_own_signals
from coordinator.domain import curves
from coordinator.domain.job_options import InferenceOptions
from coordinator.domain.reach import Reach
from coordinator.errors import ModelError
from coordinator.inference.backend import Backend, Output, Row
from coordinator.inference.faults import is_spoilt
from coordinator.inference.load import load_backend
from coordinator.inference.wire import describe, pack, receive
from coordinator.secrecy.dumps import leave_no_core_dump
from coordinator.storage import fetching

LANES = ("encode", "translate", "decode")
_SIGNALS = {signal.SIGTERM, signal.SIGINT}


def main() -> int:
    """The whole life of the process; its exit code."""
    answer_debuggers("model")
    requests, replies = _own_streams()
    _leave_stopping_to_the_worker()
    leave_no_core_dump()
    link, lanes = Link(replies), Lanes(requests)
    asked = lanes.first()
    try:
        backend = _loaded(asked)
    except BaseException as error:
        link.send({"error": describe(error)})
        _leave(1)
    heed_own_signals()
    link.send({"hello": _about(backend)})
    Server(backend, lanes, link).run()
    return 0


def _leave(code: int) -> NoReturn:
    """At once: threads that the model left would keep this process."""
    sys.stderr.flush()
    os._exit(code)


def _leave_for_good() -> NoReturn:
    """With all that the model started: there is no worker that would end it."""
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    _leave(0)


def _own_streams() -> tuple[IO[bytes], IO[bytes]]:
    """Standard input and output for the wire alone; what the model prints goes to the log."""
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    sys.stdout = sys.stderr  # one buffer for both, so that lines keep their order
    return requests, replies


def _leave_stopping_to_the_worker() -> None:
    """A stop goes to the whole process group, and the batch in hand is to end all the same.

    They are not ignored: programs that the model starts would inherit that.
    """
    for number in _SIGNALS:
        signal.signal(number, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)


def _loaded(asked: dict[str, Any]) -> Backend:
    fetching.allow(Reach.model_validate(asked["reach"]))
    options = InferenceOptions.model_validate(asked["options"])
    return load_backend(Path(asked["folder"]), options, asked["device"])


def _about(backend: Backend) -> dict[str, Any]:
    return {
        "device": backend.device,
        "mixes_directions": backend.mixes_directions,
        "whole_items": backend.whole_items,
        "token_budget": getattr(backend, "token_budget", None),
        "patience": float(getattr(backend, "patience", 0.0)),
    }


class Link:
    """The way back; used by several threads."""

    def __init__(self, replies: IO[bytes]) -> None:
        self._replies, self._lock = replies, threading.Lock()

    def send(self, message: dict[str, Any]) -> None:
        data = pack(message)
        with self._lock:
            self._replies.write(data)
            self._replies.flush()


class Lanes:
    """What is asked, lane by lane; heard in a thread of its own, from the start.

    Once the worker has gone nobody wants what is loaded or translated here: that ends this process.
    """

    def __init__(self, requests: IO[bytes]) -> None:
        self._requests = requests
        self._first: SimpleQueue[dict[str, Any]] = SimpleQueue()
        self._lanes: dict[str, SimpleQueue[dict[str, Any]]] = {n: SimpleQueue() for n in LANES}
        threading.Thread(target=self._listen, daemon=True).start()

    def first(self) -> dict[str, Any]:
        """What names the model."""
        return self._first.get()

    def next(self, name: str) -> dict[str, Any]:
        return self._lanes[name].get()

    def _listen(self) -> None:
        try:
            self._first.put(receive(self._requests))
            while True:
                request = receive(self._requests)
                self._lanes[request["do"]].put(request)
        finally:
            _leave_for_good()


class Server:
    """One thread a lane, so that translating waits for no tokenizer."""

    def __init__(self, backend: Backend, lanes: Lanes, link: Link) -> None:
        self._backend, self._lanes, self._link = backend, lanes, link

    def run(self) -> None:
        """Until the process ends; translating is the main thread's, as some libraries want it."""
        for name in ("encode", "decode"):
            threading.Thread(target=self._work_off, args=(name,), daemon=True).start()
        self._work_off("translate")

    def _work_off(self, name: str) -> None:
        work: Callable[[dict[str, Any]], Any] = getattr(self, f"_{name}")
        try:
            while True:
                self._answer(self._lanes.next(name), work)
        except BaseException:
            traceback.print_exc()
            _leave(1)  # a lane that answers no more would look like one that hangs

    def _answer(self, request: dict[str, Any], work: Callable[[dict[str, Any]], Any]) -> None:
        began = time.perf_counter()
        try:
            found = work(request)
            took = time.perf_counter() - began
            reply = {"id": request["id"], "ok": found, "seconds": took, "peak_memory": _peak()}
            self._link.send(reply)
            heed_own_signals()
        except BaseException as error:  # also SystemExit: it is the model's, and no end of this
            spoilt = is_spoilt(error)
            self._link.send({"id": request["id"], "error": describe(error), "spoilt": spoilt})

    def _encode(self, request: dict[str, Any]) -> list[tuple[Any, ...]]:
        rows = self._backend.encode(request["texts"], request["source"], request["target"])
        _expect("encode", rows, len(request["texts"]))
        return [(row.tokens, row.data, row.truncated) for row in rows]

    def _translate(self, request: dict[str, Any]) -> list[tuple[Any, ...]]:
        _forget_peak()
        os.environ[curves.VARIABLE] = request.get("folder", "")
        outputs = self._backend.translate([Row(*row) for row in request["rows"]])
        _expect("translate", outputs, len(request["rows"]))
        return [(output.tokens, output.data, output.truncated) for output in outputs]

    def _decode(self, request: dict[str, Any]) -> list[str]:
        texts = self._backend.decode([Output(*output) for output in request["outputs"]])
        _expect("decode", texts, len(request["outputs"]))
        return texts


def _expect(name: str, found: list[Any], count: int) -> None:
    if len(found) != count:
        raise ModelError(f"the model's {name} gave {len(found)} results for {count} sentences")


def _torch_on_gpu() -> Any:
    """Torch, where it is loaded and has begun to use a GPU."""
    torch = sys.modules.get("torch")
    return torch if torch and torch.cuda.is_initialized() else None


def _forget_peak() -> None:
    if torch := _torch_on_gpu():
        torch.cuda.reset_peak_memory_stats()


def _peak() -> int:
    """Bytes of the GPU since the batch began; without one, of this process since it began."""
    if torch := _torch_on_gpu():
        return int(torch.cuda.max_memory_allocated())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    sys.exit(main())
