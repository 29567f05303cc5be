"""A small server that speaks `chat/completions`, for tests: well, badly, slowly or not at all."""

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from tests.servers import Answer, serving

Reply = str | Answer  # a translation, or a whole answer


@dataclass
class Llm:
    """The server, and what it was asked.

    Attributes:
        reply: from what the user says and how often that was asked, this time included.
        seconds: that it thinks before it answers.
    """

    reply: Callable[[str, int], Reply] = lambda said, _times: said.upper()
    seconds: float = 0.0
    url: str = ""
    asked: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    most_at_once: int = 0
    _at_once: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def said(self) -> list[str]:
        """What the user said, question by question."""
        return [body["messages"][-1]["content"] for body in self.asked]

    def answer(self, body: dict[str, Any], key: str | None) -> Answer:
        with self._lock:
            self.asked.append(body)
            self.keys.append(key)
            said = body["messages"][-1]["content"]
            times = self.said.count(said)
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        time.sleep(self.seconds)
        try:
            reply = self.reply(said, times)
            return completion(reply) if isinstance(reply, str) else reply
        finally:
            with self._lock:
                self._at_once -= 1


def completion(text: str | None, reason: str = "stop", **more: Any) -> Answer:
    """A good answer; `more` stands in its message."""
    message = {"role": "assistant", "content": text, **more}
    tokens = len((text or "").split())
    usage = {"prompt_tokens": 9, "completion_tokens": tokens, "total_tokens": 9 + tokens}
    choice = {"index": 0, "message": message, "finish_reason": reason}
    return raw(json.dumps({"id": "x", "choices": [choice], "usage": usage}).encode())


def raw(data: bytes, status: int = 200, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return status, {"content-type": "application/json", **named}, data


def cut(data: bytes) -> Answer:
    """An answer whose connection breaks off before its end."""
    return raw(data, content_length=str(len(data) + 100), connection="close")


@contextlib.contextmanager
def llm_server(llm: Llm) -> Iterator[Llm]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            assert self.path == "/v1/chat/completions", self.path
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            status, headers, data = llm.answer(body, self.headers.get("authorization"))
            self.send_response(status)
            for name, value in {"content-length": str(len(data)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(data)
            self.close_connection = headers.get("connection") == "close"

        def log_message(self, *_: object) -> None:
            pass

    with serving(Handler) as address:
        llm.url = f"{address}/v1"
        yield llm


def write_endpoint(folder: Path, url: str, **more: Any) -> Path:
    """A folder whose `endpoint.json` names the server at `url`."""
    folder.mkdir(parents=True, exist_ok=True)
    described = {"url": url, "model": "tiny", **more}
    (folder / "endpoint.json").write_text(json.dumps(described), encoding="utf-8")
    return folder
