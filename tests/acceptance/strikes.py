"""Faults that strike a batch on a real Nomad, and how long each hurts when it is over."""

import random
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from agents import Agent, Cluster

from tests.acceptance.batches import ended, running, wait_until
from tests.acceptance.on_nomad import NomadBatch, assert_whole_on_nomad
from tests.acceptance.stage import Stage, StruckPlace

TUNING = ("--slots", 4, "--stop_threshold", 8, "--resume_threshold", 6)
SECONDS_OF_503 = 20.0
PATIENCE = 300.0  # seconds that anything may take
OUT = "state IN ('claimed', 'submitted', 'running')"
LEFT = 4  # items not begun yet that a batch must have for another fault
Say = Callable[[str], None]


@dataclass
class Strikes:
    """What faults did: the seconds that each kind still hurt when it was over."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    items: int = 0
    calls_again: int = 0  # model calls beyond one an item

    @property
    def count(self) -> int:
        return sum(map(len, self.seconds.values()))

    def __str__(self) -> str:
        longest = {fault: max(seconds) for fault, seconds in self.seconds.items()}
        kinds = (f"{len(self.seconds[f])} x {f} (at most {s:.1f} s)" for f, s in longest.items())
        return (
            f"{', '.join(kinds)}; longest recovery {max(longest.values(), default=0):.1f} s;"
            f" {self.items} items, each succeeded once, {self.calls_again} model calls again,"
            " each of a job that a fault had ended"
        )


@dataclass(frozen=True)
class Struck:
    """A batch on its way, which faults strike."""

    batch: NomadBatch
    process: "subprocess.Popen[str]"
    stage: Stage
    rng: random.Random

    def is_over(self) -> bool:
        """Whether its coordinator has ended; it may do so in success only."""
        assert self.process.poll() in (None, 0), ended(self.process).stderr
        return self.process.poll() == 0

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait until it is so, or the batch is at its end."""
        wait_until(lambda: condition() or self.is_over(), PATIENCE)

    def can_be_struck(self) -> bool:
        """Wait until some jobs run; False where too few items are left for a fault to matter."""
        self.until(lambda: self.batch.exists and (self._running() >= 2 or self._waiting() < LEFT))
        return not self.is_over() and self._waiting() >= LEFT

    def _running(self) -> int:
        return self.batch.count("dispatches WHERE state = 'running'")

    def _waiting(self) -> int:
        return self.batch.count("items WHERE state = 'waiting'")

    def strike(self, fault: str) -> float:
        """How long after the fault all that was out when it began or ended was done, in seconds."""
        at_stake = self._steps(OUT)
        FAULTS[fault](self)
        over_at = time.monotonic()
        at_stake |= self._steps(OUT)
        self.until(lambda: at_stake <= self._steps("state = 'succeeded'"))
        return time.monotonic() - over_at

    def _steps(self, which: str) -> set[tuple[int, int]]:
        """Item and step of such attempts."""
        rows = self.batch.rows(f"SELECT item, step FROM attempts WHERE {which}")
        return {(row["item"], row["step"]) for row in rows}

    def busiest(self) -> Agent:
        """The client that most of its jobs run on."""
        return max(self.stage.agents.clients, key=lambda each: self.allocations(each, "running"))

    def allocations(self, client: Agent, *states: str) -> int:
        """How many of its jobs are on that client, as Nomad says, and in one of these states."""
        found = self.batch.place.nomad.allocations(self.batch.prefix)
        here = (each for each in found if each["NodeName"] == client.name)
        return sum(each["ClientStatus"] in states for each in here)


# The faults. Each returns when it is over.


def cut_after_commit(run: Struck) -> None:
    """Two dispatches are carried out, and their answers are lost."""
    run.stage.cuts.left = 2
    run.until(lambda: run.stage.cuts.left <= 0)
    run.stage.cuts.left = 0


def leader_killed(run: Struck) -> None:
    """One of three servers, the one that leads, is killed and comes back some seconds later."""
    agents = run.stage.agents
    leader = agents.leader()
    assert leader is not None
    leader.kill()
    time.sleep(run.rng.uniform(1, 6))
    leader.start()
    agents.wait_for(lambda: agents.leader() is not None, "a leader")
    agents.wait_until_ready()


