"""Ninety directions of real text: within the thresholds, and with sacrebleu's own scores."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sacrebleu

from tests.acceptance.batches import LANGUAGES, BatchSeen, Workplace, assert_whole
from tests.support import REPOSITORY

pytestmark = [pytest.mark.needs_data, pytest.mark.timeout(600)]

STOP, RESUME = 8, 4
SACREBLEU = Path(sys.executable).with_name("sacrebleu")
DIGITS = 10


@pytest.fixture(scope="module")
def batch(tmp_path_factory: pytest.TempPathFactory) -> BatchSeen:
    folder = tmp_path_factory.mktemp("ninety") / "work"
    place = Workplace.made(folder, LANGUAGES, 50, pack=3, score_pack=8)
    tuning = ("--stop_threshold", STOP, "--resume_threshold", RESUME, "--slots", 4)
    done = place.run("submit", *place.submit_flags("ninety", *tuning))
    assert done.returncode == 0, done.stderr
    assert "ninety  90 items  =  90 succeeded" in done.stdout
    return place.batch("ninety")


def test_each_item_ended_once_and_each_model_call_was_made_once(batch: BatchSeen) -> None:
    assert_whole(batch)
    assert len(batch.items) == 90
    assert batch.place.witnessed() == dict.fromkeys(batch.directions().values(), 1)


@dataclass(frozen=True)
class Moment:
    """After one event of the ledger."""

    action: str
    why: str
    in_flight: int
    started: int  # items that this event put in flight


def moments(batch: BatchSeen) -> Iterator[Moment]:
    """The ledger's events replayed: which items are in flight after each."""
    attempts = batch.rows("SELECT id, item, dispatch FROM attempts ORDER BY id")
    last = {row["item"]: row["id"] for row in attempts}
    flying: set[int] = set()
    for event in batch.rows("SELECT * FROM events ORDER BY id"):
        before = len(flying)
        if event["action"] == "claimed":
            flying |= {a["item"] for a in attempts if a["dispatch"] == event["dispatch"]}
        flying -= {item for item, attempt in last.items() if attempt == event["attempt"]}
        started = max(0, len(flying) - before)
        yield Moment(event["action"], event["why"], len(flying), started)
    assert not flying


def test_never_more_in_flight_than_the_stop_threshold(batch: BatchSeen) -> None:
    seen = list(moments(batch))
    assert max(moment.in_flight for moment in seen) == STOP
    assert sum(moment.started for moment in seen) == 90


def test_pauses_and_goes_on_at_the_thresholds(batch: BatchSeen) -> None:
    paused = pauses = 0
    for moment in moments(batch):
        if moment.action == "paused":
            assert not paused and moment.in_flight == STOP, moment
            assert moment.why == f"{STOP} items in flight reached the stop threshold {STOP}"
            paused, pauses = 1, pauses + 1
        elif moment.action == "resumed":
            assert paused and moment.in_flight <= RESUME, moment
            assert f"down to {RESUME}" in moment.why
            paused = 0
        assert not (paused and moment.started), "an item was started during a pause"
    assert pauses > 5 and not paused


# Scores.


@dataclass(frozen=True)
class Scored:
    """One item: its texts, and the scores that the batch found."""

    item: str
    hypotheses: list[str]
    reference: Path
    scores: dict[str, float]


def scored(batch: BatchSeen) -> list[Scored]:
    return [_scored(batch, item, direction) for item, direction in batch.directions().items()]


def _scored(batch: BatchSeen, item: str, direction: str) -> Scored:
    folder = batch.output / "items" / item
    lines = (folder / "translations.jsonl").read_text("utf-8").split("\n")[:-1]
    records: list[dict[str, Any]] = [json.loads(line) for line in lines]
    assert [record["line"] for record in records] == list(range(1, 51))
    metrics = json.loads((folder / "scores.json").read_bytes())["metrics"]
    return Scored(
        item,
        [record["translation"] for record in records],
        batch.place.texts / f"{direction.split()[1]}.txt",
        {name: metric["score"] for name, metric in metrics.items()},
    )


def test_scores_are_sacrebleus_to_the_last_bit(batch: BatchSeen) -> None:
    found = scored(batch)
    for one in found:
        references = [one.reference.read_text("utf-8").split("\n")[:-1]]
        assert one.scores == {
            "bleu": sacrebleu.corpus_bleu(one.hypotheses, references).score,
            "chrf": sacrebleu.corpus_chrf(one.hypotheses, references).score,
            "chrf++": sacrebleu.corpus_chrf(one.hypotheses, references, word_order=2).score,
        }, one.item
    assert len({one.scores["chrf"] for one in found}) == 90


def test_scores_are_what_sacrebleus_command_prints(batch: BatchSeen, tmp_path: Path) -> None:
    chosen = scored(batch)[::7]
    assert len(chosen) >= 12
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        printed = pool.map(lambda one: printed_scores(one, tmp_path / one.item), chosen)
        for one, theirs in zip(chosen, printed, strict=True):
            ours = {name: f"{score:.{DIGITS}f}" for name, score in one.scores.items()}
            assert ours == {name: f"{score:.{DIGITS}f}" for name, score in theirs.items()}, one.item


def printed_scores(one: Scored, hypotheses: Path) -> dict[str, float]:
    hypotheses.write_text("".join(f"{line}\n" for line in one.hypotheses), "utf-8")
    both = _printed(one.reference, hypotheses, "-m", "bleu", "chrf")
    plusplus = _printed(one.reference, hypotheses, "-m", "chrf", "--chrf-word-order", "2")
    return dict(zip(("bleu", "chrf", "chrf++"), (*both, *plusplus), strict=True))


def _printed(reference: Path, hypotheses: Path, *arguments: str) -> list[float]:
    argv = [SACREBLEU, reference, "-i", hypotheses, "-w", str(DIGITS), *arguments]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    return [document["score"] for document in (found if isinstance(found, list) else [found])]


def test_scored_again_from_what_is_stored_without_a_cluster(
    batch: BatchSeen, tmp_path: Path
) -> None:
    attempts, calls = batch.rows("SELECT * FROM attempts"), batch.place.witnessed()
    assert batch.place.run("report", "ninety").returncode == 0
    flags = ("--predictions", batch.output, "--references", batch.place.texts, "--processes", 1)
    done = subprocess.run(
        [sys.executable, "-m", "coordinator", "score", *map(str, flags)],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    reports = batch.place.folder / "local-reports/ninety"
    tables = [
        "scores.csv",
        "averages.csv",
        *(f"matrix-{m}.csv" for m in ("bleu", "chrf", "chrf++")),
    ]
    for name in tables:
        assert (tmp_path / "scores/summary" / name).read_bytes() == (reports / name).read_bytes()
    for item in batch.directions():
        again = (tmp_path / "scores/items" / item / "statistics.json").read_bytes()
        assert again == (batch.output / "items" / item / "statistics.json").read_bytes()
    assert batch.rows("SELECT * FROM attempts") == attempts
    assert batch.place.witnessed() == calls
