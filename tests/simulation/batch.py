"""One seed as it is run: a batch from its submission to its end, through all lives it takes."""

import logging
import shutil
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

import structlog

from coordinator.clock import SimulatedClock
from coordinator.cluster import Cluster, JobId, JobSpec
from coordinator.cluster.simulated import Faults, Run, SimulatedJob, SimulatedWorker, World
from coordinator.domain.handoff import Handoff, HandoffItem
from coordinator.domain.items import WorkItem
from coordinator.domain.paths import BatchKeys, LogTree
from coordinator.domain.states import DONE, AttemptState
from coordinator.engine import Batch, Driver, Snapshot, Wish, dispatching, driver
from coordinator.engine.driver import Pace
from coordinator.errors import ClusterUnavailable, CredentialsError, StorageUnavailable
from coordinator.ledger import ControlDesk, Tally, driver_lock
from coordinator.parallel import staged
from coordinator.storage.simulated import Shelf
from tests.simulation.backstage import Backstage
from tests.simulation.checks import out_of_date, violations_of
from tests.simulation.lives import (
    Crash,
    Life,
    MortalClock,
    MortalCluster,
    MortalLedger,
    MortalStorage,
)
from tests.simulation.nomad import nomad_by_the_clock, nomad_cluster_over, parents_of
from tests.simulation.people import People
from tests.simulation.plan import Plan, plan_of

NAME, NEIGHBOUR = "mine", "mine-too"
PACE = Pace(between_peeks=300.0)  # a look into packs costs much, and decides nothing
MOST_TICKS = 10_000
MOST_LIVES = 1_000  # some end before their first tick
FAST = Path("/dev/shm")  # where there is one, files cost no disk


class Violated(AssertionError):
    """Something that must hold does not."""


class Left(Exception):
    """A coordinator ended before the batch did, as somebody wished."""


@dataclass(frozen=True)
class Sight:
    """Something that a real run did, whatever anybody says of it."""

    run: Run
    step: str
    item: str
    attempt: int
    what: str  # begun | done
    was_over: bool  # whether the cluster had given the run up by then

    @property
    def is_done_in_time(self) -> bool:
        return self.what == "done" and not self.was_over


