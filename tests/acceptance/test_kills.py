"""Killed at any moment and started again: nothing is lost, and nothing runs twice."""

import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
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
from tests.support import REPOSITORY

pytestmark = [pytest.mark.needs_data, pytest.mark.timeout(600)]

SEED = os.environ.get("COORDINATOR_TEST_SEED", "20")
SOAK_KILLS, SOAK_SECONDS = 200, 40 * 60
SOAK_FOLDER = REPOSITORY / ".soak"


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
@pytest.mark.timeout(2 * SOAK_SECONDS)
def test_two_hundred_kills_of_the_coordinator(
    place: Workplace, calm: dict[str, bytes], say: Callable[[str], None]
) -> None:
    """Goes on, batch by batch, where an earlier run was interrupted: `.soak/state.json`."""
    soak, deadline = Soak.begun(SOAK_FOLDER), time.monotonic() + SOAK_SECONDS
    say(f"\nseed {soak.seed}, {soak.figures.kills} of {SOAK_KILLS} kills done earlier")
    for name in soak.batches():
        assert time.monotonic() < deadline, f"too slow: only {soak.figures}"
        kills = min(10, SOAK_KILLS - soak.figures.kills)
        batch = killed_batch(
            place, name, f"{soak.seed} {name}", kills, soak.figures, every_tenth(say)
        )
        assert batch.scores() == calm, f"seed {soak.seed}, batch {name}"
        soak.save()
    say(f"seed {soak.seed}: {soak.figures}")
    soak.file.unlink()


@dataclass
class Soak:
    """How far a soak is: its state file is written after each batch."""

    file: Path
    seed: str
    figures: Figures

    @classmethod
    def begun(cls, folder: Path) -> "Soak":
        file = folder / "state.json"
        if not file.exists():
            seed = os.environ.get("COORDINATOR_TEST_SEED", str(time.time_ns()))
            return cls(file, seed, Figures())
        state = json.loads(file.read_text())
        return cls(file, state["seed"], Figures.of(state["figures"]))

    def batches(self) -> Iterator[str]:
        while self.figures.kills < SOAK_KILLS:
            yield f"soak-{self.figures.batches}"

    def save(self) -> None:
        self.file.parent.mkdir(exist_ok=True)
        aside = self.file.with_suffix(".part")
        aside.write_text(json.dumps({"seed": self.seed, "figures": vars(self.figures)}))
        aside.replace(self.file)


def test_a_soak_goes_on_where_it_was(tmp_path: Path) -> None:
    figures = Figures(batches=1, kills=7, progress=[0.5], hit=Counter({"with jobs out": 7}))
    begun = Soak(tmp_path / "state.json", "seed", figures)
    begun.save()
    assert Soak.begun(tmp_path) == begun


def every_tenth(say: Callable[[str], None]) -> Callable[[str], None]:
    """Passes on what is said of every tenth kill."""
    return lambda line: say(line) if line.split()[1].endswith("0") else None


# Kills of workers.


def test_a_killed_worker_costs_only_what_it_had_in_hand(tmp_path: Path) -> None:
    place = Workplace.made(tmp_path / "work", LANGUAGES[:4], 10, pack=3, score_pack=4, seconds=0.5)
    batch = place.batch("workers")
    process = place.start("submit", *place.submit_flags(batch.name, "--slots", 4))
    with running(process):
        wait_until(lambda: len(at_work(batch)) >= 3)
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
    """Of each killed pack one item at most; and a model call for each attempt that was begun."""
    counts = batch.rows(
        "SELECT dispatch, sum(state = 'failed') AS charged, sum(state = 'returned') AS back,"
        " sum(kind = 'out_of_memory') AS killed FROM attempts GROUP BY 1"
    )
    hurt = [row for row in counts if row["charged"]]
    assert 1 <= len(hurt) <= killed
    assert all(row["charged"] == 1 == row["killed"] for row in hurt)
    assert sum(row["back"] for row in counts) >= 1
    begun = batch.count("attempts WHERE step = 0 AND state <> 'returned'")
    assert 0 <= begun - batch.place.witnessed().total() <= killed
    succeeded = batch.count("attempts WHERE step = 0 AND state = 'succeeded'")
    assert begun == succeeded + len(hurt)
    assert succeeded == batch.count("items WHERE state = 'succeeded'") == 12 < DIRECTIONS
