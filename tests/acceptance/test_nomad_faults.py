"""Faults on a real Nomad: after each, every item has ended in success once; nothing is doubled."""

import os
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import pytest
from agents import Agent, Cluster, three_servers

from tests.acceptance.batches import IMPATIENT, Workplace, ended, running, wait_until
from tests.acceptance.kills import LANGUAGES, Figures, calm_scores, killed_batch, workplace
from tests.acceptance.on_nomad import (
    Nomad,
    NomadBatch,
    NomadWorkplace,
    assert_whole_on_nomad,
    uploaded,
    with_keys,
)
from tests.fault_proxy import FaultProxy, Passing, fault_proxy, refusal
from tests.servers import Answer, S3Server
from tests.support import require_cluster_program, require_program

pytestmark = [pytest.mark.needs_data, pytest.mark.needs_nomad, pytest.mark.timeout(900)]

SEED = os.environ.get("COORDINATOR_TEST_SEED", "20")
KILLS = 8
TUNING = ("--slots", 4, "--stop_threshold", 8, "--resume_threshold", 6)
SECONDS_OF_503 = 20.0
FAKETIME = "/usr/lib/{}-linux-gnu/faketime/libfaketimeMT.so.1"


# Kills of the coordinator.


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    return workplace(tmp_path_factory.mktemp("kills") / "work")


@pytest.fixture(scope="module")
def calm(place: Workplace) -> dict[str, bytes]:
    return calm_scores(place)


def test_kills_of_the_coordinator(
    place: Workplace,
    calm: dict[str, bytes],
    nomad_agent: Cluster,
    nomad_namespace: str,
    say: Callable[[str], None],
) -> None:
    there = NomadWorkplace.on(Nomad(nomad_agent, nomad_namespace), place)
    figures = Figures()
    while figures.kills < KILLS:
        name = f"killed-{figures.batches}"
        left = min(10, KILLS - figures.kills)
        batch = killed_batch(there, name, f"{SEED} {name}", left, figures, print)
        assert isinstance(batch, NomadBatch)
        assert_whole_on_nomad(batch)
        assert batch.scores() == calm
    say(f"\nNomad, seed {SEED}: {figures}")


# Faults around a batch that is not touched itself.


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """Six directions, each a dispatch of its own that takes a second."""
    folder = tmp_path_factory.mktemp("faults") / "work"
    return Workplace.made(folder, LANGUAGES[:3], 10, pack=1, score_pack=2, seconds=1.0)


@pytest.fixture(scope="module")
def small_calm(small: Workplace) -> dict[str, bytes]:
    small.set_model()
    done = small.run("submit", *small.submit_flags("calm", "--slots", 2))
    small.set_model(seconds=1.0)
    assert done.returncode == 0, done.stderr
    return small.batch("calm").scores()


@dataclass
class Run:
    """A batch on its way, and what was done to it."""

    batch: NomadBatch
    process: "subprocess.Popen[str]"
    began: float = field(default_factory=time.monotonic)
    said: str = ""

    def wait_for_home(self, dispatches: int) -> None:
        """Until so many dispatches have come home."""
        self.wait(lambda: self.count("state = 'ended'") >= dispatches)

    def wait_for_running(self, dispatches: int) -> None:
        self.wait(lambda: self.count("state = 'running'") >= dispatches)

    def wait(self, condition: Callable[[], bool]) -> None:
        wait_until(lambda: condition() or self.process.poll() is not None, 120)
        assert self.process.poll() is None, ended(self.process).stderr

    def count(self, which: str) -> int:
        return self.batch.count(f"dispatches WHERE {which}") if self.batch.exists else 0


@contextmanager
def disturbed(
    place: NomadWorkplace, name: str, calm: dict[str, bytes], say: Callable[[str], None],
    *, run_twice: bool = False,
) -> Iterator[Run]:  # fmt: skip
    """A batch that runs to its end after what the block does to it; then nothing is amiss.

    `run_twice`: whether a job may have run a second time, on another node.
    """
    batch, before = place.batch(name), place.witnessed()
    with running(place.start("submit", *place.submit_flags(name, *TUNING))) as process:
        run = Run(batch, process)
        yield run
        done = ended_on(place.nomad, batch, process)
    seconds = time.monotonic() - run.began
    assert done.returncode == 0, done.stderr
    assert_whole_on_nomad(batch)
    assert batch.scores() == calm
    calls = place.witnessed() - before
    assert_called(batch, calls, run_twice=run_twice)
    jobs = len(batch.job_ids())
    say(
        f"\n{name}: {run.said}; {len(batch.items)} items, each succeeded once, in {jobs} jobs,"
        f" one a token; {calls.total()} model calls; {seconds:.0f} s"
    )


