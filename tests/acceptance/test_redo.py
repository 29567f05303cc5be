"""Ninety directions scored again with other metrics, killed amid that, and translated again."""

import io
import json
from collections import Counter
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from coordinator.cli import main
from coordinator.ledger import driver_lock
from tests.acceptance.batches import (
    LANGUAGES,
    PIPELINE,
    BatchSeen,
    Workplace,
    assert_one_job_a_token,
    kill,
    running,
    wait_until,
)

pytestmark = [pytest.mark.needs_data, pytest.mark.timeout(600)]

FIRST = 'bleu, chrf, "chrf++"'
OTHER = "{name: bleu, tokenize: intl, lowercase: true}, {name: chrf, whitespace: true}"
ITEMS = 90


@dataclass(frozen=True)
class Stage:
    """How the batch stands between two commands."""

    calls: int  # of the model, by all batches
    dispatches: Counter[int]  # by step
    scores: dict[str, bytes]
    report: dict[str, Any]
    results: dict[str, Any]


def stage(batch: BatchSeen) -> Stage:
    steps = batch.rows("SELECT step, count(*) AS n FROM dispatches GROUP BY step")
    return Stage(
        calls=batch.place.witnessed().total(),
        dispatches=Counter({row["step"]: row["n"] for row in steps}),
        scores=batch.scores(),
        report=json_of(batch.place, "report", batch.name)["report"],
        results=json_of(batch.place, "status", batch.name)["status"],
    )


def json_of(place: Workplace, *arguments: object) -> dict[str, Any]:
    _, out, _ = quick(place, *arguments, "--json")
    document: dict[str, Any] = json.loads(out)
    return document


