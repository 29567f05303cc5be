"""A batch that moves from host to host: one driver at a time, nothing lost, nothing done twice."""

import json
import os
import random
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import pytest
from agents import Cluster

from tests.acceptance.batches import BatchSeen, Workplace, ended, kill, running, wait_until
from tests.acceptance.kills import LANGUAGES
from tests.acceptance.on_nomad import Nomad, NomadBatch, NomadWorkplace

pytestmark = [pytest.mark.needs_data, pytest.mark.needs_nomad, pytest.mark.timeout(900)]

SEED = os.environ.get("COORDINATOR_TEST_SEED", "20")
TUNING = ("--slots", 2, "--stop_threshold", 8, "--resume_threshold", 4, "--save_ledger")


@dataclass(frozen=True)
class Host(NomadWorkplace):
    """A host that shares the folder's files and outputs with others, and neither state nor logs."""

    host: str = field(kw_only=True)

    @classmethod
    def named(cls, name: str, there: NomadWorkplace) -> "Host":
        return cls(there.folder, nomad=there.nomad, flags=there.flags, host=name)

    def variables(self) -> dict[str, str]:
        own = self.folder / self.host
        return super().variables() | {
            "COORDINATOR_STATE_DIR": str(own / "state"),
            "COORDINATOR_LOG_DIR": str(own / "local-logs"),
        }

    def batch(self, name: str) -> "HostBatch":
        return HostBatch(self, name)

    def resumed(self, batch: str) -> "subprocess.Popen[str]":
        return self.start("submit", "--batch_name", batch, "--resume")


@dataclass(frozen=True)
class HostBatch(NomadBatch):
    place: Host

    @property
    def state(self) -> Path:
        return self.place.folder / self.place.host / "state" / self.name


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    folder = tmp_path_factory.mktemp("moves") / "work"
    return Workplace.made(folder, LANGUAGES[:4], 10, pack=2, score_pack=4, seconds=0.3)


@pytest.fixture(scope="module")
def calm(place: Workplace) -> dict[str, bytes]:
    before = place.witnessed()
    done = place.run("submit", *place.submit_flags("calm", "--slots", 2))
    assert done.returncode == 0, done.stderr
    assert (place.witnessed() - before).total() == 12
    return place.batch("calm").scores()


@pytest.fixture
def there(place: Workplace, nomad_agent: Cluster, nomad_namespace: str) -> NomadWorkplace:
    return NomadWorkplace.on(Nomad(nomad_agent, nomad_namespace), place)


def home(batch: BatchSeen) -> int:
    return batch.count("dispatches WHERE state = 'ended'") if batch.exists else 0


def let_time_pass(batch: HostBatch) -> None:
    """Release the lock of a driver that was killed, as its TTL would; that takes 50 s."""
    lock = json.loads((batch.state / "nomad.lock").read_text())
    ask_of_the_lock(batch, "lock-release", {"Lock": {"ID": lock["id"]}})


def ask_of_the_lock(batch: HostBatch, action: str, body: dict[str, object]) -> None:
    path, namespace = f"coordinator/batches/{batch.name}", batch.place.nomad.namespace
    batch.place.nomad.agents.call(
        "PUT",
        f"var/{path}",
        params={"namespace": namespace, action: ""},
        json={"Path": path, "Namespace": namespace, **body},
    )


def assert_whole(batch: HostBatch, calm: dict[str, bytes]) -> None:
    """Each item succeeded once, in one attempt a step; one job a token; the scores are right."""
    assert {row["state"] for row in batch.rows("SELECT state FROM items")} == {"succeeded"}
    steps = batch.rows("SELECT count(*) AS n FROM attempts WHERE state = 'succeeded' GROUP BY item")
    assert [row["n"] for row in steps] == [2] * len(batch.items)
    tokens = {row["token"] for row in batch.rows("SELECT token FROM dispatches")}
    assert batch.tokens() == dict.fromkeys(tokens, 1)
    assert batch.scores() == calm


