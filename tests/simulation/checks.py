"""What must hold when a batch is over, whatever went wrong on the way."""

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from functools import cached_property
from typing import TYPE_CHECKING, Any

from coordinator.cluster import JobId
from coordinator.cluster.simulated import Fault
from coordinator.domain.dispatch_record import DispatchRecord, parse_dispatch
from coordinator.domain.handoff import Outcome, has_sizes, is_of, leaves_all, parse_outcome
from coordinator.domain.paths import AttemptKeys, BatchKeys
from coordinator.domain.states import DONE, FINISHED_ITEMS, AttemptState, FailureKind, ItemState
from coordinator.errors import ObjectMissing
from tests.simulation.nomad import bare_id
from tests.simulation.plan import STEPS

if TYPE_CHECKING:
    from tests.simulation.batch import Simulation

Row = dict[str, Any]
_OF_FATE = {Fault.MODEL_ERROR: FailureKind.MODEL_ERROR, Fault.BAD_INPUT: FailureKind.BAD_INPUT}


class Remains:
    """What is there when a batch is over: the ledger's rows beside what really happened."""

    def __init__(self, simulation: "Simulation") -> None:
        self.simulation, self.plan = simulation, simulation.plan
        self.world, self.shelf = simulation.world, simulation.shelf
        self.sights, self.keys = simulation.sights, BatchKeys("mine")
        with closing(sqlite3.connect(simulation.ledger_folder / "ledger.db")) as db:
            db.row_factory = sqlite3.Row
            self.items = _rows(db, "SELECT * FROM items ORDER BY seq")
            dispatches = _rows(db, "SELECT * FROM dispatches ORDER BY id")
            self.events = _rows(db, "SELECT * FROM events ORDER BY id")
            self.attempts = _rows(
                db, "SELECT a.*, i.id AS name FROM attempts a JOIN items i ON i.seq = a.item"
            )
        self.dispatches = [{**d, "job_id": bare_id(d["job_id"] or "")} for d in dispatches]

    @cached_property
    def of_dispatch(self) -> dict[int, list[Row]]:
        found = defaultdict(list)
        for attempt in self.attempts:
            found[attempt["dispatch"]].append(attempt)
        return found

    @cached_property
    def newest(self) -> list[Row]:
        """The attempts since each item was last begun."""
        rounds = {item["seq"]: item["round"] for item in self.items}
        return [a for a in self.attempts if a["round"] == rounds[a["item"]]]

    @cached_property
    def winners(self) -> list[Row]:
        return winners_of(a for a in self.attempts if a["state"] in set(DONE))

    @cached_property
    def runs(self) -> dict[tuple[str, str, int], set[tuple[JobId, int]]]:
        """(step, item, attempt) -> the placements of jobs that began it."""
        found = defaultdict(set)
        for sight in self.sights:
            if sight.what == "begun":
                key = (sight.step, sight.item, sight.attempt)
                found[key].add((sight.run.job.id, sight.run.number))
        return found

    @cached_property
    def in_time(self) -> set[tuple[str, str, int]]:
        """What was done by a run that the cluster had not given up yet."""
        return {(s.step, s.item, s.attempt) for s in self.sights if s.is_done_in_time}

    def keys_of(self, attempt: Row) -> AttemptKeys:
        return self.keys.attempt(attempt["name"], STEPS[attempt["step"]], attempt["number"])

    def outcome(self, attempt: Row) -> Outcome | None:
        """The outcome of an attempt, if it is whole and its own."""
        keys, step = self.keys_of(attempt), STEPS[attempt["step"]]
        try:
            outcome = parse_outcome(self.shelf.read(keys.outcome))
        except ObjectMissing:
            return None
        identity = {"item": attempt["name"], "attempt": attempt["number"]}
        if outcome is None or not is_of(outcome, batch="mine", step=step, **identity):
            return None
        sizes = {f.name: self.shelf.size(keys.file(f.name)) or -1 for f in outcome.files}
        outputs = self.plan.pipeline.steps[attempt["step"]].outputs
        return outcome if has_sizes(outcome, sizes) and leaves_all(outcome, outputs) else None

    def was_denied(self, attempt: Row) -> bool:
        """Whether the store once said that something of it was not there."""
        prefix = self.keys_of(attempt).prefix
        return any(key.startswith(prefix) for key in self.shelf.denied)


