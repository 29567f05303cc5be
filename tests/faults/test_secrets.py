"""Secrets stay where their owner put them, whatever jobs, servers and faults do with them (52)."""

import gzip
import os
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from coordinator.cli import main
from tests.acceptance.batches import BatchSeen, Workplace, ended, running, wait_until
from tests.faults.canaries import PLACES, Canaries, plant
from tests.servers import file_server

pytestmark = pytest.mark.timeout(300)

# What the model has no way to come by: it is the coordinator's own.
OF_THE_COORDINATOR = {
    "NOMAD_TOKEN",
    "a password in a settings file",
    "an argument of the command",
}
SUBMIT = ("--pipeline", "pipeline.yml", "--model", "model", "--slots", "3", "--keep_jobs")


@pytest.fixture
def core_files() -> Iterator[None]:
    """As large as may be, as on the machine of somebody who looks for a defect."""
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))


@pytest.fixture
def canaries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Canaries]:
    served = tmp_path / "served"
    with file_server(served) as server:
        yield plant(tmp_path / "work", server.url, served, monkeypatch)


@pytest.mark.usefixtures("core_files", "loopback_allowed")
def test_no_secret_is_left_or_shown_by_a_whole_batch(
    canaries: Canaries, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """All places at once: the model prints, raises and crashes with all that it can find."""
    place, said = Workplace(canaries.folder), []
    batch = place.batch("b")
    submit = place.start("submit", "--batch_name", "b", *SUBMIT)
    said.append(follow(place, batch, submit))
    said.append(ended(submit))
    assert said[1].returncode == 1, said[1].stderr
    texts = [each.stdout + each.stderr for each in said]
    monkeypatch.chdir(canaries.folder)
    monkeypatch.setenv("COORDINATOR_STATE_DIR", str(canaries.folder / "state"))
    for verb in (*VERBS, ("items", "show", canaries.catalog, "print", "--json")):
        texts.append(shown(capfd, *verb))
    texts.append(refused_for_its_argument(capfd, canaries))
    assert canaries.witnessed() == set(PLACES) - OF_THE_COORDINATOR
    kept = batch.state / "addresses.db"  # what failed may be sent again
    assert kept.stat().st_mode & 0o777 == 0o600
    assert_none_found(canaries, texts, kept)
    assert_masked_log(batch)
    assert_nothing_dumped(canaries)


VERBS = (
    ("status", "b"),
    ("status", "b", "raise", "--json"),
    ("logs", "b", "print"),
    ("logs", "b", "raise"),
    ("report", "b"),
    ("report", "b", "--json"),
    ("resubmit", "b", "--dry-run"),
    ("ls", "--json"),
    ("purge", "b", "--dry-run"),
    ("status", "nobody", "--debug"),
)


def test_a_batch_that_succeeded_keeps_no_secret_at_all(canaries: Canaries) -> None:
    place = Workplace(canaries.folder)
    done = place.run("submit", "--batch_name", "b", *SUBMIT, "--limit_items", 1)
    assert done.returncode == 0, done.stderr
    assert canaries.witnessed() == set(PLACES) - OF_THE_COORDINATOR
    assert_none_found(canaries, [done.stdout + done.stderr])


def follow(
    place: Workplace, batch: BatchSeen, submit: "subprocess.Popen[str]"
) -> "subprocess.CompletedProcess[str]":
    """The log of an item while it is written."""
    wait_until(lambda: submit.poll() is not None or sent(batch))
    with running(place.start("logs", "b", "print", "--follow")) as process:
        return ended(process)


def sent(batch: BatchSeen) -> bool:
    return batch.exists and batch.count("dispatches") == 3


def shown(capfd: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a verb prints. In this process: making a new one for each takes longer."""
    capfd.readouterr()
    main(list(arguments))
    return "".join(capfd.readouterr())


def refused_for_its_argument(capfd: pytest.CaptureFixture[str], canaries: Canaries) -> str:
    password = quote(canaries.planted["an argument of the command"], safe="")
    catalog = f"http://me:{password}@127.0.0.1:1/items.ndjson"
    text = shown(capfd, "submit", "--batch_name", "c", *SUBMIT, "--catalog", catalog, "--debug")
    assert "Traceback" in text and "error: " in text
    return text


def assert_none_found(canaries: Canaries, said: list[str], *kept: Path) -> None:
    """In no file below the folder but those where they are kept, and on no screen."""
    found = (Path(top, name) for top, _, names in os.walk(canaries.folder) for name in names)
    files = [path for path in found if path not in (*canaries.sources, *kept)]
    texts = {str(path): content(path) for path in files}
    for name in (
        "ledger.db",
        "coordinator.log",
        "stdout",
        "worker.stdout.0",
        "dispatch.json",
        "items.jsonl.gz",
    ):
        assert any(path.name == name for path in files), f"no {name} was looked at"
    texts |= {f"what was printed ({n})": text.encode() for n, text in enumerate(said)}
    for place, traces in canaries.traces().items():
        told = [name for name, data in texts.items() if any(trace in data for trace in traces)]
        assert told == [], f"{place} is told"


def content(path: Path) -> bytes:
    data = path.read_bytes()
    return gzip.decompress(data) if path.suffix == ".gz" else data


def assert_masked_log(batch: BatchSeen) -> None:
    """What the model said is there, without the secrets: it was masked, not lost."""
    logs = [log.read_text() for log in batch.logs.glob("translate/*/worker.stderr.0")]
    whole = "".join(logs)
    assert "told SERVICE_LOGIN=***" in whole and "told HOME=" in whole
    assert "password ***" in whole and "X-Amz-Date=20260101T000000Z&X-Amz" not in whole
    reasons = {row["reason"] for row in batch.rows("SELECT reason FROM attempts")}
    assert any("cannot log in with AWS_ACCESS_KEY_ID=***" in reason for reason in reasons)


def assert_nothing_dumped(canaries: Canaries) -> None:
    assert "core files: 0" in canaries.witness.read_text()
    assert [path for path in canaries.folder.rglob("core*") if path.is_file()] == []
