"""Two batches that were run, side by side."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.batches import Workplace, environment
from tests.support import REPOSITORY

# How the command line shows a batch's status, items and summary.
VIEWS = ((["status"], ["--json"]), (["report"], ["--format", "json"]), (["report"], ["--json"]))

pytestmark = [pytest.mark.needs_data, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """Two batches of six items; in the second, one fails, and one is scored otherwise."""
    folder = tmp_path_factory.mktemp("compared") / "work"
    made = Workplace.made(folder, ["deu", "fra", "rus"], 8, pack=2)
    assert made.run("submit", *made.submit_flags("one")).returncode == 0
    made.set_model(faults=["deu fra"])
    made.run("submit", *made.submit_flags("two"))
    made.set_model()
    return made


def compared(place: Workplace, *flags: object) -> dict[str, Any]:
    done = place.run("compare", "one", "two", "--json", *flags)
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)["comparison"]
    return found


def test_scores_tests_changes_and_speed_of_two_batches(place: Workplace) -> None:
    found = compared(place)
    tests = found["significance"]["tests"]
    assert {test["item"] for test in tests} == set(found["common"])
    assert {test["verdict"] for test in tests} == {"unclear"}, "the model is the same"
    assert all(entry["a"] == entry["b"] for entry in found["signatures"])
    for side in ("pace_a", "pace_b"):
        pace = found[side]
        assert pace["wall_s"] > 0 and pace["items_per_s"] > 0
        assert [step["step"] for step in pace["steps"]] == ["translate", "score"]
        assert 0 <= pace["load_share"] <= 1
        assert pace["slot_s"] == sum(step["slot_s"] for step in pace["steps"])


def test_an_item_with_other_settings_is_told_and_in_no_number_of_that_metric(
    place: Workplace,
) -> None:
    """As an older sacrebleu would have left it: its version is part of the signature."""
    item = compared(place, "--significance", "none")["common"][0]
    path = place.batch("two").output / "items" / item / "scores.json"
    kept, document = path.read_bytes(), json.loads(path.read_bytes())
    document["metrics"]["bleu"]["signature"] = "nrefs:1|version:1.5.1"
    path.write_text(json.dumps(document))
    try:
        found = compared(place)
        shown = place.run("compare", "one", "two").stdout
    finally:
        path.write_bytes(kept)
    whole = len(found["common"])
    counts = {r["metric"]: r["better"] + r["worse"] + r["equal"] for r in found["rows"]}
    assert counts == {"bleu": whole - 1, **{m: whole for m in counts if m != "bleu"}}
    bleu = next(entry for entry in found["signatures"] if entry["metric"] == "bleu")
    assert (bleu["unlike"], len(bleu["a"]), len(bleu["b"])) == ([item], 1, 2)
    tested = {(t["item"], t["metric"]) for t in found["significance"]["tests"]}
    assert (item, "bleu") not in tested and (item, "chrf") in tested
    assert "! bleu: 1 item scored with different settings, left out of its numbers" in shown
    assert shown.count("version:1.5.1") == 1, "each signature is named once"


def test_a_batch_opened_from_python_has_the_same_records(place: Workplace) -> None:
    code = (
        "import json; from coordinator import open_batch; two = open_batch('two');"
        "print(json.dumps([two.status(), list(two.items()), two.summary()['counts']]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=place.folder,
        env=environment(place.folder),
        capture_output=True,
        text=True,
        check=True,
    )
    shown = [place.run(*verb, "two", *flags).stdout for verb, flags in VIEWS]
    status, items, report = map(json.loads, shown)
    counts = report["report"]["counts"]
    assert json.loads(done.stdout) == [status["status"], items["items"], counts]
    assert counts["failed"] == 1


def test_where_outputs_are_gone_the_logs_tell_the_rest(place: Workplace) -> None:
    outputs = place.batch("two").output / "items"
    outputs.rename(outputs.with_name("away"))
    try:
        found = compared(place)
    finally:
        outputs.with_name("away").rename(outputs)
    assert found["significance"]["tests"] == []
    assert len(found["significance"]["untested"]) == len(found["common"])
    assert [len(entry["a"]) for entry in found["signatures"]] == [1] * len(found["rows"])


def test_an_item_that_failed_in_one_of_them_is_a_change(place: Workplace) -> None:
    (change,) = compared(place, "--significance", "none")["changes"]
    told = (change["before"], change["after"], change["after_kind"])
    assert told == ("succeeded", "failed", "model_error")
    assert change["items"] == compared(place)["only_a"] == ["text-dev-deu-fra"]


def test_a_page_is_whole_and_the_script_writes_the_same(place: Workplace) -> None:
    flags = ("one", "two", "--format", "html", "--resamples", "50")
    page = place.run("compare", *flags).stdout
    assert page.startswith("<!doctype html>") and page.rstrip().endswith("</html>")
    assert "data:image/svg+xml;base64," in page
    script = [sys.executable, str(REPOSITORY / "tools/compare_batches.py"), *flags]
    own = environment(place.folder)
    done = subprocess.run(
        script, cwd=place.folder, env=own, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, page), done.stderr


def test_only_the_whole_batchs_scores_are_put_beside_its_outputs(
    place: Workplace, tmp_path: Path
) -> None:
    """Those of some of its items, or of other logs, would stand there as the batch's own."""

    def published(*more: object) -> str:
        flags = ["--no-page", "--json", "--report_dir", tmp_path / "report", *more]
        done = place.run("report", "one", *flags)
        assert done.returncode == 0, done.stderr
        return str(json.loads(done.stdout)["report"]["published"])

    whole = published()
    assert whole.endswith("one/summary/scores.csv")
    there = Path(whole.removeprefix("file://"))
    before = there.stat().st_mtime_ns
    shutil.copytree(place.folder / "local-logs", tmp_path / "copy")
    (tmp_path / "items.txt").write_text("an-item\n")
    assert published("--log_dir", tmp_path / "copy") == ""
    assert published("--run_list", tmp_path / "items.txt") == ""
    assert (place.folder / there).stat().st_mtime_ns == before
    assert published("--log_dir", "local-logs") == whole
