"""The verbs on batches of small commands: what becomes of each way to end, and odd ways to ask."""

import json
import os
import subprocess
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from coordinator.bootstrap.place import known_uid
from coordinator.cli.contents import HOME_OF
from coordinator.clock import SystemClock
from coordinator.commands.record import record_of
from coordinator.ledger import Ledger, driver_lock
from tests.acceptance.batches import COORDINATOR, coordinator_after, environment

pytestmark = pytest.mark.timeout(180)

PIPELINE = """
name: act
steps:
  - name: act
    job: command
    outputs: [stdout.txt]
    pack: {size: 4}
    time_limit: 8s
    retry: {timeout: {attempts: 1}, infrastructure: {attempts: 2}}
    options:
      no_data_exit_code: 3
      command: [sh, -c, 'echo "$1" >> "$2"; eval "$1"', act, "{property.what}", WITNESS]
"""

# Where jobs are refused their keys, it waits a fiftieth of what it does for users.
HURRIED = coordinator_after(
    "from coordinator.engine import credentials as pause; pause.JOBS_HOLD /= 50"
)


class Place:
    """A folder to type commands in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.witness = folder / "witness"
        (folder / "p.yml").write_text(PIPELINE.replace("WITNESS", str(self.witness)))
        self.program: tuple[str | Path, ...] = (COORDINATOR,)

    def items(self, **what: str) -> None:
        """Each item's id, and the shell command that it runs."""
        documents = ({"id": name, "properties": {"what": text}} for name, text in what.items())
        lines = "".join(f"{json.dumps(document)}\n" for document in documents)
        (self.folder / "items.ndjson").write_text(lines)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.program, *arguments],
            cwd=self.folder,
            env=environment(self.folder),
            capture_output=True,
            text=True,
            check=False,
        )

    def submit(self, batch: str, *flags: str) -> subprocess.CompletedProcess[str]:
        return self.run("submit", batch, "--pipeline=p.yml", "--catalog=items.ndjson", *flags)

    def json(self, *arguments: str) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.run(*arguments, "--json").stdout)
        return document

    def kinds(self, batch: str) -> dict[str, str]:
        failed = self.json("status", batch)["status"]["failed_items"]
        return {item["item"]: item["kind"] for item in failed}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_each_way_to_end_has_its_kind(place: Place) -> None:
    kinds = {
        "input": ("exit 65", "bad_input"),
        "model": ("exit 70", "model_error"),
        "again": ("exit 75", "infrastructure"),
        "key": ("exit 77", "credentials"),
        "late": ("exit 124", "timeout"),
        "memory": ("exit 137", "out_of_memory"),
        "killed": ("kill -9 $$", "out_of_memory"),
        "hidden": ("touch .hidden", "model_error"),
        "frames": ("echo {} > outcome.json", "model_error"),
    }
    place.items(fine="echo fine", none="exit 3", **{k: what for k, (what, _) in kinds.items()})
    place.program = HURRIED
    done = place.submit("ends")
    assert done.returncode == 1
    assert "11 items  =  1 succeeded  1 without data  9 failed" in done.stdout
    assert place.kinds("ends") == {item: kind for item, (_, kind) in kinds.items()}
    counts = place.json("report", "ends")["report"]["counts"]
    assert (counts["succeeded"], counts["early_exit"], counts["failed"]) == (1, 1, 9)
    runs = place.witness.read_text().splitlines()
    assert [runs.count(text) for text in ("echo fine", "exit 75", "exit 137")] == [1, 2, 2]


@pytest.mark.parametrize("end", ["sleep 60", "trap 'exit 7' TERM; sleep 60 & wait"])
def test_a_command_past_its_time_limit_is_a_timeout(place: Place, end: str) -> None:
    """Its process group got the signal too: how it took it is no verdict."""
    place.items(slow=end)
    assert place.submit("slow").returncode == 1
    assert place.kinds("slow") == {"slow": "timeout"}


def test_a_file_called_like_a_step_stops_nothing(place: Place) -> None:
    place.items(one="echo 1 > act; echo fine")
    assert place.submit("named").returncode == 0
    item = place.folder / "outputs" / "named" / "items" / "one"
    assert (item / "stdout.txt").read_text() == "fine\n"
    assert (item / "act" / "a1" / "act").read_text() == "1\n"


def test_a_kind_is_typed_as_it_is_printed(place: Place) -> None:
    place.items(bad="exit 65", worse="exit 70")
    place.submit("kinds")
    again = place.json("resubmit", "kinds", "--kind", "bad_input", "--dry-run")
    assert again["items"] == ["bad"]
    wrong = place.run("resubmit", "kinds", "--kind", "bad_inptu")
    assert wrong.returncode == 2
    assert "bad_input" in wrong.stderr


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--dry-run"], "--dry-run is for new batches"),
        (["--catalog", "others.ndjson"], "--catalog"),
        (["--limit_items", "1"], "--limit_items"),
    ],
)
def test_a_resume_that_asks_for_something_else_is_refused(
    place: Place, flags: list[str], said: str
) -> None:
    place.items(one="echo 1", two="exit 70")
    place.submit("again")
    done = place.run("submit", "again", "--resume", *flags)
    assert done.returncode == 2
    assert said in done.stderr


@pytest.mark.parametrize("flags", [["--dry-run"], []])
def test_a_name_that_is_taken_is_refused_before_the_plan(place: Place, flags: list[str]) -> None:
    place.items(one="echo 1")
    place.submit("mine")
    done = place.submit("mine", *flags)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: batch mine was submitted before")


