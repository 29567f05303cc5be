"""What one seed stands for: a batch, the cluster that it runs on, and all that goes wrong."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Any

from coordinator.cluster.simulated import Fault
from coordinator.engine import Thresholds
from coordinator.pipelines import Pipeline

F = Fault
# The lowest and the highest rate of each fault, where a seed has it at all.
RATES: Mapping[Fault, tuple[float, float]] = {
    F.SLOW: (0.002, 0.05),
    F.API_ERROR: (0.002, 0.05),
    F.OUTAGE: (0.001, 0.005),
    F.CREDENTIALS: (0.0005, 0.003),
    F.CUT_BEFORE: (0.01, 0.2),
    F.CUT_AFTER: (0.01, 0.3),
    F.DONE_BUT_ERROR: (0.01, 0.2),
    F.PHANTOM_ID: (0.5, 1.0),  # of repetitions
    F.STALE_FIND: (0.1, 0.7),
    F.STALE_LOOK: (0.01, 0.3),
    F.REFUSED: (0.002, 0.02),
    F.BUSY: (0.002, 0.02),
    F.DELAY: (0.02, 0.3),
    F.NO_LANES: (0.005, 0.05),
    F.NEVER_STARTED: (0.005, 0.05),
    F.NODE_LOST: (0.005, 0.05),
    F.NODE_CUT_OFF: (0.005, 0.05),
    F.DUPLICATE: (0.3, 1.0),  # of what is missed on a lost node
    F.DRAINED: (0.02, 0.2),
    F.FORGOTTEN: (0.01, 0.3),
    F.LOGS_LOST: (0.005, 0.05),
    F.OUT_OF_MEMORY: (0.002, 0.03),
    F.KILLED: (0.002, 0.03),
    F.HUNG: (0.01, 0.08),
    F.DEAF: (0.1, 1.0),  # of those that are asked to end
    F.SILENT: (0.002, 0.03),
    F.TRY_AGAIN: (0.002, 0.03),
    F.KEYS_REFUSED: (0.002, 0.02),
    F.HALF_OUTCOME: (0.002, 0.03),
    F.LYING_SIZES: (0.002, 0.03),
    F.FOREIGN_OUTCOME: (0.002, 0.03),
    F.CLOCK_STEP: (0.002, 0.05),  # of sleeps
    F.STORE_DOWN: (0.0005, 0.003),
    F.STORE_ERROR: (0.002, 0.03),
    F.STORED_BUT_ERROR: (0.005, 0.05),
    F.LATE: (0.001, 0.02),
    F.STORE_SLOW: (0.002, 0.02),
}
# Of what only the coordinator on Nomad has a way out of.
RATES_ON_NOMAD: Mapping[Fault, tuple[float, float]] = {F.LEFT_UNKNOWN: (0.1, 1.0)}
# What is true of an item however often it is tried.
FATES: Mapping[Fault, float] = {F.MODEL_ERROR: 0.02, F.BAD_INPUT: 0.02, F.NO_DATA: 0.03}
STEPS = ("translate", "score")
FEW = 50  # items, of which each may have a dispatch of its own


# Moments at which a crash is worth more than at others; "" = any.
MOMENTS = ("", "", "", "after stopping", "after submitting", "after a commit", "after the logs")
MOMENTS += ("after purging", "asks the cluster: find", "after it asked the store: copy")


@dataclass(frozen=True)
class Doom:
    """When a coordinator dies."""

    calls: int  # of this kind that it lives to make
    moment: str  # what such a call is called, or a part of that

    def __str__(self) -> str:
        return f"{self.calls} calls" + (f" ({self.moment})" if self.moment else "")


@dataclass(frozen=True)
class Order:
    """What somebody asks of the batch."""

    sleeps: int  # of the coordinator, after which it is asked
    what: str  # pause | go on | stop | stop now | stop items
    items: tuple[str, ...] = ()


@dataclass(frozen=True)
class Redo:
    """What somebody wants done again while nobody drives the batch."""

    life: int  # of the coordinator, before which it is asked; or as soon as the batch is finished
    step: int
    items: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """One seed, spelt out."""

    seed: int
    items: int
    packs: tuple[int, int]
    thresholds: Thresholds
    lanes: int
    tells_lanes: bool
    nodes: int
    keep_jobs: bool
    wait_seconds: float
    burst: int
    speaks_nomad: bool  # whether the real cluster on Nomad is between, over a simulated API
    rhythm: float  # seconds that the coordinator sleeps at least, where it sleeps at all
    laziness: float  # how likely work that threads would do is put off
    rates: Mapping[Fault, float]
    fates: Mapping[tuple[str, str], Fault]
    crashes: tuple[Doom, ...]  # of the coordinator's lives; then comes one that ends well
    orders: tuple[Order, ...]
    redos: tuple[Redo, ...]
    canaries: int  # items that have to succeed before any other is started
    downtimes: tuple[float, ...]  # seconds between two lives

    def __str__(self) -> str:
        rates = ", ".join(f"{fault} {rate:.3f}" for fault, rate in self.rates.items())
        where = " on Nomad" if self.speaks_nomad else ""
        asked = [f"{o.what} at sleep {o.sleeps}" for o in self.orders]
        asked += [f"{STEPS[r.step]} again at life {r.life}" for r in self.redos]
        asked += [f"{self.canaries} canaries"] if self.canaries else []
        orders = ", ".join(asked) or "none"
        crashes = ", ".join(map(str, self.crashes)) or "none"
        return (
            f"seed {self.seed}{where}: {self.items} items in packs of {self.packs}, "
            f"{self.lanes} lanes on {self.nodes} nodes{'' if self.tells_lanes else ' (not told)'}, "
            f"stop at {self.thresholds.stop_at}, resume at {self.thresholds.resume_at}, "
            f"bursts of {self.burst}, crashes after {crashes}; people: {orders}\nfaults: {rates}"
        )

    def item(self, number: int) -> str:
        return f"i{number:04d}"

    @property
    def pipeline(self) -> Pipeline:
        return _pipeline(*self.packs)


def plan_of(seed: int, items: int) -> Plan:
    """The plan of a seed. Each has its own choice of faults: all at once would hide each other."""
    random = Random(seed)
    stop = random.choice((max(2, items // 10), max(2, items // 3), items * 2))
    speaks_nomad = Random(f"{seed} speaks Nomad").random() < 0.4
    crashes = tuple(_doom(random) for _ in range(random.choice((0, 1, 2, 4, 8))))
    return Plan(
        seed=seed,
        items=items,
        packs=_packs(random, items),
        thresholds=Thresholds(stop, random.randrange(stop)),
        lanes=random.choice((2, 5, 16)),
        tells_lanes=random.random() < 0.5,
        nodes=random.choice((1, 3, 8)),
        speaks_nomad=speaks_nomad,
        keep_jobs=random.random() < 0.2,
        wait_seconds=random.choice((0.0, 0.0, 0.0, 0.3)),
        burst=random.choice((2, 8, 128)),
        rhythm=random.choice((0.0, 3.0, 10.0)) if items <= FEW else random.choice((5.0, 30.0)),
        laziness=random.choice((0.0, 0.2, 0.6)),
        rates=_rates(random) | _rates_of_nomad(seed, speaks_nomad=speaks_nomad),
        fates=_fates(random, items),
        crashes=crashes,
        orders=_orders(random, items),
        redos=_redos(Random(f"{seed} does again"), items),
        canaries=Random(f"{seed} sends canaries").choice((0, 0, 1, max(2, items // 8))),
        downtimes=tuple(random.choice((0.1, 10.0, 600.0)) for _ in crashes),
    )


def _packs(random: Random, items: int) -> tuple[int, int]:
    sizes = (1, 4, 16) if items <= FEW else (4, 16, 64)
    return random.choice(sizes), random.choice(sizes)


def _doom(random: Random) -> Doom:
    """Sometimes amid recovery, sometimes far on."""
    moment = random.choice(MOMENTS)
    usual = random.choice((1, 3, 10)) if moment else random.choice((8, 60, 500))
    return Doom(1 + int(random.expovariate(1 / usual)), moment)


def _orders(random: Random, items: int) -> tuple[Order, ...]:
    """Every third batch is one that somebody minds; a pause is lifted some time later."""
    orders: list[Order] = []
    for _ in range(random.choice((0, 0, 1, 3))):
        when, what = (
            random.randrange(1, 60),
            random.choice(("pause", "pause", "stop", "stop items")),
        )
        what = "stop now" if what == "stop" and random.random() < 0.3 else what
        chosen = random.sample(range(items), min(items, random.choice((1, 5))))
        named = tuple(f"i{number:04d}" for number in chosen) if what == "stop items" else ()
        orders.append(Order(when, what, named))
        if what == "pause":
            orders.append(Order(when + random.randrange(2, 30), "go on"))
    return tuple(sorted(orders, key=lambda order: order.sleeps))


def _redos(random: Random, items: int) -> tuple[Redo, ...]:
    """In every other batch somebody wants all, or some, scored or translated again."""
    redos = []
    for _ in range(random.choice((0, 0, 1, 2))):
        count = random.choice((3, items, items))
        named = tuple(f"i{number:04d}" for number in sorted(random.sample(range(items), count)))
        redos.append(Redo(random.choice((2, 3, 99)), random.choice((0, 1, 1)), named))
    return tuple(sorted(redos, key=lambda redo: redo.life))


def _rates(random: Random) -> dict[Fault, float]:
    """About a third of all faults."""
    share = random.choice((0.0, 0.2, 0.4, 0.6))
    chosen = [fault for fault in RATES if random.random() < share]
    if random.random() < 0.05:
        chosen = list(RATES)
    return {fault: _between(random, *RATES[fault]) for fault in chosen}


def _rates_of_nomad(seed: int, *, speaks_nomad: bool) -> dict[Fault, float]:
    random = Random(f"{seed} leaves unknown")
    rates = RATES_ON_NOMAD if speaks_nomad else {}
    return {fault: _between(random, *between) for fault, between in rates.items()}


def _between(random: Random, lowest: float, highest: float) -> float:
    """Evenly over the orders of magnitude."""
    return float(lowest * (highest / lowest) ** random.random())


def _fates(random: Random, items: int) -> dict[tuple[str, str], Fault]:
    if random.random() < 0.5:
        return {}
    fates = {}
    for number in range(items):
        for step in STEPS:
            for fault, rate in FATES.items():
                if random.random() < rate:
                    fates[step, f"i{number:04d}"] = fault
    return fates


@cache
def _pipeline(first: int, second: int) -> Pipeline:
    common: dict[str, Any] = {
        "job": "command",
        "options": {"command": ["true"]},
        "time_limit": 120.0,
        "retry": {"infrastructure": {"attempts": 3, "wait_seconds": 20.0}},
    }
    translate = {"name": "translate", "outputs": ["t.txt"], "pack": {"size": first}}
    score = {"name": "score", "outputs": ["s.txt"], "pack": {"size": second}}
    return Pipeline.model_validate(
        {
            "name": "simulated",
            "steps": [
                {**common, **translate, "resources": {"memory_mb": [1, 2]}},
                {**common, **score, "inputs": {"text": "translate/t.txt"}},
            ],
        }
    )