def winners_of(done: Iterable[Row]) -> list[Row]:
    """Of each item and step the newest success, if none of an earlier step is newer still."""
    found: dict[tuple[int, int], Row] = {}
    for attempt in sorted(done, key=_age):
        for step in range(attempt["step"], len(STEPS)):
            found.pop((attempt["item"], step), None)
        found[attempt["item"], attempt["step"]] = attempt
    return list(found.values())


def out_of_date(simulation: "Simulation") -> list[str]:
    """What is published just now though an earlier step was done again since."""
    query = (
        "SELECT a.*, i.id AS name FROM attempts a JOIN items i ON i.seq = a.item"
        " WHERE a.state IN ('succeeded', 'no_data')"
    )
    with closing(sqlite3.connect(simulation.ledger_folder / "ledger.db")) as db:
        db.row_factory = sqlite3.Row
        done = _rows(db, query)
    last, winners = len(STEPS) - 1, {a["id"] for a in winners_of(done)}
    return [
        key
        for attempt in done
        if attempt["step"] == last and attempt["id"] not in winners
        for key in _published_of(simulation, attempt)
    ]


def _published_of(simulation: "Simulation", attempt: Row) -> Iterator[str]:
    """The files of this attempt that are published: each attempt writes something else."""
    keys, shelf, step = BatchKeys("mine"), simulation.shelf, attempt["step"]
    wrote = keys.attempt(attempt["name"], STEPS[step], attempt["number"])
    for name in simulation.plan.pipeline.steps[step].outputs:
        there = keys.published(attempt["name"], name)
        is_there = None not in (shelf.size(there), shelf.size(wrote.file(name)))
        if is_there and shelf.read(there) == shelf.read(wrote.file(name)):
            yield there


def violations_of(simulation: "Simulation") -> list[str]:
    """All that does not hold, in words."""
    remains = Remains(simulation)
    return [said for check in CHECKS for said in check(remains)]


def every_item_is_in_one_final_state(remains: Remains) -> Iterator[str]:
    if len(remains.items) != remains.plan.items:
        yield f"{len(remains.items)} items of {remains.plan.items}"
    for item in remains.items:
        if item["state"] not in set(FINISHED_ITEMS):
            yield f"{item['id']} is left {item['state']}"
    for attempt in remains.attempts:
        if attempt["state"] in ("ready", "claimed", "submitted", "running"):
            yield f"{attempt['name']} a{attempt['number']} is left {attempt['state']}"


def one_token_gives_one_job(remains: Remains) -> Iterator[str]:
    """When the cluster has forgotten a job its token is as good as new: no fault of ours."""
    ours = {dispatch["token"] for dispatch in remains.dispatches} | {"the neighbour's"}
    for token, jobs in remains.world.given.items():
        if token not in ours:
            yield "the cluster was sent a token that the ledger does not know"
        if jobs > 1 and token not in remains.world.forgotten:
            yield f"a token gave {jobs} jobs"


def one_dispatch_has_one_real_job(remains: Remains) -> Iterator[str]:
    ids = Counter(d["job_id"] for d in remains.dispatches if d["job_id"])
    for job, dispatches in ids.items():
        if dispatches > 1:
            yield f"{job} is the job of {dispatches} dispatches"
        if job not in remains.world.ever:
            yield f"{job} is no job that the cluster ever had"


def no_attempt_runs_twice(remains: Remains) -> Iterator[str]:
    """But where the cluster itself placed its job twice, or forgot it."""
    for (step, item, attempt), placements in remains.runs.items():
        jobs = {job for job, _ in placements}
        tokens = {remains.world.ever[job].token for job in jobs}
        if len(tokens) > 1 or (len(jobs) > 1 and not tokens & remains.world.forgotten):
            yield f"{step} of {item} a{attempt} was run by {len(jobs)} jobs"
    done = {(s.step, s.item, s.attempt, s.run.job.id) for s in remains.sights if s.is_done_in_time}
    for work, jobs in Counter((step, item, attempt) for step, item, attempt, _ in done).items():
        if jobs > 1:
            yield f"{work} was done by {jobs} jobs"


