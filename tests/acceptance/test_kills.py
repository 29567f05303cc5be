"""Killed at any moment and started again: nothing is lost, and nothing runs twice."""

import os
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance.batches import (
    BatchSeen,
    Workplace,
    assert_one_job_a_token,
    assert_outcomes,
    ended,
    kill,
    running,
    wait_until,
)
from tests.acceptance.kills import (
    DIRECTIONS,
    LANGUAGES,
    Figures,
    calm_scores,
    killed_batch,
    workplace,
)
from tests.acceptance.soaks import SECONDS, Soak, every_tenth
from tests.acceptance.strikes import Strikes

pytestmark = [pytest.mark.needs_data, pytest.mark.timeout(600)]

SEED = os.environ.get("COORDINATOR_TEST_SEED", "20")
SOAK_KILLS = 200


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    return workplace(tmp_path_factory.mktemp("kills") / "work")


@pytest.fixture(scope="module")
def calm(place: Workplace) -> dict[str, bytes]:
    return calm_scores(place)


def test_twenty_kills_of_the_coordinator(
    place: Workplace, calm: dict[str, bytes], say: Callable[[str], None]
) -> None:
    figures = Figures()
    while figures.kills < 20:
        name = f"killed-{figures.batches}"
        kills = min(10, 20 - figures.kills)
        batch = killed_batch(place, name, f"{SEED} {name}", kills, figures, print)
        assert batch.scores() == calm
    assert min(figures.progress) == 0.0 and max(figures.progress) > 0.5
    say(f"\nseed {SEED}: {figures}")


@pytest.mark.soak
@pytest.mark.timeout(2 * SECONDS)
def test_two_hundred_kills_of_the_coordinator(
    place: Workplace, calm: dict[str, bytes], say: Callable[[str], None]
) -> None:
    """Goes on, batch by batch, where an earlier run was interrupted."""
    soak, deadline = Soak.begun("local"), time.monotonic() + SECONDS
    say(f"\nseed {soak.seed}, {soak.figures.kills} of {SOAK_KILLS} kills done earlier")
    while soak.figures.kills < SOAK_KILLS:
        assert time.monotonic() < deadline, f"too slow: only {soak.figures}"
        name = f"soak-{soak.figures.batches}"
        kills = min(10, SOAK_KILLS - soak.figures.kills)
        batch = killed_batch(
            place, name, f"{soak.seed} {name}", kills, soak.figures, every_tenth(say)
        )
        assert batch.scores() == calm, f"seed {soak.seed}, batch {name}"
        soak.save()
    say(f"seed {soak.seed}: {soak.figures}")
    soak.done()


def test_a_soak_goes_on_where_it_was(tmp_path: Path) -> None:
    figures = Figures(batches=1, kills=7, progress=[0.5], hit=Counter({"with jobs out": 7}))
    begun = Soak(tmp_path / "a.json", "seed", figures, Strikes({"node lost": [1.5]}, 30, 2))
    begun.save()
    assert Soak.begun("a", tmp_path) == begun
    begun.done()
    assert Soak.begun("a", tmp_path).figures == Figures()


# Kills of workers.


def test_a_killed_worker_costs_only_what_it_had_in_hand(tmp_path: Path) -> None:
    place = Workplace.made(tmp_path / "work", LANGUAGES[:4], 10, pack=3, score_pack=4, seconds=0.5)
    batch = place.batch("workers")
    process = place.start("submit", *place.submit_flags(batch.name, "--slots", 2))
    with running(process):
        wait_until(lambda: len(at_work(batch)) >= 2)
        killed = at_work(batch)
        for pid in killed:
            kill(pid)
        place.set_model()
        done = ended(process)
    assert done.returncode == 0, done.stderr
    assert_outcomes(batch)
    assert_one_job_a_token(batch)
    assert_charged_little(batch, len(killed))


def at_work(batch: BatchSeen) -> set[int]:
    """The workers that have an item in hand."""
    if not batch.place.witness.exists():
        return set()
    seen = {int(line.split()[2]) for line in batch.place.witness.read_text().splitlines()}
    return seen & set(batch.workers())


def assert_charged_little(batch: BatchSeen, killed: int) -> None:
    """Of each killed pack the item that the model had, and one that it was to have next."""
    counts = batch.rows(
        "SELECT dispatch, sum(state = 'failed') AS charged, sum(state = 'returned') AS back,"
        " sum(kind = 'out_of_memory') AS killed FROM attempts GROUP BY 1"
    )
    hurt = [row for row in counts if row["charged"]]
    charged = sum(row["charged"] for row in hurt)
    assert 1 <= len(hurt) <= killed
    assert all(row["charged"] == row["killed"] <= 2 for row in hurt)
    assert sum(row["back"] for row in counts) >= 1
    begun = batch.count("attempts WHERE step = 0 AND state <> 'returned'")
    assert 0 <= begun - batch.place.witnessed().total() <= charged
    succeeded = batch.count("attempts WHERE step = 0 AND state = 'succeeded'")
    assert begun == succeeded + charged
    assert succeeded == batch.count("items WHERE state = 'succeeded'") == 12 < DIRECTIONS