class WatchedWorld(World):
    """Remembers every job that there ever was."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.ever: dict[JobId, SimulatedJob] = {}

    def make(self, spec: JobSpec, token: str) -> SimulatedJob:
        job = super().make(spec, token)
        self.ever[job.id] = job
        return job


@dataclass
class Story:
    """What happened, in lines, with the time before each; or nothing, where nobody reads it."""

    clock: SimulatedClock
    is_told: bool = False
    lines: list[str] = field(default_factory=list)

    def tell(self, line: str) -> None:
        if self.is_told:
            self.lines.append(f"{self.clock.monotonic():9.2f}  {line}")


class Simulation:
    """A seed, its world, and the coordinators that come and go in it."""

    def __init__(self, plan: Plan, folder: Path, *, told: bool = False) -> None:
        self.plan, self.folder = plan, folder
        self.clock = SimulatedClock()
        self.story = Story(self.clock, told)
        self.faults = Faults(Random(plan.seed + 1), plan.rates)
        self.shelf = Shelf()
        self.sights: list[Sight] = []
        worker = SimulatedWorker(
            self.shelf, self.faults, fates=plan.fates, witness=self._see, seconds=5.0
        )
        self.world = WatchedWorld(
            self.clock,
            worker,
            lanes=plan.lanes,
            nodes=plan.nodes,
            faults=self.faults,
            tell=self.story.tell,
        )
        self.people = People(
            plan.orders, plan.redos, self.ledger_folder, self.clock, self.story.tell
        )
        self.logs = LogTree(folder / "logs", NAME)
        self.lives = self.deaths = self.ticks = 0
        self._won: dict[tuple[int, AttemptState], int] = {}  # (step, state) -> attempts
        self._settle_neighbour()

    # what a user does

    def run(self) -> None:
        """Submit the batch, and resume it until it is finished. Raises Violated."""
        stage = Backstage(Random(self.plan.seed + 2), self.clock, self.plan.laziness)
        with ExitStack() as stack:
            stack.enter_context(_quiet(self.story))
            stack.enter_context(staged(stage))
            stack.enter_context(_bursts_of(self.plan.burst))
            stack.enter_context(nomad_by_the_clock(self.clock))
            self._submit()
            while not self._lived_to_the_end():
                self._wait_for_the_next_life()

    def _submit(self) -> None:
        items = [(WorkItem(self.plan.item(number)), "") for number in range(self.plan.items)]
        MortalLedger.life = Life(None, self.story.tell)
        MortalLedger.create(self.ledger_folder, self.clock, {}, items).close()

    @property
    def ledger_folder(self) -> Path:
        return self.folder / NAME

    def _lived_to_the_end(self) -> bool:
        """One life of a coordinator; whether it finished the batch."""
        left = self.plan.crashes[self.lives :]
        life = Life(left[0] if left else None, self.story.tell)
        self.lives += 1
        if self.lives > MOST_LIVES:
            raise Violated(f"no end after {MOST_LIVES} lives")
        self.story.tell(f"--- life {self.lives} begins")
        try:
            self._live(life)
        except Crash:
            self.deaths += 1
            return False
        except Left:
            self.story.tell("--- it ended as it was asked to")
            return False
        except (ClusterUnavailable, CredentialsError, StorageUnavailable) as error:
            self.story.tell(f"--- it could not start: {error}")
            return False
        return True

    def _live(self, life: Life) -> None:
        """As `coordinator submit --resume` does."""
        cluster = self._cluster(life)
        storage = MortalStorage(life, self.shelf, self.clock, self.faults, self.story.tell)
        clock = MortalClock(life, self.clock, self.world, self.plan.rhythm, self.people.act)
        MortalLedger.life = life
        ledger = MortalLedger.open(self.ledger_folder, clock)
        try:
            with driver_lock(self.ledger_folder, NAME), cluster.held(lambda _why: None):
                ControlDesk(ledger).forget_stop()
                ControlDesk(ledger).carry_out()
                self.people.ask_again(ledger, self.lives)
                self.people.lift_the_gate(ledger, self.plan.canaries)
                cluster.prepare(is_known=any(dispatch.job_id for dispatch in ledger.out()))
                self._drive(Driver(self._batch(), ledger, cluster, storage, clock, PACE), cluster)
        finally:
            ledger.close()

    def _cluster(self, life: Life) -> Cluster:
        plan = self.plan
        if plan.speaks_nomad:
            parents = parents_of(NAME, plan.pipeline)
            return nomad_cluster_over(life, self.world, parents, tells_lanes=plan.tells_lanes)
        return MortalCluster(life, self.world, tells_lanes=plan.tells_lanes)

    def _drive(self, coordinator: Driver, cluster: Cluster) -> None:
        self.story.tell(f"recovered: {coordinator.recover()}")
        wish = coordinator.run(self._look)
        if wish is not Wish.FINISH:
            raise Left(wish)
        if self.people.want_more:
            self.people.look_at_the_results()
            with suppress(ClusterUnavailable, CredentialsError):
                coordinator.purge()
                cluster.dismantle()
            raise Left("somebody wants more")
        self.faults.cease()  # what is left is only to tidy up
        coordinator.purge()
        cluster.dismantle()

    def _batch(self) -> Batch:
        plan = self.plan
        return Batch(
            NAME,
            plan.pipeline,
            "",
            plan.thresholds,
            self.logs,
            plan.wait_seconds,
            keep_jobs=plan.keep_jobs,
            canaries=plan.canaries,
        )

    def _look(self, snapshot: Snapshot) -> None:
        self.ticks += 1
        if snapshot.tally.in_flight > self.plan.thresholds.stop_at:
            raise Violated(f"{snapshot.tally.in_flight} items are in flight")
        self._look_for_what_is_out_of_date(snapshot.tally)
        if self.ticks > MOST_TICKS:
            raise Violated(f"no end after {self.ticks} ticks: {snapshot.tally}")

    def _look_for_what_is_out_of_date(self, tally: Tally) -> None:
        """Costly; what is out of date changes with the attempts that have won."""
        won = {key: count for key, count in tally.attempts.items() if key[1] in DONE}
        if self.people.redone and won != self._won:
            self._won = won
            if stale := out_of_date(self):
                raise Violated(f"out of date, and still published: {stale}")

    def _wait_for_the_next_life(self) -> None:
        times = self.plan.downtimes
        self.clock.advance(times[min(self.lives, len(times)) - 1] if times else 1.0)

    # who looks on

    def _see(self, run: Run, handoff: Handoff, item: HandoffItem, what: str) -> None:
        sight = Sight(run, handoff.step, item.item, item.attempt, what, run.is_over)
        self.sights.append(sight)
        self.story.tell(f"{run.job.id}: {what} {handoff.step} of {item.item} a{item.attempt}")

    def _settle_neighbour(self) -> None:
        """Another batch, of nearly the same name, on the same cluster and store."""
        keys = BatchKeys(NEIGHBOUR)
        self.neighbours = {
            keys.record: b"{}",
            keys.handoff(f"{NEIGHBOUR}--translate.i0000--a1v1"): b"{}",
            keys.attempt("i0000", "translate", 1).outcome: b"{}",
        }
        for key, data in self.neighbours.items():
            self.shelf.write(key, data)
        spec = JobSpec(f"{NEIGHBOUR}--translate.i0000--a1v1", "translate", "absent", "")
        self.neighbour = self.world.make(spec, "the neighbour's")


@dataclass(frozen=True)
class Seen:
    """What came of one seed."""

    seed: int
    violations: tuple[str, ...]
    faults: Counter[str]
    story: tuple[str, ...]
    lives: int
    ticks: int


def simulate(seed: int, items: int, *, told: bool = False) -> Seen:
    """Run a seed, and check what it left."""
    plan = plan_of(seed, items)
    with _scratch() as folder:
        simulation = Simulation(plan, folder, told=told)
        try:
            simulation.run()
            violations = violations_of(simulation)
        except Exception as error:  # no life ends with anything that a user would not understand
            if told:
                simulation.story.lines += _traceback(error)
            violations = [f"{type(error).__name__}: {error}"]
    faults = simulation.faults.counts + Counter({"coordinator killed": simulation.deaths})
    lines = (str(plan), *simulation.story.lines)
    return Seen(seed, tuple(violations), faults, lines, simulation.lives, simulation.ticks)


def _traceback(error: Exception) -> list[str]:
    return "".join(traceback.format_exception(error)).splitlines()


@contextmanager
def _scratch() -> Iterator[Path]:
    where = tempfile.mkdtemp(prefix="simulation-", dir=FAST if FAST.is_dir() else None)
    try:
        yield Path(where)
    finally:
        shutil.rmtree(where)


@contextmanager
def _bursts_of(size: int) -> Iterator[None]:
    """Small bursts show what only thousands of dispatches would."""
    with ExitStack() as stack:
        for module in (dispatching, driver):
            stack.enter_context(patch.object(module, "BURST", size))
        yield


@contextmanager
def _quiet(story: Story) -> Iterator[None]:
    """The coordinator's log goes into the story, or nowhere."""

    def keep(_logger: Any, _method: str, event: dict[str, Any]) -> Any:
        fields = " ".join(f"{key}={value}" for key, value in event.items() if key != "event")
        story.tell(f"log: {event['event']} {fields}")
        raise structlog.DropEvent

    level = logging.INFO if story.is_told else logging.CRITICAL
    wrapper: Callable[..., Any] = structlog.make_filtering_bound_logger(level)
    before = structlog.get_config()
    structlog.configure(processors=[keep], wrapper_class=wrapper, cache_logger_on_first_use=False)
    try:
        yield
    finally:
        structlog.configure(**before)