def thresholds_hold_at_every_moment(remains: Remains) -> Iterator[str]:
    starts, ends = _starts(remains), _ends(remains)
    stop, resume = remains.plan.thresholds.stop_at, remains.plan.thresholds.resume_at
    in_flight, is_paused = 0, False
    for event in remains.events:
        new = starts[event["dispatch"]] if event["action"] == "claimed" else 0
        if new and is_paused:
            yield f"{new} new items were started with {in_flight} in flight, while paused"
        in_flight += new - ends[event["id"]]
        if in_flight > stop:
            yield f"{in_flight} items in flight, the stop threshold is {stop}"
        is_paused = in_flight >= stop or (is_paused and in_flight > resume)


def _starts(remains: Remains) -> Counter[int]:
    """Dispatch -> items that it put in flight."""
    first = {_round(a): a for a in sorted(remains.attempts, key=_age, reverse=True)}
    return Counter(a["dispatch"] for a in first.values())


def _round(attempt: Row) -> tuple[int, int]:
    return attempt["item"], attempt["round"]


def _age(attempt: Row) -> int:
    return int(attempt["id"])


def _ends(remains: Remains) -> Counter[int]:
    """Event -> items that it ended."""
    last = {_round(a): a["id"] for a in sorted(remains.attempts, key=_age)}
    final = set(last.values())
    return Counter(
        e["id"] for e in remains.events if e["attempt"] in final and e["new"] is not None
    )


def no_success_without_a_whole_outcome(remains: Remains) -> Iterator[str]:
    done = {(s.step, s.item, s.attempt) for s in remains.sights if s.what == "done"}
    for attempt in remains.attempts:
        if attempt["state"] not in set(DONE):
            continue
        name = f"{STEPS[attempt['step']]} of {attempt['name']} a{attempt['number']}"
        outcome = remains.outcome(attempt)
        if outcome is None or outcome.status != attempt["state"]:
            yield f"{name} is {attempt['state']} without an outcome that says so"
        if (STEPS[attempt["step"]], attempt["name"], attempt["number"]) not in done:
            yield f"{name} is {attempt['state']}, and was never done"


def a_whole_outcome_is_believed(remains: Remains) -> Iterator[str]:
    for attempt in remains.attempts:
        key = (STEPS[attempt["step"]], attempt["name"], attempt["number"])
        if key not in remains.in_time or remains.was_denied(attempt):
            continue
        outcome = remains.outcome(attempt)
        if outcome is not None and outcome.status != attempt["state"]:
            yield f"{key} left an outcome ({outcome.status}), and counts as {attempt['state']}"


def only_the_cluster_refuses(remains: Remains) -> Iterator[str]:
    for attempt in remains.attempts:
        if attempt["reason"].startswith("refused"):
            [name] = [d["name"] for d in remains.dispatches if d["id"] == attempt["dispatch"]]
            if name not in remains.world.refused:
                yield f"{attempt['name']} failed as refused, and {name} was not"


def only_what_somebody_asked_for_is_stopped(remains: Remains) -> Iterator[str]:
    asked = remains.simulation.people.stopped_items | _out_at_a_stop(remains)
    for attempt in remains.attempts:
        if attempt["state"] == AttemptState.STOPPED and attempt["name"] not in asked:
            yield f"{attempt['name']} a{attempt['number']} counts as stopped on request"


def _out_at_a_stop(remains: Remains) -> set[str]:
    """The items of dispatches that were out when somebody stopped all at once."""
    out: set[int] = set()
    found: set[int] = set()
    for event in remains.events:
        if event["action"] == "claimed":
            out.add(event["dispatch"])
        elif event["action"] == "ended":
            out.discard(event["dispatch"])
        elif event["action"] == "stop now asked":
            found |= out
    return {a["name"] for dispatch in found for a in remains.of_dispatch[dispatch]}


def nothing_is_started_during_a_pause(remains: Remains) -> Iterator[str]:
    is_paused = False
    for event in remains.events:
        if event["action"] in ("pause asked", "pause lifted"):
            is_paused = event["action"] == "pause asked"
        elif event["action"] == "claimed" and is_paused:
            yield f"dispatch {event['dispatch']} was claimed while somebody had it paused"


