"""Faults and kills in turn on a Nomad of three servers: nothing is lost, nothing is doubled."""

import os
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from agents import three_servers

from tests.acceptance.batches import Workplace
from tests.acceptance.kills import Figures, calm_scores, killed_batch, workplace
from tests.acceptance.on_nomad import Nomad, NomadBatch, NomadWorkplace, assert_whole_on_nomad
from tests.acceptance.soaks import SECONDS, Soak, every_tenth
from tests.acceptance.stage import Stage, StruckPlace
from tests.acceptance.strikes import FAULTS, Strikes, struck_batch
from tests.nomad_agents import fresh_namespace
from tests.servers import S3Server
from tests.support import require_cluster_program

pytestmark = [
    pytest.mark.needs_data,
    pytest.mark.needs_nomad,
    pytest.mark.needs_s3,
    pytest.mark.soak,
    pytest.mark.timeout(2 * SECONDS),
]

KILLS = int(os.environ.get("COORDINATOR_SOAK_KILLS", "100"))
ROUNDS = int(os.environ.get("COORDINATOR_SOAK_ROUNDS", "10"))  # of each fault
AIM = 30.0  # seconds from the end of a fault until all that it had hit is done
Say = Callable[[str], None]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    return workplace(tmp_path_factory.mktemp("soak") / "work")


@pytest.fixture(scope="module")
def calm(place: Workplace) -> dict[str, bytes]:
    return calm_scores(place)


@pytest.fixture
def ground(
    place: Workplace, calm: dict[str, bytes], s3_server: S3Server, s3_bucket: str
) -> Iterator["Ground"]:
    with (
        three_servers(require_cluster_program("nomad")) as agents,
        Stage.built(agents, s3_server) as stage,
    ):
        yield Ground(place, calm, stage, s3_bucket)


@dataclass(frozen=True)
class Ground:
    """Where batches are struck or killed, and the scores that they must come to."""

    place: Workplace
    calm: dict[str, bytes]
    stage: Stage
    bucket: str

    def strike(self, name: str, seed: str, faults: list[str], strikes: Strikes, say: Say) -> None:
        """Run a batch on S3 through as many of the faults as it has time for."""
        self.place.set_model(seconds=0.7)
        there = StruckPlace.of(self.place, self.stage, self.bucket)
        batch = struck_batch(there, name, seed, faults, strikes, say)
        assert batch.scores() == self.calm, f"seed {seed}, batch {name}"

    def kill(self, name: str, seed: str, kills: int, figures: Figures, say: Say) -> None:
        """Run a batch through so many kills of its coordinator."""
        self.place.set_model(seconds=0.1)
        with fresh_namespace(self.stage.agents) as namespace:
            there = NomadWorkplace.on(Nomad(self.stage.agents, namespace), self.place)
            batch = killed_batch(there, name, f"{seed} {name}", kills, figures, say)
            assert isinstance(batch, NomadBatch)
            assert_whole_on_nomad(batch)
        assert batch.scores() == self.calm, f"seed {seed}, batch {name}"


def test_a_hundred_kills_and_ten_of_each_fault(ground: Ground, say: Say) -> None:
    """Goes on, batch by batch, where an earlier run was interrupted."""
    soak, deadline = Soak.begun(f"nomad-{KILLS}-{ROUNDS}"), time.monotonic() + SECONDS
    say(f"\nseed {soak.seed}: {soak.figures.kills} kills, {soak.strikes.count} faults done earlier")
    while (faults := faults_left(soak)) or soak.figures.kills < KILLS:
        assert time.monotonic() < deadline, f"too slow: only {soak}"
        if faults:
            ground.strike(f"struck-{len(faults)}", soak.seed, faults, soak.strikes, say)
            soak.save()
        if kills := min(10, KILLS - soak.figures.kills):
            name = f"killed-{soak.figures.batches}"
            ground.kill(name, soak.seed, kills, soak.figures, every_tenth(say))
            soak.save()
    say(f"{soak}; the aim is {AIM:.0f} s")
    soak.done()


def faults_left(soak: Soak) -> list[str]:
    """In an order of the seed's."""
    faults = list(FAULTS) * ROUNDS
    random.Random(soak.seed).shuffle(faults)
    return faults[soak.strikes.count :]