def test_what_is_refused_changes_nothing(place: Place) -> None:
    """While another process drives the batch, neither its thresholds nor its items change."""
    place.items(one="exit 70")
    place.submit("busy")
    with driven(place, "busy"):
        for arguments in (["submit", "--resume", "--stop_threshold", "7"], ["resubmit"]):
            done = place.run(arguments[0], "busy", *arguments[1:])
            assert done.returncode == 2
            assert "is being driven already" in done.stderr
    assert place.kinds("busy") == {"one": "model_error"}
    assert place.submit("busy2", "--stop_threshold", "7").returncode == 1
    records = [place.folder / "outputs" / batch / "batch.json" for batch in ("busy", "busy2")]
    assert [json.loads(path.read_text())["stop_threshold"] == 7 for path in records] == [0, 1]


def driven(place: Place, batch: str) -> AbstractContextManager[None]:
    return driver_lock(place.folder / "state" / batch, batch)


def test_a_reader_that_goes_away_stops_nothing(place: Place) -> None:
    """`coordinator submit ... | head -1`, and the same for what it says on the way."""
    place.items(one="sleep 1; echo 1", two="exit 70")
    done = into_closed_pipes(place, "submit", "alone", "--pipeline=p.yml", "--catalog=items.ndjson")
    assert done == 1
    assert place.json("status", "alone")["status"]["finished"]
    assert into_closed_pipes(place, "ls", "--json") == 0


def into_closed_pipes(place: Place, *arguments: str) -> int:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        return subprocess.run(
            [COORDINATOR, *arguments],
            cwd=place.folder,
            env=environment(place.folder),
            stdout=writer,
            stderr=writer,
            check=False,
        ).returncode
    finally:
        os.close(writer)


def test_tables_are_whole_where_nobody_looks_on(place: Place) -> None:
    name = "a-name-that-is-quite-long-for-an-item-of-a-batch-but-still-far-from-the-longest"
    place.items(**{name: "exit 70"})
    place.submit("wide")
    table = place.run("status", "wide", "--failed").stdout
    assert any(line.startswith(name) and "exit code 70" in line for line in table.splitlines())


def test_what_becomes_of_the_outputs_is_said(place: Place) -> None:
    place.items(one="echo 1")
    place.submit("gone")
    assert f"its outputs stay in {place.folder}/outputs/gone" in place.run("rm", "gone").stdout
    again = place.submit("gone")
    assert again.returncode == 2
    assert "holds outputs of a batch gone already" in again.stderr


VERBS = f"There are {len(HOME_OF)} verbs in all"


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["submt"], f"did you mean submit, resubmit? {VERBS}; coordinator --help lists them"),
        (["items", "cuont"], "coordinator items --help"),
        (["submit", "a", "--batch_name", "b"], "name one"),
        (["submit", "--limit_items", "0"], "coordinator submit --help"),
    ],
)
def test_a_slip_of_the_finger_is_told_what_to_try(
    place: Place, arguments: list[str], hint: str
) -> None:
    done = place.run(*arguments)
    assert done.returncode == 2
    assert done.stderr.rstrip().endswith(f"try   {hint}")


def test_a_pipelines_output_root_wins_over_settings_and_the_flag_over_both(place: Place) -> None:
    pipeline = place.folder / "p.yml"
    pipeline.write_text(f"{pipeline.read_text()}output_root: of-pipeline\n")
    (place.folder / "settings.yml").write_text("output_root: of-settings\n")
    place.items(one="true")

    def output(*flags: str) -> str:
        asked = ["submit", "b", "--pipeline=p.yml", "--catalog=items.ndjson", "--dry-run"]
        return str(place.json(*asked, *flags)["plan"]["output"])

    assert output().endswith("/of-pipeline/b")
    assert output("--output_root=of-flag").endswith("/of-flag/b")


def test_a_batch_has_one_identity_for_all_verbs(place: Place) -> None:
    """`register-jobs` after `submit` means the same batch, not another one of its name."""
    place.items(one="echo 1")
    place.submit("mine")
    folder = place.folder / "state" / "mine"
    ledger = Ledger.open(folder, SystemClock(), read_only=True)
    kept, recorded = known_uid(folder), record_of(ledger).uid
    ledger.close()
    assert kept == recorded != ""


def test_nomads_address_may_be_given_to_whoever_asks_it(place: Place) -> None:
    for arguments in (["doctor", "--cluster=nomad"], ["register-jobs", "b", "--pipeline=p.yml"]):
        done = place.run(*arguments, "--nomad_addr", "http://127.0.0.1:9")
        assert done.returncode != 0
        assert "Nomad at http://127.0.0.1:9 does not answer" in done.stdout + done.stderr


def test_what_jobs_used_comes_home(place: Place) -> None:
    place.items(one="sleep 2", two="exit 1")
    done = place.submit("measured", "--slots=1", "--monitoring_interval_seconds=0.1")
    assert done.returncode == 1, done.stderr
    [series] = (place.folder / "local-logs/measured").glob("act/*/resource_usage.csv")
    assert len(series.read_text().splitlines()) > 3
    outcomes = series.parent.glob("outcomes/*.json")
    facts = [json.loads(path.read_text())["facts"]["resources"] for path in outcomes]
    assert len(facts) == 2 and all(each["memory_mb"]["peak"] > 1 for each in facts)
    assert place.run("report", "measured").returncode == 0
    report = place.folder / "local-reports/measured"
    assert series.parent.name in (report / "aggregate_resource_usage.csv").read_text()
    refused = place.submit("too-slow", "--monitoring_interval_seconds=-1")
    assert refused.returncode == 2 and "monitoring_interval_seconds" in refused.stderr
