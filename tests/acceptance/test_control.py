"""Steering a batch from another terminal: what is asked of it is done by whoever drives it."""

import json
import subprocess
import time
import zlib
from collections.abc import Iterator

import pytest

from tests.acceptance.batches import (
    BatchSeen,
    Workplace,
    assert_one_job_a_token,
    ended,
    running,
    wait_until,
)

pytestmark = [pytest.mark.needs_data, pytest.mark.timeout(300)]

Process = subprocess.Popen[str]

# Does what the file `do` of the workplace says, for each item in a dispatch of its own.
PIPELINE = """
name: steered
steps:
  - name: work
    job: command
    outputs: [stdout.txt]
    pack: {size: 1}
    options: {command: [sh, "%s"]}
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    folder = tmp_path_factory.mktemp("control") / "work"
    place = Workplace.made(folder, ["deu", "fra", "rus"], 5)
    place.pipeline.write_text(PIPELINE % (folder / "do"))
    return place


@pytest.fixture
def batch(place: Workplace, request: pytest.FixtureRequest) -> BatchSeen:
    """Six directions in a batch for each test; the work takes its time."""
    do(place, "echo heard; echo said >&2; sleep 1.5")
    return place.batch(f"c-{zlib.crc32(request.node.name.encode())}")


@pytest.fixture
def process(batch: BatchSeen) -> Iterator[Process]:
    """A coordinator with a worker at work."""
    with running(batch.place.start("submit", *flags(batch))) as process:
        wait_until(lambda: batch.exists and batch.count("dispatches WHERE state = 'running'") > 0)
        yield process


def do(place: Workplace, command: str) -> None:
    (place.folder / "do").write_text(command)


def flags(batch: BatchSeen, *more: object) -> list[object]:
    given = ["--batch_name", batch.name, "--pipeline", "pipeline.yml", "--slots", 1]
    return [*given, "--catalog", "items/collection.json", *more]


def assert_whole(batch: BatchSeen) -> None:
    """Every item succeeded, at its first attempt."""
    assert {row["state"] for row in batch.rows("SELECT state FROM items")} == {"succeeded"}
    assert batch.count("attempts") == batch.count("dispatches") == 6
    assert_one_job_a_token(batch)


def said(batch: BatchSeen, verb: str, *arguments: object, code: int = 0) -> str:
    done = batch.place.run(verb, batch.name, *arguments)
    assert done.returncode == code, done.stderr
    return done.stdout


def asked(batch: BatchSeen, action: str) -> list[str]:
    return [row["why"] for row in batch.rows(f"SELECT why FROM events WHERE action = '{action}'")]


def out(batch: BatchSeen) -> int:
    return batch.count("dispatches WHERE state <> 'ended'")


def test_a_pause_from_elsewhere_holds_until_it_is_lifted(
    batch: BatchSeen, process: Process
) -> None:
    text = said(batch, "pause")
    assert "paused by" in text and f"process {process.pid} on" in text
    assert len(asked(batch, "pause asked")) == 1 and "@" in asked(batch, "pause asked")[0]
    wait_until(lambda: out(batch) == 0)
    sent = batch.count("dispatches")
    time.sleep(1)
    assert batch.count("dispatches") == sent < 6 and process.poll() is None
    assert "paused by" in said(batch, "status")
    do(batch.place, "true")
    assert "is lifted" in said(batch, "resume")
    done = ended(process)
    assert done.returncode == 0, done.stderr
    assert f"coordinator resume {batch.name} goes on" in done.stderr
    assert_whole(batch)


def test_a_pause_is_kept_where_nobody_drives(batch: BatchSeen, process: Process) -> None:
    process.terminate()
    ended(process)
    assert "kept for its next start" in said(batch, "pause")
    again = batch.place.start("submit", "--batch_name", batch.name, "--resume")
    with running(again):
        wait_until(lambda: batch.count("events WHERE action = 'started'") == 2)
        wait_until(lambda: out(batch) == 0)
        again.terminate()
        ended(again)
    text = said(batch, "resume", code=3)
    assert f"coordinator submit --batch_name {batch.name} --resume" in text
    do(batch.place, "true")
    assert batch.place.resume(batch.name).returncode == 0
    assert_whole(batch)


def test_thresholds_change_under_way(batch: BatchSeen, process: Process) -> None:
    assert "-> 1" in said(batch, "set", "--stop_threshold", 1, "--resume_threshold", 0)
    wait_until(lambda: batch.count("items WHERE state = 'in_flight'") <= 1)
    begun = batch.count("events WHERE action = 'claimed'")
    wait_until(lambda: batch.count("events WHERE action = 'claimed'") > begun)
    assert batch.count("items WHERE state = 'in_flight'") <= 1
    refused = batch.place.run("set", batch.name, "--resume_threshold", 9)
    assert refused.returncode == 2 and "must be below" in refused.stderr
    do(batch.place, "true")
    assert ended(process).returncode == 0
    assert_whole(batch)


def test_a_stop_waits_for_what_runs(batch: BatchSeen, process: Process) -> None:
    assert "no more is started" in said(batch, "stop")
    done = ended(process)
    assert done.returncode == 3
    assert "stopped by" in done.stdout and "--resume" in done.stdout
    assert out(batch) == 0 and batch.workers() == []
    assert batch.count("attempts WHERE kind IS NOT NULL") == 0
    do(batch.place, "true")
    assert batch.place.resume(batch.name).returncode == 0, "the stop was for the one that ended"
    assert_whole(batch)


def test_a_stop_now_stops_what_runs(batch: BatchSeen, process: Process) -> None:
    assert "are asked to stop" in said(batch, "stop", "--now")
    assert ended(process).returncode == 3
    assert out(batch) == 0 and batch.workers() == []
    stopped = batch.count("items WHERE state = 'stopped'")
    assert 1 <= stopped < 6
    do(batch.place, "true")
    assert batch.place.resume(batch.name).returncode == 1
    assert batch.count("items WHERE state = 'stopped'") == stopped
    assert batch.place.run("resubmit", batch.name).returncode == 0


def test_a_stop_now_of_a_batch_that_nobody_drives(batch: BatchSeen, process: Process) -> None:
    process.terminate()
    ended(process)
    assert batch.workers()
    assert "--now stops them" in said(batch, "stop")
    assert "are stopped and home" in said(batch, "stop", "--now")
    assert batch.workers() == [] and out(batch) == 0
    assert "nothing runs" in said(batch, "stop", "--now")


def test_items_are_stopped_and_the_others_go_on(batch: BatchSeen, process: Process) -> None:
    waiting, last = batch.items[4:]
    (batch.place.folder / "stop.txt").write_text(f"{waiting}\n")
    assert "1 not running" in said(batch, "stop", "--items", "stop.txt")
    running_now = batch.rows(
        "SELECT i.id FROM items i JOIN attempts a ON a.item = i.seq WHERE a.state = 'running'"
    )[0]["id"]
    said(batch, "stop", running_now, last)
    refused = batch.place.run("stop", batch.name, "nobody")
    assert refused.returncode == 2 and "is not in the batch" in refused.stderr
    do(batch.place, "true")
    assert ended(process).returncode == 1
    rows = batch.rows("SELECT id, state FROM items")
    states = {row["id"]: row["state"] for row in rows}
    assert states[waiting] == states[last] == "stopped"
    others = [state for item, state in states.items() if item not in (waiting, last, running_now)]
    assert others == ["succeeded"] * 3
    document = json.loads(said(batch, "stop", waiting, "--json"))
    assert document["did"] == ["1 ended before: nothing is changed"]


def test_a_batch_stops_where_all_fails_alike(batch: BatchSeen) -> None:
    do(batch.place, "exit 70")
    done = batch.place.run("submit", *flags(batch, "--max-same-failure", 2))
    assert done.returncode == 3, done.stderr
    assert "the last 2 dispatches all failed the same way: model_error" in done.stdout
    assert f"coordinator resubmit {batch.name}" in done.stdout and "--resume" in done.stdout
    assert 2 <= batch.count("dispatches") <= 4, "two, and those that were out at the time"
    assert batch.count("items WHERE state = 'waiting'") >= 2
    assert "--max" not in said(batch, "set", "--max_same_failure", 0)
    assert batch.place.resume(batch.name).returncode == 1
    assert batch.count("items WHERE state = 'failed'") == 6
