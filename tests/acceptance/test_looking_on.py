"""Looking at a batch, while it runs and after: status, its watch, logs of an item, outputs home."""

import json
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from tests.acceptance.batches import (
    COORDINATOR,
    BatchSeen,
    Workplace,
    ended,
    environment,
    running,
    wait_until,
)

pytestmark = [pytest.mark.needs_data, pytest.mark.timeout(300)]

PIPELINE = """
name: looked-at
steps:
  - name: work
    job: command
    outputs: [stdout.txt]
    pack: {size: 3}
    options: {command: [sh, "%s", "{item}"]}
"""
WORK = """
echo "at work on $1" >&2
printf '\\033]0;a title\\007' >&2
while [ -e "$(dirname "$0")/hold" ]; do sleep 0.1; done
echo "the outcome of $1"
case "$1" in *fra-deu) exit 70;; esac
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    folder = tmp_path_factory.mktemp("looking") / "work"
    place = Workplace.made(folder, ["deu", "fra", "rus"], 5)
    place.pipeline.write_text(PIPELINE % (folder / "do"))
    (folder / "do").write_text(WORK)
    return place


@pytest.fixture(scope="module")
def done(place: Workplace) -> BatchSeen:
    """A batch that is finished: one of its six items has failed."""
    result = place.run("submit", *flags("done"))
    assert result.returncode == 1, result.stderr
    assert place.run("report", "done").returncode == 0
    return place.batch("done")


@pytest.fixture
def live(place: Workplace, done: BatchSeen) -> Iterator[BatchSeen]:
    """A batch with a pack at work: on the first item of it, until that is let go."""
    hold(place).touch()
    shutil.rmtree(place.folder / "state" / "live", ignore_errors=True)
    shutil.rmtree(place.folder / "outputs" / "live", ignore_errors=True)
    batch = place.batch("live")
    with running(place.start("submit", *flags("live"))) as process:
        wait_until(lambda: batch.exists and batch.count("dispatches WHERE state = 'running'") > 0)
        yield batch
        hold(place).unlink(missing_ok=True)
        process.terminate()
        ended(process)
        place.run("stop", "live", "--now")


def hold(place: Workplace) -> Path:
    return place.folder / "hold"


def flags(batch: str) -> list[object]:
    given = ["--batch_name", batch, "--pipeline", "pipeline.yml", "--slots", 1]
    return [*given, "--catalog", "items/collection.json"]


def said(place: Workplace, *arguments: object, code: int = 0) -> str:
    result = place.run(*arguments)
    assert result.returncode == code, result.stderr
    return result.stdout


# Status.


def test_status_shows_what_runs_and_finds_the_batch_that_is_driven(live: BatchSeen) -> None:
    shown = said(live.place, "status")
    assert shown.startswith("live  6 items") and "driven by process" in shown
    job = live.rows("SELECT job_id FROM dispatches WHERE state = 'running'")[0]["job_id"]
    row = next(line for line in shown.splitlines() if job in line)
    assert "pack-000001 (3)" in row and "work" in row and "running" in row
    jobs = json.loads(said(live.place, "status", "live", "--json"))["status"]["jobs"]
    assert jobs[0]["job_id"] == job and jobs[0]["node"] and jobs[0]["address"] == ""


def test_status_without_a_batch_lists_all_where_none_is_driven(done: BatchSeen) -> None:
    shutil.rmtree(done.place.folder / "state" / "live", ignore_errors=True)  # of another test
    head, row = said(done.place, "status").splitlines()
    assert head.split() == ["batch", "age", "done", "failed"]
    assert re.fullmatch(r"done +\d+ \w+ +6/6 +1 *", row)


def test_a_watch_ends_with_the_batch(done: BatchSeen, live: BatchSeen) -> None:
    finished = said(live.place, "status", "done", "--watch")
    assert finished.startswith("done  6 items  =  5 succeeded  1 failed\n")
    watch = live.place.start("status", "--watch")
    with running(watch):
        assert watch.stdout is not None and "work 0/6 [" in watch.stdout.readline()
        watch.send_signal(signal.SIGINT)
        result = ended(watch)
    goes_on = "live goes on as it was; look again: coordinator status live --watch\n"
    assert (result.returncode, result.stderr) == (130, goes_on)
    refused = done.place.run("status", "done", "--watch", "--json")
    assert refused.returncode == 2


def test_a_watch_ends_at_its_condition(done: BatchSeen, live: BatchSeen) -> None:
    conditions = ["--exit", "any,failed,7", "--exit", "all,done,0"]
    assert done.place.run("status", "done", "--watch", *conditions).returncode == 7
    assert done.place.run("status", "done", "--watch", *conditions[2:]).returncode == 0
    running_now = done.place.run("status", "live", "--watch", "--exit", "any,running,9")
    assert running_now.returncode == 9
    assert re.search(r"^live  6 items  =  [1-6] in flight", running_now.stdout, re.MULTILINE)
    wrong = done.place.run("status", "live", "--watch", "--exit", "any,broken,9")
    assert wrong.returncode == 2
    assert "one of: done, finished, succeeded" in wrong.stderr
    assert done.place.run("status", "live", "--exit", "any,failed,7").returncode == 2


def test_a_watch_on_a_terminal_is_drawn_anew(live: BatchSeen) -> None:
    child: pexpect.spawn[str] = pexpect.spawn(
        str(COORDINATOR),
        ["status", "live", "--watch"],
        cwd=str(live.place.folder),
        env=environment(live.place.folder) | {"TERM": "xterm-256color", "TERM_PROGRAM": "ghostty"},
        dimensions=(24, 160),
        encoding="utf-8",
        timeout=60,
    )
    with child:
        for news in ("\x1b]9;4;1;0\x1b\\", ""):  # on its tab, nothing new is told
            child.expect("live  running [0-9]+ s")
            child.expect("in flight [1-6]  waiting [0-6]  = 6 items, 6 to go")
            child.expect_exact(news)
        child.sendintr()
        child.expect_exact("\x1b]9;4;0;0\x1b\\")
        child.expect(pexpect.EOF)
        assert "Traceback" not in child.before
    assert child.exitstatus == 130


# Logs.


def test_the_log_of_one_item_of_a_pack(done: BatchSeen) -> None:
    failed = "text-dev-fra-deu"
    lines = said(done.place, "logs", "done", failed).splitlines()
    assert f"at work on {failed}" in lines
    assert any("item failed  kind=model_error" in line for line in lines)
    others = {item for item in done.items if item != failed}
    assert not any(other in line for line in lines for other in others)
    assert r"\x1b]0;a title" in "".join(lines) and "\x1b" not in "".join(lines)
    only = said(done.place, "logs", "done", failed, "--only-model").splitlines()
    assert only[0] == f"at work on {failed}" and "item failed" not in "".join(only)
    assert "ended with exit code 70" in only[-1]
    document = json.loads(said(done.place, "logs", "done", failed, "--json"))["log"]
    assert len(document["pack"]) > 1 and document["attempt"] == 1


def test_logs_that_there_are_not(done: BatchSeen) -> None:
    item = done.items[-1]
    refused = done.place.run("logs", "done", item, "--attempt", 7)
    assert refused.returncode == 2 and "work 1 (succeeded)" in refused.stderr
    unknown = done.place.run("logs", "done", item[:-1])
    assert unknown.returncode == 2 and item in unknown.stderr


def test_a_log_is_followed_to_its_end(live: BatchSeen) -> None:
    first = live.rows(
        "SELECT i.id FROM items i JOIN attempts a ON a.item = i.seq"
        " WHERE a.dispatch = 1 ORDER BY a.id"
    )[0]["id"]
    follow = live.place.start("logs", "live", first, "--follow")
    with running(follow):
        assert follow.stdout is not None
        seen = []
        while not any(f"at work on {first}" in line for line in seen):
            seen.append(follow.stdout.readline())
        assert live.count("dispatches WHERE state = 'running'") > 0, "from the cluster"
        hold(live.place).unlink()
        result = ended(follow)
    assert result.returncode == 0 and " item " in result.stdout.splitlines()[-1]


# Outputs.


def fetched(place: Workplace, *more: object, code: int = 0) -> dict[str, int]:
    document = json.loads(said(place, "fetch", "done", "--to", "got", "--json", *more, code=code))
    return dict(document["fetched"])


def test_outputs_are_fetched_once(done: BatchSeen) -> None:
    got = done.place.folder / "got"
    whole = fetched(done.place)
    published = {p.relative_to(done.output) for p in done.output.glob("items/*/*") if p.is_file()}
    assert len(published) == 5
    assert {p.relative_to(got) for p in got.glob("items/*/*")} == published
    for path in published:
        assert (got / path).read_bytes() == (done.output / path).read_bytes()
    assert (got / "batch.json").read_bytes() == (done.output / "batch.json").read_bytes()
    assert (whole["fetched"], whole["kept"]) == (sum(p.is_file() for p in got.rglob("*")), 0)
    changed, missing = (got / path for path in sorted(published)[:2])
    changed.write_bytes(changed.read_bytes().swapcase())
    missing.unlink()
    again = fetched(done.place)
    assert again["kept"] == 3 and missing.exists() and not list(got.rglob(".*"))
    assert changed.read_bytes() == (done.output / changed.relative_to(got)).read_bytes()


def test_only_the_summary(done: BatchSeen, tmp_path: Path) -> None:
    said(done.place, "fetch", "done", "--to", tmp_path / "s", "--summary")
    assert (tmp_path / "s/batch.json").exists() and not (tmp_path / "s/items").exists()


def test_outputs_of_a_batch_that_is_not_known_here(done: BatchSeen, tmp_path: Path) -> None:
    elsewhere = ["--state_dir", tmp_path / "none"]
    refused = done.place.run("fetch", "done", "--to", tmp_path / "a", *elsewhere)
    assert refused.returncode == 2 and "--output_root" in refused.stderr
    said(
        done.place, "fetch", "done", "--to", tmp_path / "a", "--output_root", "outputs", *elsewhere
    )
    assert len(list((tmp_path / "a").glob("items/*/stdout.txt"))) == 5


def test_a_reader_that_goes_away_stops_a_log_quietly(done: BatchSeen) -> None:
    result = subprocess.run(
        ["bash", "-c", f"{COORDINATOR} logs done {done.items[0]} | head -c 1"],
        cwd=done.place.folder,
        env=environment(done.place.folder),
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0 and "Traceback" not in result.stderr