def canaries_succeed_before_others_start(remains: Remains) -> Iterator[str]:
    """Whatever puts other items in flight is claimed while all canaries have succeeded."""
    canaries = {item["seq"] for item in remains.items[: remains.plan.canaries]}
    if not canaries or len(canaries) == len(remains.items):
        return
    by_id = {attempt["id"]: attempt for attempt in remains.attempts}
    begins = {_round(a): a["id"] for a in sorted(remains.attempts, key=_age, reverse=True)}
    good: set[int] = set()
    for event in remains.events:
        if event["action"] == "canaries lifted":
            return
        if event["action"] == "claimed":
            claimed = remains.of_dispatch[event["dispatch"]]
            good -= {attempt["item"] for attempt in claimed}
            begun = {a["item"] for a in claimed if begins[_round(a)] == a["id"]}
            if begun - canaries and good != canaries:
                yield f"dispatch {event['dispatch']} begins others, {len(good)} canaries succeeded"
        elif (attempt := by_id.get(event["attempt"])) and _ends_well(event, attempt):
            good |= canaries & {attempt["item"]}


def _ends_well(event: Row, attempt: Row) -> bool:
    is_last = attempt["step"] == len(STEPS) - 1
    return event["new"] == "no_data" or (event["new"] == "succeeded" and is_last)


def failures_are_true(remains: Remains) -> Iterator[str]:
    """An item fails by its own fault, or when it has used up all its tries."""
    tries: Counter[tuple[int, int, str]] = Counter(
        (a["item"], a["step"], a["kind"]) for a in remains.newest if a["kind"]
    )
    refused = {a["item"] for a in remains.newest if a["reason"].startswith("refused")}
    for item in remains.items:
        step = remains.plan.pipeline.steps[item["step"]]
        fate = _OF_FATE.get(remains.plan.fates.get((step.name, item["id"]), Fault.SLOW))
        if item["state"] != ItemState.FAILED:
            if fate is not None and item["state"] == ItemState.SUCCEEDED:
                yield f"{item['id']} succeeded in spite of its {fate}"
            continue
        kind = FailureKind(item["kind"])
        if kind in _OF_FATE.values():
            if kind is not fate:
                yield f"{item['id']} failed by {kind}, and is none"
            continue
        used, granted = tries[item["seq"], item["step"], kind], step.retry_rule(kind).attempts
        if used != granted and item["seq"] not in refused:
            yield f"{item['id']} failed by {kind} after {used} tries of {granted}"


def an_untouched_item_is_not_charged(remains: Remains) -> Iterator[str]:
    """Out of memory, a crash or exit 0 need a run; only what keeps a job from it does not.

    Where the store denied what its dispatch had begun, all of it is to blame, for all one knows.
    """
    blameless = {*FailureKind} - {
        FailureKind.LOST,
        FailureKind.INFRASTRUCTURE,
        FailureKind.TIMEOUT,
        FailureKind.UNKNOWN,
        FailureKind.STOPPED,
    }
    for attempt in remains.attempts:
        key = (STEPS[attempt["step"]], attempt["name"], attempt["number"])
        if attempt["kind"] in blameless and key not in remains.runs:
            others = remains.of_dispatch[attempt["dispatch"]]
            if attempt["kind"] == FailureKind.CREDENTIALS and not any(
                (STEPS[a["step"]], a["name"], a["number"]) in remains.runs for a in others
            ):
                continue  # its whole job was refused before it began anything
            if any(remains.was_denied(a) for a in others):
                continue
            yield f"{key} was charged with {attempt['kind']}, and never ran"


def what_won_is_published(remains: Remains) -> Iterator[str]:
    """And nothing else: no scores of translations that were made again since.

    A store may take back what it has shown: then what was published before stays, of an attempt
    that counts as failed since.
    """
    expected = {}
    for attempt in remains.winners:
        for name in remains.plan.pipeline.steps[attempt["step"]].outputs:
            key = remains.keys.published(attempt["name"], name)
            expected[key] = remains.keys_of(attempt).file(name)
    for there, wrote in expected.items():
        if remains.shelf.size(there) is None:
            yield f"{there} is not there"
        elif remains.shelf.read(there) != remains.shelf.read(wrote):
            yield f"{there} is not {wrote}"
    outputs = {name for step in remains.plan.pipeline.steps for name in step.outputs}
    expected |= dict.fromkeys(_published_and_denied(remains), "")
    for key in remains.shelf.list("mine/items/"):
        if key.count("/") == 3 and key.rpartition("/")[2] in outputs and key not in expected:
            yield f"{key} is out of date"


