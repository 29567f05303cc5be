"""What comes after a batch: reports that add up, resubmission by kind, purge and removal."""

import csv
import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest

from tests.acceptance.batches import (
    BatchSeen,
    Workplace,
    assert_outcomes,
    running,
    wait_until,
)

pytestmark = [pytest.mark.needs_data, pytest.mark.timeout(300)]

LISTS = {
    "unique_success_item_names": "succeeded",
    "early_exit": "early_exit",
    "unique_fail_item_names": "failed",
    "still_running": "still_running",
    "not_run": "not_run",
}


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    folder = tmp_path_factory.mktemp("after") / "work"
    return Workplace.made(folder, ["deu", "fra", "rus"], 5, pack=6)


@pytest.fixture
def place(workplace: Workplace) -> Workplace:
    """With a model that fails nowhere and has witnessed nothing."""
    workplace.set_model()
    workplace.witness.unlink(missing_ok=True)
    return workplace


def document(place: Workplace, *arguments: object, exit_code: int = 0) -> dict[str, Any]:
    """What a verb prints with `--json`."""
    done = place.run(*arguments, "--json")
    assert (done.returncode, done.stderr) == (exit_code, ""), done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def lists_of(place: Workplace, batch: str) -> Mapping[str, list[str]]:
    folder = place.folder / "local-reports" / batch
    return {path.stem: path.read_text("utf-8").splitlines() for path in folder.glob("*.txt")}


def assert_adds_up(place: Workplace, batch: str) -> Mapping[str, list[str]]:
    """Report the batch: each item of the run list is in exactly one list, and in the table."""
    report = document(place, "report", batch)["report"]
    lists = lists_of(place, batch)
    parts = sorted(item for name in LISTS for item in lists[name])
    assert parts == sorted(set(parts)) == lists["sorted-run-list"]
    assert report["counts"]["run_list"] == len(parts)
    for name, count in LISTS.items():
        assert report["counts"][count] == len(lists[name])
    with (place.folder / "local-reports" / batch / "summary.csv").open(newline="") as stream:
        assert sorted(row["item"] for row in csv.DictReader(stream)) == parts
    page = (place.folder / "local-reports" / batch / "report.html").read_text()
    assert "What happened to the batch as a whole" in page  # as its ledger tells
    assert f'<td class="n">{len(parts):,}</td>' in page
    return lists


def test_failures_are_reported_and_resubmitted_by_kind(place: Workplace) -> None:
    place.set_model(faults=["deu fra", "rus fra"])
    done = place.run("submit", *place.submit_flags("mend"))
    assert done.returncode == 1
    assert "mend  6 items  =  4 succeeded  2 failed" in done.stdout
    assert "2 x model_error" in done.stdout
    calls = place.witnessed()  # what fails is asked for again in parts, to find its line
    assert len(calls) == 6
    lists = assert_adds_up(place, "mend")
    failed = ["text-dev-deu-fra", "text-dev-rus-fra"]
    assert lists["fail_model_error"] == lists["unique_fail_item_names"] == failed
    assert len(lists["unique_success_item_names"]) == 4

    none = document(place, "resubmit", "mend", "--kind", "out_of_memory")
    assert none["items"] == []
    planned = document(place, "resubmit", "mend", "--kind", "model_error", "--dry-run")
    assert planned["items"] == failed
    listed = place.run("resubmit", "mend", "--as-list", "again.txt")
    assert listed.returncode == 0
    assert (place.folder / "again.txt").read_text().splitlines() == failed
    assert place.witnessed() == calls, "nothing has run again so far"

    place.set_model()
    again = place.run("resubmit", "mend", "--kind", "model_error")
    assert again.returncode == 0, again.stderr
    assert "mend  6 items  =  6 succeeded" in again.stdout
    lists = assert_adds_up(place, "mend")
    assert len(lists["unique_success_item_names"]) == 6
    assert "fail_model_error" not in lists
    batch = place.batch("mend")
    assert_outcomes(batch)
    assert place.witnessed() == calls + Counter({"deu fra": 1, "rus fra": 1})


def test_bad_items_are_skipped_on_request_and_listed(place: Workplace) -> None:
    (place.folder / "wanted.txt").write_text("text-dev-deu-fra\nno-such-item\n../climbs\n")
    flags = place.submit_flags("skip", "--item_list", "wanted.txt", "--skip-bad")
    done = place.run("submit", *flags)
    assert done.returncode == 1
    assert "skip  3 items  =  1 succeeded  2 skipped" in done.stdout
    lists = assert_adds_up(place, "skip")
    assert len(lists["skipped"]) == 2
    assert lists["unique_success_item_names"] == ["text-dev-deu-fra"]
    reasons = (place.folder / "local-reports" / "skip" / "summary.csv").read_text()
    assert "no item no-such-item in the catalog" in reasons
    assert place.witnessed() == {"deu fra": 1}


def test_purge_takes_finished_jobs_of_its_own_batch(place: Workplace) -> None:
    for name in ("one", "two"):
        assert place.run("submit", *place.submit_flags(name, "--limit_items", 1)).returncode == 0
    one, two = place.batch("one"), place.batch("two")
    jobs, others = [path.name for path in one.jobs()], two.jobs()
    listed = document(place, "purge", "one", "--dry-run")
    assert sorted(listed["jobs"]) == jobs == [path.name for path in one.jobs()]
    assert sorted(document(place, "purge", "one")["jobs"]) == jobs
    assert one.jobs() == [] and two.jobs() == others
    assert document(place, "purge", "one")["jobs"] == [], "a repeat finds nothing to do"
    assert_adds_up(place, "one")
    removed = place.run("rm", "one")
    assert removed.returncode == 0
    assert not one.state.exists() and not one.logs.exists()
    assert (one.output / "batch.json").exists(), "outputs stay unless they are named"
    assert two.exists and two.logs.exists()
    assert place.run("rm", "two", "--outputs").returncode == 0
    assert not two.state.exists() and not two.logs.exists() and not two.output.exists()
    assert (one.output / "batch.json").exists()


def test_running_jobs_are_purged_only_when_that_is_meant(place: Workplace) -> None:
    place.set_model(seconds=30)
    batch = place.batch("running")
    with running(place.start("submit", *place.submit_flags(batch.name, "--slots", 1))) as process:
        wait_until(lambda: place.witnessed().total() >= 1)
        assert_left_alone(batch)
        while_driven = place.run("purge", batch.name, "--include-running", "--yes")
        assert while_driven.returncode == 2 and str(process.pid) in while_driven.stderr
        process.kill()
    assert len(batch.workers()) == 1
    assert_left_alone(batch)
    unsure = place.run("purge", batch.name, "--include-running")
    assert unsure.returncode == 2 and "--yes" in unsure.stderr
    refused = place.run("rm", batch.name)
    assert refused.returncode == 2 and "--include-running --yes" in refused.stderr
    purged = place.run("purge", batch.name, "--include-running", "--yes")
    assert purged.returncode == 0, purged.stderr
    assert batch.workers() == [] and batch.jobs() == []
    stopped = batch.count("attempts WHERE state = 'stopped'")
    assert stopped >= 1 and batch.count("items WHERE state = 'stopped'") == stopped
    assert_adds_up(place, batch.name)


def assert_left_alone(batch: BatchSeen) -> None:
    """Without `--include-running`, what runs runs on."""
    only_finished = document(batch.place, "purge", batch.name)
    assert only_finished["jobs"] == [] and only_finished["running"] >= 1
    assert len(batch.workers()) == 1