def quick(place: Workplace, *arguments: object) -> tuple[int, str, str]:
    """Exit code and what is printed by a verb that runs nothing: a process takes a second."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.chdir(place.folder)
        patch.setenv("COORDINATOR_STATE_DIR", str(place.folder / "state"))
        code = main([str(argument) for argument in arguments])
    return code, out.getvalue(), err.getvalue()


def run(place: Workplace, *arguments: object) -> str:
    done = place.run(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def batch(tmp_path_factory: pytest.TempPathFactory) -> BatchSeen:
    folder = tmp_path_factory.mktemp("redo") / "work"
    place = Workplace.made(folder, LANGUAGES, 5, pack=45, score_pack=30)
    run(place, "submit", *place.submit_flags("first", "--slots", 1))
    return place.batch("first")


@pytest.fixture(scope="module")
def finished(batch: BatchSeen) -> Stage:
    return stage(batch)


@pytest.fixture(scope="module")
def rescored(batch: BatchSeen, finished: Stage) -> Stage:
    said = run(batch.place, "rescore", "first", "--metrics", f"[{OTHER}]")
    assert "90 items of first: score will be done again" in said
    return stage(batch)


@pytest.fixture(scope="module")
def killed(batch: BatchSeen, rescored: Stage) -> Stage:
    """Back to the metrics of before; the coordinator is killed when some of it is done."""
    place, before = batch.place, batch.count("dispatches WHERE state = 'ended'")
    with running(place.start("rescore", "first", "--metrics", "bleu,chrf,chrf++")) as process:
        done = "dispatches WHERE state = 'ended'"
        wait_until(lambda: batch.count(done) > before or process.poll() is not None)
        kill(process.pid)
    assert not (batch.output / "summary" / "scores.csv").exists(), "it is of other metrics"
    return stage(batch)


@pytest.fixture(scope="module")
def resumed(batch: BatchSeen, killed: Stage) -> Stage:
    run(batch.place, "submit", "--batch_name", "first", "--resume")
    return stage(batch)


@pytest.fixture(scope="module")
def rerun(batch: BatchSeen, resumed: Stage) -> Stage:
    run(batch.place, "rerun", "first", "--from", "inference")
    return stage(batch)


def assert_all_succeeded(now: Stage) -> None:
    counts = now.report["counts"]
    assert (counts["run_list"], counts["succeeded"]) == (ITEMS, ITEMS)
    assert now.results["counts"]["succeeded"] == now.results["total"] == ITEMS
    averages = now.report["averages"].values()
    assert all((a["present"], a["expected"]) == (ITEMS, ITEMS) for a in averages)


def test_rescoring_starts_no_inference(finished: Stage, rescored: Stage) -> None:
    assert_all_succeeded(rescored)
    assert rescored.calls == finished.calls == ITEMS
    assert rescored.dispatches[0] == finished.dispatches[0]
    assert rescored.dispatches[1] > finished.dispatches[1]
    assert set(rescored.report["averages"]) == {"bleu-intl-lc", "chrf-space"}


def test_scoring_packs_go_by_target_language(batch: BatchSeen, rescored: Stage) -> None:
    """All was ready at once: each pack has whole languages, but for its first and its last."""
    target = {item: direction.split()[1] for item, direction in batch.directions().items()}
    attempts = batch.rows(
        "SELECT a.dispatch, i.id FROM attempts a JOIN items i ON i.seq = a.item"
        " WHERE a.step = 1 AND a.number = 2 ORDER BY a.dispatch"
    )
    packs = {row["dispatch"] for row in attempts}
    prepared = {(row["dispatch"], target[row["id"]]) for row in attempts}
    assert len(attempts) == ITEMS and len(packs) > 1
    assert len(prepared) <= len(LANGUAGES) + len(packs) - 1


def test_rescored_is_as_if_scored_so_from_the_start(batch: BatchSeen, rescored: Stage) -> None:
    place = batch.place
    text = PIPELINE.format(pack=45, score_pack=30)
    assert FIRST in text
    (place.folder / "other.yml").write_text(text.replace(FIRST, OTHER))
    flags = place.submit_flags("fresh", "--slots", 1)
    flags[flags.index("--pipeline") + 1] = "other.yml"
    run(place, "submit", *flags)
    fresh = stage(place.batch("fresh"))
    assert rescored.scores == fresh.scores
    assert rescored.report["averages"] == fresh.report["averages"]


def test_a_rescoring_that_is_killed_is_no_result_yet(finished: Stage, killed: Stage) -> None:
    counts, averages = killed.report["counts"], killed.report["averages"]
    assert 0 < counts["succeeded"] < ITEMS
    assert counts["still_running"] == ITEMS - counts["succeeded"]
    assert set(averages) == {"bleu", "chrf", "chrf++"}, "the scores of before count no more"
    assert all(average["value"] is None for average in averages.values())
    assert not killed.results["finished"]


def test_it_is_resumed_to_the_very_scores(
    batch: BatchSeen, finished: Stage, resumed: Stage
) -> None:
    assert_all_succeeded(resumed)
    assert resumed.scores == finished.scores
    assert resumed.report["averages"] == finished.report["averages"]
    assert resumed.dispatches[0] == finished.dispatches[0]


def test_rerun_calls_the_model_for_each_direction_again(
    batch: BatchSeen, resumed: Stage, rerun: Stage
) -> None:
    assert_all_succeeded(rerun)
    assert rerun.calls == resumed.calls + ITEMS
    assert rerun.scores == resumed.scores  # the model gives the same again
    attempts = batch.rows("SELECT step, max(number) AS n FROM attempts GROUP BY step")
    assert {row["step"]: row["n"] for row in attempts} == {0: 2, 1: 4}
    assert_one_job_a_token(batch)


def test_the_history_of_an_item_stays(batch: BatchSeen, rerun: Stage) -> None:
    item = batch.items[0]
    history = json_of(batch.place, "status", "first", item)["attempts"]
    succeeded = [(a["step"], a["attempt"]) for a in history if a["state"] == "succeeded"]
    assert succeeded[0] == ("translate", 1) and succeeded[-1] == ("score", 4)
    for number in (1, 2, 3, 4):
        assert (batch.output / "items" / item / "score" / f"a{number}" / "scores.json").exists()


def test_nothing_is_left_to_resubmit_and_all_jobs_can_go(batch: BatchSeen, rerun: Stage) -> None:
    assert json_of(batch.place, "resubmit", "first", "--dry-run")["items"] == []
    purged = json_of(batch.place, "purge", "first", "--dry-run")
    assert len(purged["jobs"]) == rerun.dispatches.total() and purged["running"] == 0


def test_some_items_of_a_list(batch: BatchSeen, rerun: Stage, tmp_path: Path) -> None:
    some = batch.items[3:6]
    (tmp_path / "some.txt").write_text("".join(f"{item}\n" for item in some))
    list_ = ("--items", tmp_path / "some.txt")
    plan = json_of(batch.place, "rescore", "first", batch.items[7], *list_, "--dry-run")
    assert plan["items"] == [*some, batch.items[7]] and plan["steps"] == ["score"]
    assert plan["left"] == {"failed": 0, "no_data": 0, "unfinished": 0}


def test_what_cannot_be_done_again_is_said(batch: BatchSeen, rerun: Stage, tmp_path: Path) -> None:
    place, before = batch.place, batch.count("events")
    (tmp_path / "absent.txt").write_text("absent\n")
    refused = {
        ("rescore", "first", "--step", "translate"): "no scoring steps called translate",
        ("rescore", "first", "--metrics", "blue"): "unknown metric 'blue'",
        ("rescore", "first", "--items", tmp_path / "absent.txt"): "is not in the batch",
        ("rescore", "first", "--metrics", "ter", batch.items[0]): "some items",
        ("rerun", "first", "--from", "translat"): "did you mean translate",
        ("rerun", "frist", "--from", "score"): "did you mean first",
    }
    for command, words in refused.items():
        code, _, said = quick(place, *command)
        assert (code, words in said) == (2, True), (command, said)
    with driver_lock(batch.state, "first"):
        busy = place.run("rescore", "first")
    assert busy.returncode == 2 and "being driven already" in busy.stderr
    assert batch.count("events") == before, "nothing was changed"
