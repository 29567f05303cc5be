"""A batch tells of its end, by a command and a webhook, and takes no harm from either."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.batches import Workplace

pytestmark = [pytest.mark.needs_data, pytest.mark.timeout(120)]

TOKEN = "T0123456789-canary-of-a-webhook"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    return Workplace.made(tmp_path_factory.mktemp("told") / "work", ["deu", "fra"], 3)


@pytest.fixture
def hook() -> Iterator[tuple[str, list[dict[str, Any]], threading.Event]]:
    """A real server; it answers once it is let go."""
    posted: list[dict[str, Any]] = []
    answers = threading.Event()

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            answers.wait(60)
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/services/{TOKEN}", posted, answers
    answers.set()
    server.shutdown()
    thread.join()
    server.server_close()


def settings(place: Workplace, command: str, url: str) -> None:
    lines = [f"notify_command: {command}", f"notify_url: {url}", "allow_networks: 127.0.0.0/8"]
    (place.folder / "settings.yml").write_text("\n".join(lines) + "\n")


def log_of(place: Workplace, batch: str) -> str:
    return (place.folder / "local-logs" / batch / "coordinator.log").read_text()


def test_the_end_is_told_by_both(
    place: Workplace, hook: tuple[str, list[dict[str, Any]], threading.Event]
) -> None:
    url, posted, answers = hook
    answers.set()
    place.set_model(faults=["deu fra"])
    settings(place, "sh -c 'cat >> told.ndjson'", url)
    assert place.run("submit", *place.submit_flags("told")).returncode == 1
    [by_command] = map(json.loads, (place.folder / "told.ndjson").read_text().splitlines())
    assert posted == [by_command]
    assert (by_command["event"], by_command["batch"]) == ("finished", "told")
    assert by_command["failures"] == [{"kind": "model_error", "count": 1}]
    assert (by_command["message"], by_command["exit_code"]) == ("1 of 2 succeeded", 1)
    assert "not notified" not in log_of(place, "told")


def test_what_hangs_or_fails_is_a_line_in_the_log_without_the_address(
    place: Workplace, hook: tuple[str, list[dict[str, Any]], threading.Event]
) -> None:
    url, posted, _ = hook
    place.set_model()
    settings(place, "sh -c 'echo no such channel; exit 3'", url)
    began = time.monotonic()
    done = place.run("submit", *place.submit_flags("harmless"))
    assert (done.returncode, len(posted)) == (0, 1), done.stderr
    assert time.monotonic() - began < 60
    lines = [json.loads(line) for line in log_of(place, "harmless").splitlines()]
    told = {line["by"]: line["error"] for line in lines if line["event"] == "not notified"}
    assert "exit code 3: no such channel" in told["notify_command"]
    assert "imed out" in told["notify_url"]
    assert TOKEN not in done.stdout + done.stderr
    kept = [path for path in place.folder.rglob("*") if path.is_file()]
    assert [path for path in kept if TOKEN.encode() in path.read_bytes()] == [
        Path(place.folder / "settings.yml")
    ]