def what_is_done_again_was_asked_for(remains: Remains) -> Iterator[str]:
    asked = remains.simulation.people.redone
    for item in remains.items:
        if item["round"] != 1 + asked[item["id"]]:
            yield f"{item['id']} was begun {item['round']} times, asked {asked[item['id']]}"
    done = Counter((*_round(a), a["step"]) for a in remains.attempts if a["state"] in set(DONE))
    for (item, number, step), count in done.items():
        if count > 1:
            yield f"item {item} has done {STEPS[step]} {count} times in round {number}"


def _published_and_denied(remains: Remains) -> Iterator[str]:
    for attempt in remains.attempts:
        if attempt["state"] not in set(DONE) and remains.was_denied(attempt):
            for name in remains.plan.pipeline.steps[attempt["step"]].outputs:
                yield remains.keys.published(attempt["name"], name)


def every_dispatch_is_home(remains: Remains) -> Iterator[str]:
    """The log tree tells what the ledger does, and holds the logs that there were."""
    for dispatch in remains.dispatches:
        logs = remains.simulation.logs.dispatch(STEPS[dispatch["step"]], dispatch["name"])
        if not logs.record.exists():
            yield f"{dispatch['name']} left no record"
            continue
        record = parse_dispatch(logs.record.read_bytes())
        if record is None or _told(record) != _known(remains.of_dispatch[dispatch["id"]]):
            yield f"the record of {dispatch['name']} differs from the ledger"
        yield from _logs_missed(remains, dispatch, logs.stream("worker", "stdout"))


def _logs_missed(remains: Remains, dispatch: Row, path: Any) -> Iterator[str]:
    job = remains.world.ever.get(dispatch["job_id"])
    if job is None or not job.has_logs or dispatch["token"] in remains.world.forgotten:
        return
    home = path.read_bytes() if path.exists() else None
    written = bytes(job.runs[-1].stdout) if job.runs else b""
    if home is None:
        yield f"the log of {job.id} never came home"
    elif not written.startswith(home) or bool(home) != bool(written):
        yield f"the log of {job.id} came home in part"


def _told(record: DispatchRecord) -> set[tuple[str, int, AttemptState]]:
    return {(a.item, a.attempt, a.state) for a in record.attempts}


def _known(attempts: list[Row]) -> set[tuple[str, int, AttemptState]]:
    return {(a["name"], a["number"], AttemptState(a["state"])) for a in attempts}


def nothing_of_others_is_touched(remains: Remains) -> Iterator[str]:
    simulation = remains.simulation
    for key, data in simulation.neighbours.items():
        if simulation.shelf.size(key) is None or simulation.shelf.read(key) != data:
            yield f"{key} of the neighbour was changed"
    job = simulation.neighbour
    if job.is_asked_to_stop:
        yield "the neighbour's job was stopped"
    if job.id not in remains.world.jobs and job.token not in remains.world.forgotten:
        yield "the neighbour's job was purged"


def nothing_is_left_behind(remains: Remains) -> Iterator[str]:
    if remains.plan.keep_jobs:
        return
    for job in remains.world.jobs:
        if job != remains.simulation.neighbour.id:
            yield f"{job} is left on the cluster"


CHECKS: tuple[Callable[[Remains], Iterator[str]], ...] = (
    every_item_is_in_one_final_state,
    one_token_gives_one_job,
    one_dispatch_has_one_real_job,
    no_attempt_runs_twice,
    thresholds_hold_at_every_moment,
    no_success_without_a_whole_outcome,
    only_the_cluster_refuses,
    only_what_somebody_asked_for_is_stopped,
    nothing_is_started_during_a_pause,
    canaries_succeed_before_others_start,
    a_whole_outcome_is_believed,
    failures_are_true,
    an_untouched_item_is_not_charged,
    what_won_is_published,
    what_is_done_again_was_asked_for,
    every_dispatch_is_home,
    nothing_of_others_is_touched,
    nothing_is_left_behind,
)


def _rows(db: sqlite3.Connection, query: str) -> list[Row]:
    return [dict(row) for row in db.execute(query)]
