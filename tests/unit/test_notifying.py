"""Word of a batch: what is told when, by a command and by HTTP, and what goes wrong with it."""

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from coordinator.commands import notifying as module
from coordinator.commands.notifying import Notifier, call, notifying, post
from coordinator.commands.results import FailureGroup, Results
from coordinator.domain.reach import Reach
from coordinator.domain.states import FailureKind, ItemState
from coordinator.engine import Snapshot
from coordinator.errors import BadInput, LedgerError
from coordinator.ledger import Tally
from coordinator.secrecy import Secret, known
from coordinator.settings import Settings, load_settings
from coordinator.storage import fetching
from tests.fakes import HandClock

CALM = Snapshot("b", Tally({}, {}, {}, {}, {}), (), (), 0.0, 0.0, None, "", False, "", 8, 6)
TOKEN = "T0123456789/B9876543210"


class Told:
    """What came of a notifier."""

    def __init__(self, failures: int = 0) -> None:
        self.messages: list[dict[str, Any]] = []
        self._failures = failures

    def __call__(self, data: bytes) -> None:
        self.messages.append(json.loads(data))
        if len(self.messages) <= self._failures:
            raise RuntimeError("no")

    @property
    def events(self) -> list[tuple[str, str]]:
        return [(message["event"], message["message"]) for message in self.messages]


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


def test_pauses_and_trouble_are_told_once_and_their_end(clock: HandClock) -> None:
    told = Told()
    notifier = Notifier({"told": told}, "b", clock)
    paused = replace(CALM, paused="8 in flight, stop threshold 8; resumes at 6")
    stuck = replace(CALM, stuck="paused by ada@desk at 14:02")
    expired = replace(CALM, credentials="AWS keys have expired")
    for snapshot in (CALM, paused, stuck, stuck, CALM, CALM, expired, expired, CALM):
        clock.advance(61.0)
        notifier.look(snapshot)
    notifier.close()
    assert told.events == [
        ("paused", "paused by ada@desk at 14:02"),
        ("resumed", "the pause is over"),
        ("credentials", "AWS keys have expired"),
        ("resumed", "credentials are good again"),
    ]


def test_what_flaps_is_told_once_a_minute_and_what_lasts_is_told(clock: HandClock) -> None:
    told = Told()
    notifier = Notifier({"told": told}, "b", clock)
    for _ in range(300):
        notifier.look(replace(CALM, credentials="expired"))
        clock.advance(0.5)
        notifier.look(CALM)
        clock.advance(0.5)
    assert len(told.events) <= 6
    for _ in range(100):
        notifier.look(replace(CALM, credentials="expired"))
        clock.advance(1.0)
    notifier.close()
    assert told.events[-1] == ("credentials", "expired")


def test_the_end_says_how_it_ended(clock: HandClock) -> None:
    told = Told()
    notifier = Notifier({"told": told}, "b", clock)
    failures = (FailureGroup(FailureKind.TIMEOUT, 2, "i1", "too slow"),)
    counts = {ItemState.SUCCEEDED: 7, ItemState.NO_DATA: 1, ItemState.FAILED: 2}
    notifier.ended(Results("b", counts, 1, failures, "out/b"))
    notifier.close()
    [message] = told.messages
    assert message["event"] == "finished"
    assert message["message"] == "8 of 11 succeeded"
    assert message["failures"] == [{"kind": "timeout", "count": 2}]
    assert (message["batch"], message["total"], message["exit_code"]) == ("b", 11, 1)


def test_a_way_that_fails_keeps_no_other_from_it(clock: HandClock) -> None:
    bad, good = Told(failures=9), Told()
    notifier = Notifier({"bad": bad, "good": good}, "b", clock)
    notifier.tell("paused", "one")
    notifier.tell("stopped", "two")
    notifier.close()
    assert good.events == bad.events == [("paused", "one"), ("stopped", "two")]


