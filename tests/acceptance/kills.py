"""Kills of a running coordinator at random moments, each followed by a resume."""

import random
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from tests.acceptance.batches import BatchSeen, Workplace, assert_whole, ended, running

LANGUAGES = ("deu", "ell", "fra", "jpn", "rus", "spa")
DIRECTIONS = len(LANGUAGES) * (len(LANGUAGES) - 1)
START_UP, LONGEST = 1.0, 2.0  # seconds: what a start takes, and what a coordinator is left alone
TUNING = ("--stop_threshold", 8, "--resume_threshold", 4, "--slots", 4)


def workplace(folder: Path) -> Workplace:
    """Small packs and a slow model: a run has many moments."""
    return Workplace.made(folder, LANGUAGES, 10, pack=2, score_pack=4, seconds=0.1)


def calm_scores(place: Workplace) -> dict[str, bytes]:
    """The scores of a batch that nobody disturbs, in other packs."""
    before = place.witnessed()
    place.set_model()
    large = place.pipeline.read_text().replace("size: 2", "size: 10").replace("size: 4", "size: 15")
    (place.folder / "large.yml").write_text(large)
    flags = place.submit_flags("calm", "--slots", 2)
    flags[flags.index("pipeline.yml")] = "large.yml"
    done = place.run("submit", *flags)
    assert done.returncode == 0, done.stderr
    place.set_model(seconds=0.1)
    batch = place.batch("calm")
    assert_undamaged(batch, place.witnessed() - before)
    return batch.scores()


@dataclass
class Figures:
    """What the kills did."""

    batches: int = 0
    kills: int = 0
    progress: list[float] = field(default_factory=list)  # of the batch at each kill
    hit: Counter[str] = field(default_factory=Counter)  # where the batch stood -> kills
    dispatches: int = 0
    model_calls: int = 0
    sent_again: int = 0
    adopted: int = 0

    @classmethod
    def of(cls, document: dict[str, Any]) -> "Figures":
        return cls(**document | {"hit": Counter(document["hit"])})

    def __str__(self) -> str:
        hit = ", ".join(f"{n} {where}" for where, n in self.hit.most_common())
        return (
            f"{self.kills} kills in {self.batches} batches ({hit}); {self.dispatches} dispatches,"
            f" {self.model_calls} model calls; resumes adopted {self.adopted} jobs that were out"
            f" and sent {self.sent_again} again that were claimed only"
        )


def killed_batch(
    place: Workplace, name: str, seed: str, kills: int, figures: Figures, say: Callable[[str], None]
) -> BatchSeen:
    """Run one batch to its end through at most so many kills; what it left has been checked."""
    batch, rng, before = place.batch(name), random.Random(seed), place.witnessed()
    wanted = [Moment("trace"), *(moment(rng) for _ in range(kills - 1))]
    if all(killed_once(batch, when, figures, say) for when in wanted):
        done = ended(start(batch))
        assert done.returncode == 0, done.stderr
    assert_undamaged(batch, place.witnessed() - before)
    _count(batch, figures)
    return batch


@dataclass(frozen=True)
class Moment:
    """When a coordinator is killed: at some sight, and so many seconds later.

    Attributes:
        after: what is waited for: its own start, or that it is done with what it found and drives
            on, or that a dispatch is claimed and not confirmed, or that it leaves its first trace.
            The last two take milliseconds only, and would seldom be met by chance.
    """

    after: Literal["start", "recovery", "claim", "trace"]
    seconds: float = 0.0

    def __str__(self) -> str:
        return f"{self.seconds:.2f} s after its {self.after}"


def moment(rng: random.Random) -> Moment:
    """50 ms after the start, during the start-up, in the middle of a dispatch, or anywhere."""
    start_up = Moment("start", rng.uniform(0.05, START_UP))
    anywhere = [Moment("recovery", rng.uniform(0, LONGEST)) for _ in "1234"]
    return rng.choice([Moment("start", 0.05), start_up, Moment("claim"), *anywhere])


def start(batch: BatchSeen) -> "subprocess.Popen[str]":
    """What a user does after a crash: go on with the batch, or begin it if it never was."""
    if batch.exists:
        return batch.place.start("submit", "--batch_name", batch.name, "--resume")
    return batch.place.start("submit", *batch.place.submit_flags(batch.name, *TUNING))


def killed_once(
    batch: BatchSeen, when: Moment, figures: Figures, say: Callable[[str], None]
) -> bool:
    """Start the coordinator, and kill it and nothing else; False if it ended before."""
    process = start(batch)
    with running(process):
        if _ends_before(process, when, batch):
            _, err = process.communicate()
            assert process.returncode == 0, err
            return False
    figures.kills += 1
    figures.hit[standing(batch)] += 1
    figures.progress.append(progress(batch))
    say(f"kill {figures.kills} {when}: {batch.name} {standing(batch)}, {progress(batch):.0%} done")
    return True


def _ends_before(process: "subprocess.Popen[str]", when: Moment, batch: BatchSeen) -> bool:
    """Wait for the moment; whether the process ends first."""
    sights = {"start": lambda: True, "claim": lambda: _claims(batch)}
    sights |= {"recovery": _one_more_start(batch), "trace": lambda: batch.state.exists()}
    while process.poll() is None and not sights[when.after]():
        time.sleep(0.0005)
    with suppress(subprocess.TimeoutExpired):
        process.wait(when.seconds)
    return process.poll() is not None


def _one_more_start(batch: BatchSeen) -> Callable[[], bool]:
    starts = "events WHERE action = 'started'"
    before = batch.count(starts) if batch.exists else 0
    return lambda: batch.exists and batch.count(starts) > before


def _claims(batch: BatchSeen) -> bool:
    return batch.exists and batch.count("dispatches WHERE state = 'claimed'") > 0


def progress(batch: BatchSeen) -> float:
    """How much of the batch is done: attempts that succeeded."""
    if not batch.exists:
        return 0.0
    return batch.count("attempts WHERE state = 'succeeded'") / (2 * DIRECTIONS)


def standing(batch: BatchSeen) -> str:
    """Where the batch stands, in words."""
    if not batch.exists:
        return "before it was written down"
    states = Counter(row["state"] for row in batch.rows("SELECT state FROM dispatches"))
    if states["claimed"]:
        return "with a dispatch claimed"
    if states["submitted"] or states["running"]:
        return "with jobs out"
    return "with nothing out"


def assert_undamaged(batch: BatchSeen, calls: Counter[str]) -> None:
    """Each item ended once in success, and each model call was made once and no more."""
    assert_whole(batch)
    assert len(batch.items) == DIRECTIONS
    assert calls == dict.fromkeys(batch.directions().values(), 1)
    begun = batch.count("attempts WHERE step = 0 AND state <> 'returned'")
    assert begun == calls.total()


def _count(batch: BatchSeen, figures: Figures) -> None:
    figures.batches += 1
    figures.dispatches += batch.count("dispatches")
    figures.model_calls += DIRECTIONS
    for row in batch.rows("SELECT why FROM events WHERE action = 'started'"):
        adopted, again = (int(part.split()[0]) for part in row["why"].split(","))
        figures.adopted, figures.sent_again = figures.adopted + adopted, figures.sent_again + again