def ended_on(
    nomad: Nomad, batch: NomadBatch, process: "subprocess.Popen[str]"
) -> "subprocess.CompletedProcess[str]":
    """What the process said when it ended; where it does not, what Nomad says of its jobs."""
    try:
        return ended(process)
    except subprocess.TimeoutExpired:
        told = ("JobID", "NodeName", "DesiredStatus", "ClientStatus", "ClientDescription")
        for each in nomad.allocations(batch.prefix):
            print(*(each[name] for name in told), sep="  ")
        raise


def assert_called(batch: NomadBatch, calls: Counter[str], *, run_twice: bool) -> None:
    """The model was asked for each direction, and no more often than attempts were begun."""
    assert set(calls) == set(batch.directions().values())
    begun = batch.count("attempts WHERE step = 0 AND state <> 'returned'")
    assert calls.total() <= begun or run_twice


def test_the_server_is_killed_during_dispatch(
    small: Workplace,
    small_calm: dict[str, bytes],
    nomad_cluster_of_three: Cluster,
    say: Callable[[str], None],
) -> None:
    there = NomadWorkplace.on(Nomad(nomad_cluster_of_three), small)
    with disturbed(there, "server-killed", small_calm, say) as run:
        for home in (1, 3):
            run.wait_for_home(home)
            nomad_cluster_of_three.server.kill()
            time.sleep(1.0)
            nomad_cluster_of_three.server.start()
            nomad_cluster_of_three.wait_until_ready()
        run.said = "the server was killed and started again twice"


def test_the_leader_of_three_servers_is_killed(
    small: Workplace, small_calm: dict[str, bytes], say: Callable[[str], None]
) -> None:
    with three_servers(require_cluster_program("nomad")) as agents:
        leader = agents.leader()
        assert leader is not None
        follower = next(server for server in agents.servers if server is not leader)
        there = NomadWorkplace.on(Nomad(agents, address=follower.address), small)
        with disturbed(there, "leader-killed", small_calm, say) as run:
            run.wait_for_home(1)
            leader.kill()
            seconds = until_next_home(run)
            run.said = f"the leader was killed; the next job was home {seconds:.0f} s after that"


def test_a_node_is_drained(
    small: Workplace,
    small_calm: dict[str, bytes],
    nomad_cluster_of_three: Cluster,
    say: Callable[[str], None],
) -> None:
    there = NomadWorkplace.on(Nomad(nomad_cluster_of_three), small)
    with disturbed(there, "drained", small_calm, say, run_twice=True) as run:
        client, jobs = busiest(run)
        drain(nomad_cluster_of_three, client, {"Deadline": -1})
        run.said = f"a node with {jobs} jobs was drained by force"
    drain(nomad_cluster_of_three, client, None)


def test_a_client_is_lost_for_good(
    small: Workplace,
    small_calm: dict[str, bytes],
    nomad_cluster_of_three: Cluster,
    say: Callable[[str], None],
) -> None:
    there = NomadWorkplace.on(Nomad(nomad_cluster_of_three), small)
    with disturbed(there, "client-lost", small_calm, say, run_twice=True) as run:
        client, jobs = busiest(run)
        client.lose()
        run.said = f"one of three clients was lost with {jobs} jobs"
    client.start()


def busiest(run: Run) -> tuple[Agent, int]:
    """The client that most jobs of the batch run on, and how many."""
    run.wait_for_home(1)
    run.wait_for_running(3)
    nodes: Counter[str] = Counter()

    def is_any_busy() -> bool:  # jobs are short: what the ledger takes for running may have ended
        nodes.update(nodes_at_work(run))
        return bool(nodes)

    run.wait(is_any_busy)
    name, jobs = nodes.most_common()[0]
    clients = run.batch.place.nomad.agents.clients
    return next(client for client in clients if client.name == name), jobs