def node_lost(run: Struck) -> None:
    """A node loses power with jobs on it; it is back when Nomad has given these up."""
    agents, client = run.stage.agents, run.busiest()
    client.lose()
    agents.wait_for(lambda: not run.allocations(client, "running", "unknown"), "jobs to be lost")
    client.start()
    agents.wait_until_ready()


def node_drained(run: Struck) -> None:
    """A node has to stop its jobs at once; afterwards it takes jobs again."""
    agents, client = run.stage.agents, run.busiest()
    drain(agents, client, {"Deadline": -1})
    agents.wait_for(lambda: not agents.nodes()[client.name]["Drain"], "the node to be drained")
    drain(agents, client, None)


def drain(cluster: Cluster, client: Agent, spec: dict[str, int] | None) -> None:
    """Begin or, without `spec`, end a drain; then the node takes jobs again."""
    node = cluster.nodes()[client.name]["ID"]
    cluster.call("POST", f"node/{node}/drain", json={"DrainSpec": spec, "MarkEligible": not spec})


def s3_down(run: Struck) -> None:
    """S3 answers 503 to everything for a while."""
    run.stage.store.is_down = True
    time.sleep(SECONDS_OF_503)
    run.stage.store.is_down = False


def token_expired(run: Struck) -> None:
    """The keys of coordinator and jobs expire; when that was noticed, new ones are handed in."""
    pauses = "events WHERE action = 'credentials_paused'"
    before = run.batch.count(pauses)
    run.stage.store.expire()
    run.until(lambda: run.batch.count(pauses) > before)
    run.stage.store.renew()
    given = run.batch.place.run("credentials", run.batch.name)
    assert given.returncode == 0, given.stderr


FAULTS: dict[str, Callable[[Struck], None]] = {
    "cut after commit": cut_after_commit,
    "leader killed": leader_killed,
    "node lost": node_lost,
    "node drained": node_drained,
    "S3 503 for 20 s": s3_down,
    "token expired": token_expired,
}


# A whole batch.


def struck_batch(
    base: StruckPlace, name: str, seed: str, faults: Sequence[str], strikes: "Strikes", say: Say
) -> NomadBatch:
    """Run a batch to its end through as many of these faults as it has time for, and check it."""
    before = base.witnessed()
    with base.in_namespace() as place:
        batch = place.batch(name)
        with running(place.start("submit", *place.submit_flags(name, *TUNING))) as process:
            run = Struck(batch, process, place.stage, random.Random(f"{seed} {name}"))
            for fault in faults:
                if not run.can_be_struck():
                    break
                seconds = run.strike(fault)
                strikes.seconds.setdefault(fault, []).append(seconds)
                say(f"{name}: {fault}; {seconds:.1f} s later all that was out had succeeded")
            done = ended(process)
        assert done.returncode == 0, done.stderr
        assert_sound(batch, place.witnessed() - before)
    strikes.items += len(batch.items)
    strikes.calls_again += (place.witnessed() - before).total() - len(batch.items)
    return batch


def assert_sound(batch: NomadBatch, calls: Counter[str]) -> None:
    """Each item succeeded once; a model call beyond that is one of a job that was ended."""
    assert_whole_on_nomad(batch)
    assert batch.count("attempts WHERE kind = 'credentials'") == 0
    assert set(calls) == set(batch.directions().values())
    assert calls <= starts(batch)


def starts(batch: NomadBatch) -> Counter[str]:
    """Direction -> how often Nomad started a job to translate it."""
    started = Counter[str]()
    for allocation in batch.place.nomad.allocations(batch.prefix):
        tasks = (allocation["TaskStates"] or {}).values()
        events = [event["Type"] for task in tasks for event in task["Events"]]
        started[allocation["JobID"]] += events.count("Started")
    found, directions = Counter[str](), batch.directions()
    for row in batch.rows(
        "SELECT i.id, d.job_id FROM attempts a JOIN items i ON i.seq = a.item"
        " JOIN dispatches d ON d.id = a.dispatch WHERE a.step = 0"
    ):
        found[directions[row["id"]]] += started[row["job_id"]]
    return found
