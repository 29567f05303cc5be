"""`metrics`: what Prometheus reads of batches, from a file and over HTTP."""

import json
import signal
import subprocess
import urllib.request
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from coordinator.clock import SystemClock
from coordinator.ledger import driver_lock
from tests.acceptance.batches import COORDINATOR, environment
from tests.ledgers import Hand, make_batch

pytestmark = pytest.mark.timeout(120)

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two batches: of ten items of one, six were sent, and one of them has failed."""
    clock = SystemClock()
    make_batch(tmp_path, clock, "one", skipped=[{"id": "x", "reason": "bad"}])
    make_batch(tmp_path, clock, "two", count=3)
    hand = Hand(tmp_path, clock, "one")
    hand.end(hand.send(6), failed=("i3",), kind="timeout")
    hand.send(2, step=1)
    return tmp_path


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(COORDINATOR), "metrics", *arguments],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        check=False,
    )


def parsed(text: str) -> Samples:
    """By Prometheus' own parser."""
    return {
        (
            sample.name.removeprefix("coordinator_"),
            tuple(sorted(sample.labels.items())),
        ): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def of(samples: Samples, name: str, batch: str = "one", **labels: str) -> float:
    return samples[name, tuple(sorted({"batch": batch, **labels}.items()))]


def test_the_file_says_what_the_ledgers_say(folder: Path) -> None:
    told = run(folder, "--out", "textfile/coordinator.prom")
    assert told.returncode == 0, told.stderr
    text = (folder / "textfile/coordinator.prom").read_text()
    samples = parsed(text)
    items = {labels: n for (name, labels), n in samples.items() if name == "items"}
    assert sum(n for labels, n in items.items() if ("batch", "one") in labels) == 11
    assert sum(n for labels, n in items.items() if ("batch", "two") in labels) == 3
    assert of(samples, "items", state="in_flight") == of(samples, "items_in_flight") == 5
    assert of(samples, "items", state="failed") == of(samples, "failed_items", kind="timeout") == 1
    assert of(samples, "failed_items", kind="model_error") == 0
    assert of(samples, "attempts", step="score", state="running") == 2
    assert of(samples, "dispatches_out", step="score") == 1
    assert (of(samples, "stop_threshold"), of(samples, "resume_threshold")) == (8, 6)
    assert (of(samples, "paused"), of(samples, "driven")) == (0, 0)
    assert 0 <= of(samples, "seconds_since_last_event") < 100
    assert "i3" not in text
    assert [path.name for path in (folder / "textfile").iterdir()] == ["coordinator.prom"]


def test_only_the_batches_that_are_named_are_told(folder: Path) -> None:
    samples = parsed(run(folder, "two").stdout)
    assert {dict(labels)["batch"] for _, labels in samples} == {"two"}
    numbers = json.loads(run(folder, "two", "--json").stdout)["metrics"]
    assert len(numbers) == len(samples)
    unknown = run(folder, "tow")
    assert unknown.returncode == 2
    assert "did you mean two" in unknown.stderr


def test_a_ledger_that_cannot_be_read_hides_no_other(folder: Path) -> None:
    ledger = folder / "state/two/ledger.db"
    ledger.write_bytes(b"no ledger" * 1000)
    samples = parsed(run(folder).stdout)
    assert (of(samples, "ledger_readable"), of(samples, "ledger_readable", "two")) == (1, 0)
    assert of(samples, "items_in_flight") == 5
    assert ("items_in_flight", (("batch", "two"),)) not in samples


def test_it_answers_over_http_with_what_is_so_then(folder: Path) -> None:
    with subprocess.Popen(
        [str(COORDINATOR), "metrics", "--serve", "0", "--json"],
        cwd=folder,
        env=environment(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        url = json.loads(process.stdout.readline())["metrics"]["url"]
        assert url.startswith("http://127.0.0.1:")
        assert of(asked(url), "driven") == 0
        with driver_lock(folder / "state/one", "one"):
            assert (of(asked(url), "driven"), of(asked(url), "paused")) == (1, 0)
            hand = Hand(folder, SystemClock(), "one")
            hand.note("paused")
            assert of(asked(url), "paused") == 1
        hand.send(4)
        assert of(asked(url), "items_in_flight") == 9
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    with pytest.raises(OSError):
        urllib.request.urlopen(url, timeout=2)


def asked(url: str) -> Samples:
    with urllib.request.urlopen(url, timeout=10) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain")
        return parsed(answer.read().decode())


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--serve", "nine"), "'nine' is no port"),
        (("--serve", "127.0.0.1:70000"), "'70000' is no port"),
        (("--serve", "203.0.113.7:9101"), "cannot be served on 203.0.113.7:9101"),
        (("--serve", "127.0.0..1:9101"), "cannot be served on 127.0.0..1:9101"),
        (("--out", "/proc/coordinator.prom"), "cannot be written"),
    ],
)
def test_what_cannot_be_meant_is_said(folder: Path, flags: tuple[str, ...], words: str) -> None:
    told = run(folder, *flags)
    assert told.returncode == 2
    assert words in told.stderr
    assert "Traceback" not in told.stderr