def test_one_that_hangs_holds_nothing_up(clock: HandClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SECONDS", -0.8)
    forever = threading.Event()
    notifier = Notifier({"hangs": lambda _data: bool(forever.wait())}, "b", clock)
    began = time.monotonic()
    for number in range(100):
        notifier.tell(f"event {number}", "x")
    notifier.close()
    assert time.monotonic() - began < 5
    forever.set()


def test_one_that_hangs_keeps_no_other_waiting_and_what_it_kept_is_logged(
    clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SECONDS", -0.5)
    forever, good, failing = threading.Event(), Told(), Told(failures=1)
    ways = {"hangs": lambda _data: bool(forever.wait()), "good": good, "failing": failing}
    with capture_logs() as logged:
        notifier = Notifier(ways, "b", clock)
        notifier.tell("paused", "one")
        notifier.tell("finished", "two")
        notifier.close()
        forever.set()
        time.sleep(0.1)
    assert good.events == failing.events == [("paused", "one"), ("finished", "two")]
    assert [(line["by"], line["told"]) for line in logged if line["event"] == "not notified"] == [
        ("failing", "paused"),
        ("hangs", "paused"),
        ("hangs", "finished"),
    ]


def test_what_finds_too_many_before_it_is_logged(
    clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SECONDS", -0.9)
    monkeypatch.setattr(module, "_MOST_WAITING", 2)
    forever = threading.Event()
    with capture_logs() as logged:
        notifier = Notifier({"hangs": lambda _data: bool(forever.wait())}, "b", clock)
        for number in range(3):
            notifier.tell(f"event {number}", "x")
        assert [(line["told"], line["error"]) for line in logged] == [("event 2", "2 wait already")]
        notifier.close()
    forever.set()


def test_an_error_that_ends_a_run_is_told(tmp_path: Path, clock: HandClock) -> None:
    told = tmp_path / "told"
    settings = Settings(notify_command=f"sh -c 'cat > {told}'")
    with pytest.raises(LedgerError), notifying(settings, "b", clock):
        raise LedgerError("the disk is full", hint="free it")
    assert json.loads(told.read_text())["message"].startswith("the disk is full")


# A command.


def test_a_command_gets_the_message_and_no_shell(tmp_path: Path) -> None:
    script = tmp_path / "tell me"
    script.write_text('#!/bin/sh\necho "$#" "$1" > "$2"; cat >> "$2"\n')
    script.chmod(0o755)
    call([str(script), "$(touch x); ok", str(tmp_path / "out")], b'{"event": "paused"}')
    assert (tmp_path / "out").read_text() == '2 $(touch x); ok\n{"event": "paused"}\n'


def test_a_command_that_fails_or_hangs_is_ended_and_told(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="exit code 3: no such channel"):
        call(["sh", "-c", "echo no such channel >&2; exit 3"], b"{}")
    with pytest.raises(FileNotFoundError):
        call([str(tmp_path / "missing")], b"{}")
    child = f"(sleep 60; touch {tmp_path}/late) & sleep 60"
    began = time.monotonic()
    with pytest.raises(RuntimeError, match="longer than 0.3 s"):
        call(["sh", "-c", child], b"{}", 0.3)
    assert time.monotonic() - began < 5
    deadline = time.monotonic() + 5
    while processes_with(f"touch {tmp_path}/late") and time.monotonic() < deadline:
        time.sleep(0.02)  # a killed process takes a moment to go
    assert processes_with(f"touch {tmp_path}/late") == []


def processes_with(text: str) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            continue
        if text in line:
            found.append(line)
    return found


# A webhook.


class Hook(BaseHTTPRequestHandler):
    """Keeps what is posted; answers as its path says."""

    posted: list[tuple[str, dict[str, Any]]]
    released: threading.Event

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.posted.append((self.headers["Content-Type"], json.loads(body)))
        if self.path.startswith("/hang"):
            self.released.wait(30)
        self.send_response({"/gone": 404, "/elsewhere": 302}.get(self.path, 204))
        self.send_header("Location", "/other")
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        """Nothing."""


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, type[Hook]]]:
    kept = type("Kept", (Hook,), {"posted": [], "released": threading.Event()})
    server = ThreadingHTTPServer(("127.0.0.1", 0), kept)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    before = fetching.allowed()
    fetching.allow(Reach.model_validate({"networks": ["127.0.0.0/8"]}))
    yield f"http://127.0.0.1:{server.server_port}", kept
    fetching.allow(before)
    kept.released.set()
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_webhook_is_posted_json(hook: tuple[str, type[Hook]]) -> None:
    url, kept = hook
    post(f"{url}/services/{TOKEN}", b'{"event": "finished"}')
    assert kept.posted == [("application/json", {"event": "finished"})]


def test_a_webhook_that_refuses_or_leads_elsewhere_is_no_success(
    hook: tuple[str, type[Hook]],
) -> None:
    url, kept = hook
    with pytest.raises(RuntimeError, match="HTTP 404"):
        post(f"{url}/gone", b"{}")
    with pytest.raises(RuntimeError, match="HTTP 302"):
        post(f"{url}/elsewhere", b"{}")
    assert len(kept.posted) == 2


def test_a_webhook_that_hangs_is_given_up(hook: tuple[str, type[Hook]]) -> None:
    url, _ = hook
    began = time.monotonic()
    with pytest.raises(Exception, match=r"(?i)timed? ?out"):
        post(f"{url}/hang", b"{}", 0.6)
    assert time.monotonic() - began < 5


def test_a_webhook_inside_the_network_has_to_be_allowed(hook: tuple[str, type[Hook]]) -> None:
    url, kept = hook
    fetching.allow(Reach())
    with pytest.raises(BadInput):
        post(url, b"{}")
    assert kept.posted == []


@pytest.mark.parametrize(
    "url", ["http://example.org/x", "ftp://example.org", "example.org", "https://", "file:///x"]
)
def test_an_address_that_is_not_safe_is_refused_and_not_shown(
    url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COORDINATOR_NOTIFY_URL", f"{url}/{TOKEN}")
    with pytest.raises(BadInput) as refused:
        load_settings()
    text = f"{refused.value} {refused.value.problems}"
    assert "https://HOST" in text and TOKEN not in text
    (tmp_path / "settings.yml").write_text(f"notify_url: {url}/{TOKEN}\n")
    monkeypatch.delenv("COORDINATOR_NOTIFY_URL")
    with pytest.raises(BadInput) as refused:
        load_settings()
    text = f"{refused.value} {refused.value.problems}"
    assert "https://HOST" in text and TOKEN not in text


def test_the_address_is_a_secret(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "settings.yml").write_text(f"notify_url: https://hooks.example.org/{TOKEN}-a\n")
    settings = load_settings()
    assert settings.notify_url == Secret(f"https://hooks.example.org/{TOKEN}-a")
    assert TOKEN not in repr(settings) + settings.model_dump_json()
    told = known.mask.text(f"POST /{TOKEN}-a failed; https://hooks.example.org/{TOKEN}-a")
    assert TOKEN not in told