def test_one_driver_between_hosts(there: NomadWorkplace) -> None:
    one, two = Host.named("one", there), Host.named("two", there)
    batch = one.batch("locked")
    with running(one.start("submit", *one.submit_flags("locked", *TUNING))) as process:
        wait_until(lambda: home(batch) >= 1 or process.poll() is not None)
        refused = ended(two.resumed("locked"))
        assert refused.returncode == 2
        assert "being driven already" in refused.stderr
        assert f"process {process.pid}" in refused.stderr and "@" in refused.stderr
        assert (batch.state / "nomad.lock").stat().st_mode & 0o777 == 0o600
        kill(process.pid)
    again = ended(one.resumed("locked"))  # at once: no lock has to run out
    assert again.returncode == 0, again.stderr
    left = there.nomad.call("vars", prefix="coordinator/")
    assert [variable["Path"] for variable in left] == []


def test_a_driver_whose_lock_is_taken_leaves(there: NomadWorkplace) -> None:
    one = Host.named("one", there)
    batch = one.batch("taken")
    slow = ("--stop_threshold", 1, "--resume_threshold", 0)  # is not over before the next renewal
    with running(one.start("submit", *one.submit_flags("taken", *slow))) as process:
        wait_until(lambda: home(batch) >= 1 or process.poll() is not None)
        let_time_pass(batch)
        rival = {"Lock": {"TTL": "10s", "LockDelay": "1s"}, "Items": {"holder": "another"}}
        ask_of_the_lock(batch, "lock-acquire", rival)
        done = ended(process)
    assert done.returncode == 3, done.stderr
    assert "the lock of batch taken is lost" in done.stdout + done.stderr


@pytest.mark.parametrize("keep", [True, False], ids=["kept", "purged"])
def test_killed_between_saves_and_gone_on_elsewhere(
    keep: bool,
    there: NomadWorkplace,
    place: Workplace,
    calm: dict[str, bytes],
    say: Callable[[str], None],
) -> None:
    rng, before = random.Random(f"{SEED} {keep}"), place.witnessed()
    name, flags = ("kept", ("--keep_jobs",)) if keep else ("purged", ())
    there = replace(there, flags=flags)
    hosts = [Host.named(host, there) for host in ("one", "two", "one", "two")]
    process = hosts[0].start("submit", *hosts[0].submit_flags(name, *TUNING))
    moves = []
    for now, then in pairwise(hosts):
        batch, some = now.batch(name), rng.randint(1, 2)
        with running(process):
            goal = home(batch) + some
            wait_until(lambda b=batch, g=goal, p=process: home(b) >= g or p.poll() is not None)
            assert process.poll() is None, ended(process).stderr
            kill(process.pid)
        moves.append(f"{home(batch)} home")
        let_time_pass(batch)
        process = then.resumed(name)
    done = ended(process)
    assert done.returncode == 0, done.stderr
    batch = hosts[-1].batch(name)
    if keep:
        assert_whole(batch, calm)
    calls = place.witnessed() - before
    assert calls == dict.fromkeys(batch.directions().values(), 1)
    restored = [r["why"] for r in batch.rows("SELECT why FROM events WHERE action = 'restored'")]
    say(f"\n{name}: killed at {', '.join(moves)}; on the next host: {'; '.join(restored)}")
    assert len(restored) >= 1
    if not keep:
        assert there.nomad.jobs(f"{name}--") == []


def test_a_terminated_driver_saves_and_lets_go(
    there: NomadWorkplace, place: Workplace, calm: dict[str, bytes]
) -> None:
    one, two = Host.named("one", there), Host.named("two", there)
    batch, before = one.batch("handed"), place.witnessed()
    with running(one.start("submit", *one.submit_flags("handed", *TUNING))) as process:
        wait_until(lambda: home(batch) >= 2 or process.poll() is not None)
        process.send_signal(signal.SIGTERM)
        assert ended(process).returncode == 3
    done = ended(two.resumed("handed"))
    assert done.returncode == 0, done.stderr
    assert_whole(two.batch("handed"), calm)
    assert place.witnessed() - before == dict.fromkeys(batch.directions().values(), 1)
    assert two.batch("handed").count("dispatches") >= batch.count("dispatches")
