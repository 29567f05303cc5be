"""Keys that end amid a batch: it waits once, charges nothing, goes on; no key stays anywhere."""

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from coordinator.storage import open_storage
from tests.acceptance.batches import BatchSeen, Workplace, ended, running, wait_until
from tests.fault_proxy import FaultProxy, Passing, fault_proxy, refusal, signed_by
from tests.servers import Answer, S3Server

pytestmark = [pytest.mark.needs_s3, pytest.mark.timeout(600)]

ITEMS = 12
OLD, NEW = "canary-of-the-old-token", "canary-of-the-new-token"
PIPELINE = """
name: sleepy
steps:
  - name: nap
    job: command
    outputs: [stdout.txt]
    pack: {size: 2}
    options: {command: [sleep, "0.4"]}
"""


@dataclass
class Guard:
    """Lets requests through but for those whose token has ended."""

    proxy: FaultProxy
    ended: str = ""

    def __call__(self, request: Passing) -> Answer | None:
        if not self.ended or self.ended != request.headers.get("X-Amz-Security-Token"):
            return None
        return (400, {}, b"") if request.method == "HEAD" else refusal("ExpiredToken")

    def outcomes(self) -> int:
        return sum(r.method == "PUT" and "outcome.json" in r.path for r in self.proxy.seen)


@pytest.fixture
def guard(s3_server: S3Server, s3_bucket: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Guard]:
    with fault_proxy(s3_server.endpoint, signed_by(s3_server)) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        monkeypatch.setenv("AWS_SESSION_TOKEN", OLD)
        guard = proxy.fault = Guard(proxy)
        yield guard


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    place = Workplace(tmp_path / "eval")
    place.folder.mkdir()
    place.pipeline.write_text(PIPELINE)
    items = [{"id": f"i{n}", "properties": {}, "assets": {}} for n in range(ITEMS)]
    text = "".join(f"{json.dumps(item)}\n" for item in items)
    (place.folder / "items.ndjson").write_text(text)
    return place


def start(place: Workplace, bucket: str) -> "subprocess.Popen[str]":
    flags = ["--pipeline", "pipeline.yml", "--catalog", "items.ndjson", "--slots", 2]
    root = f"s3://{bucket}/root"
    return place.start("submit", "--batch_name", "b", *flags, "--output_root", root)


def expire(guard: Guard, process: "subprocess.Popen[str]", batch: BatchSeen) -> None:
    """Let the keys end amid the batch, and wait until that was noticed."""
    wait_until(lambda: guard.outcomes() >= 3 or process.poll() is not None)
    assert process.poll() is None, ended(process).stderr
    guard.ended = OLD
    wait_until(lambda: "credentials_paused" in pauses(batch))


def pauses(batch: BatchSeen) -> list[str]:
    query = "SELECT action FROM events WHERE action LIKE 'credentials%' ORDER BY id"
    return [row["action"] for row in batch.rows(query)] if batch.exists else []


def assert_nothing_burnt(batch: BatchSeen) -> None:
    states = batch.rows("SELECT state, count(*) AS n FROM items GROUP BY 1")
    assert states == [{"state": "succeeded", "n": ITEMS}]
    ends = {row["state"] for row in batch.rows("SELECT DISTINCT state FROM attempts")}
    assert ends <= {"succeeded", "returned"}
    assert batch.count("attempts WHERE kind IS NOT NULL") == 0
    assert pauses(batch) == ["credentials_paused", "credentials_renewed"]


def test_expired_keys_pause_the_batch_once_and_burn_nothing(
    place: Workplace, guard: Guard, s3_bucket: str
) -> None:
    batch = place.batch("b")
    with running(start(place, s3_bucket)) as process:
        expire(guard, process, batch)
        wait_until(lambda: not batch.workers())  # those that ran were refused too
        guard.ended = ""
        done = ended(process)
    assert done.returncode == 0, done.stderr
    assert_nothing_burnt(batch)
    assert "credentials refused since" in done.stderr
    assert "ExpiredToken" in done.stderr
    assert "keys from the environment" in done.stderr
    assert "coordinator credentials b" in done.stderr


def test_keys_are_handed_in_to_a_live_batch(
    place: Workplace,
    guard: Guard,
    s3_bucket: str,
    s3_server: S3Server,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    batch = place.batch("b")
    with running(start(place, s3_bucket)) as process:
        expire(guard, process, batch)
        monkeypatch.setenv("AWS_SESSION_TOKEN", NEW)
        given = place.run("credentials", "b", "--json")
        assert given.returncode == 0, given.stdout
        assert f"process {process.pid}" in json.loads(given.stdout)["driven_by"]
        assert (batch.state / "credentials").stat().st_mode & 0o777 == 0o600
        done = ended(process)
    assert done.returncode == 0, done.stderr
    assert_nothing_burnt(batch)
    assert not (batch.state / "credentials").exists()
    again = place.run("credentials", "b")
    assert again.returncode == 2 and "is finished" in again.stderr
    said = given.stdout + given.stderr + done.stdout + done.stderr + again.stderr
    assert_no_secret(place, s3_bucket, said, (OLD, NEW, s3_server.secret_key))


def test_a_start_with_refused_keys_says_what_to_do(
    place: Workplace, guard: Guard, s3_bucket: str
) -> None:
    guard.ended = OLD
    done = ended(start(place, s3_bucket))
    assert done.returncode == 3
    assert "ExpiredToken" in done.stderr and "renew the AWS keys" in done.stderr
    assert "Traceback" not in done.stderr
    assert not place.batch("b").exists


def assert_no_secret(place: Workplace, bucket: str, said: str, secrets: tuple[str, ...]) -> None:
    """In no file that the run left, here or in the store, and in nothing that was printed."""
    files = [Path(top, name) for top, _, names in os.walk(place.folder) for name in names]
    texts = {str(file): file.read_bytes() for file in files}
    store = open_storage(f"s3://{bucket}")
    texts |= {key: store.read(key) for key in store.list("")}
    texts["what was printed"] = said.encode()
    assert len(texts) > ITEMS * 4
    for secret in secrets:
        assert [name for name, data in texts.items() if secret.encode() in data] == []