def nodes_at_work(run: Run) -> list[str]:
    """The node of each job of the batch that runs now."""
    found = run.batch.place.nomad.allocations(run.batch.prefix)
    return [each["NodeName"] for each in found if each["ClientStatus"] == "running"]


def drain(cluster: Cluster, client: Agent, spec: dict[str, int] | None) -> None:
    """Begin or, without `spec`, end a drain; then the node takes jobs again."""
    node = cluster.nodes()[client.name]["ID"]
    cluster.call("POST", f"node/{node}/drain", json={"DrainSpec": spec, "MarkEligible": not spec})


@pytest.mark.needs_s3
def test_s3_answers_503_for_a_while(
    small: Workplace,
    small_calm: dict[str, bytes],
    nomad_agent: Cluster,
    nomad_namespace: str,
    s3_server: S3Server,
    s3_bucket: str,
    monkeypatch: pytest.MonkeyPatch,
    say: Callable[[str], None],
) -> None:
    there = NomadWorkplace.on(Nomad(nomad_agent, nomad_namespace), small, with_keys(s3_server))
    there = replace(uploaded(there, s3_bucket), program=IMPATIENT)
    with fault_proxy(s3_server.endpoint) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        with disturbed(there, "s3-503", small_calm, say) as run:
            run.wait_for_home(2)
            refused = Refusals()
            proxy.fault = refused
            time.sleep(SECONDS_OF_503)
            proxy.fault = lambda _request: None
            seconds = until_next_home(run)
            run.said = (
                f"S3 answered 503 for {SECONDS_OF_503:.0f} s, {refused.count} times; the next job"
                f" was home {seconds:.0f} s after that"
            )
    assert refused.count > 10


def until_next_home(run: Run) -> float:
    began, home = time.monotonic(), run.count("state = 'ended'")
    run.wait_for_home(home + 1)
    return time.monotonic() - began


@dataclass
class Refusals:
    """Answers 503 to everything."""

    count: int = 0

    def __call__(self, _request: Passing) -> Answer:
        self.count += 1
        return refusal("SlowDown", 503)


def test_dispatches_are_answered_by_cut_connections(
    small: Workplace,
    small_calm: dict[str, bytes],
    nomad_agent: Cluster,
    nomad_namespace: str,
    say: Callable[[str], None],
) -> None:
    with fault_proxy(nomad_agent.address) as proxy:
        proxy.fault, proxy.cut = without_events, EverySecondDispatch()
        nomad = Nomad(nomad_agent, nomad_namespace, address=proxy.url)
        with disturbed(NomadWorkplace.on(nomad, small), "cut", small_calm, say) as run:
            run.said = "every second dispatch was carried out and its answer cut"
        assert proxy.cut.count >= 4
        assert dispatches(proxy) >= len(run.batch.job_ids())


def without_events(request: Passing) -> Answer | None:
    """The proxy hands on whole answers, and the event stream has no end."""
    return (500, {}, b"no events here") if "/event/stream" in request.path else None


@dataclass
class EverySecondDispatch:
    """Says of every second dispatch that its answer is to be lost."""

    count: int = 0
    _seen: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, request: Passing) -> bool:
        if "/dispatch?" not in request.path:
            return False
        with self._lock:
            self._seen += 1
            self.count += self._seen % 2
            return self._seen % 2 == 1


def dispatches(proxy: FaultProxy) -> int:
    return sum("/dispatch?" in request.path for request in proxy.seen)


def test_the_clock_is_stepped_back_an_hour(
    small: Workplace,
    small_calm: dict[str, bytes],
    nomad_agent: Cluster,
    nomad_namespace: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    say: Callable[[str], None],
) -> None:
    require_program("faketime")
    step = tmp_path / "step"
    step.write_text("+0")
    for name, value in {
        "LD_PRELOAD": FAKETIME.format(os.uname().machine),
        "FAKETIME_TIMESTAMP_FILE": str(step),
        "FAKETIME_NO_CACHE": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }.items():
        monkeypatch.setenv(name, value)
    there = NomadWorkplace.on(Nomad(nomad_agent, nomad_namespace), small)
    with disturbed(there, "clock", small_calm, say) as run:
        run.wait_for_home(2)
        step.write_text("-1h")
        run.said = "the coordinator's clock was stepped back an hour"
    times = [row["at"] for row in run.batch.rows("SELECT at FROM events ORDER BY id")]
    assert min(after - before for before, after in pairwise(times)) < -3000
