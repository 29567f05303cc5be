"""How fast dispatches get to Nomad: raw, through the coordinator, and after a listing of all jobs.

    python benchmarks/dispatch.py [--items 5000] [--list_all_items 5000] [--json]

Everything is measured in one run, against one agent that keeps its state on disk (one server and
one client, both new), with a job of Nomad's mock driver that ends after 10 ms. Between two
measurements all jobs are ended and purged.

- raw: as many concurrent keep-alive dispatch requests, by the same client, and nothing else; with
  the best of several numbers of connections.
- coordinator: a batch of one-item dispatches, thresholds out of the way: claimed in the ledger,
  handed over, sent, confirmed, while what ends is brought home. First request to last confirmation.
- list_all: one dispatch after the other, all jobs listed before each.
- wall_over_fire_all: first dispatch to last outcome with thresholds on, over the same with
  thresholds out of the way.

The outcomes, which workers would leave, are written before the clock starts. They and the handoffs
lie in memory where there is such a folder, as in practice they lie on a server of their own: a
disk takes 0.02 to 0.5 ms of processor time to create a file, by how many were deleted lately. The
ledger is on disk.
"""

import argparse
import json
import logging
import os
import sys
import tempfile
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import structlog

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY / "local-cluster"))

from agents import Options, dev_agent  # noqa: E402
from programs import program  # noqa: E402

from coordinator.clock import SystemClock  # noqa: E402
from coordinator.cluster import Resources  # noqa: E402
from coordinator.cluster.nomad.api import NomadAddress, NomadApi  # noqa: E402
from coordinator.cluster.nomad.cluster import NomadCluster  # noqa: E402
from coordinator.cluster.nomad.job_files import read_source  # noqa: E402
from coordinator.cluster.nomad.parents import Parent, register  # noqa: E402
from coordinator.domain.handoff import Outcome  # noqa: E402
from coordinator.domain.items import WorkItem  # noqa: E402
from coordinator.domain.paths import BatchKeys, LogTree  # noqa: E402
from coordinator.domain.states import AttemptState, ItemState  # noqa: E402
from coordinator.engine import Batch, Driver, Snapshot, Thresholds  # noqa: E402
from coordinator.ledger import Ledger  # noqa: E402
from coordinator.pipelines import Pipeline  # noqa: E402
from coordinator.storage import open_storage  # noqa: E402

CONNECTIONS = (16, 24, 32)  # of the raw limit: the best of a short trial is measured in full
TRIAL = 400  # dispatches
JOB_FILE = REPOSITORY / "benchmarks" / "mock.nomad.hcl"
PURGES_AT_A_TIME = 16
STOP, RESUME = 120, 90  # with thresholds on: about two seconds of what the scheduler can do


@dataclass(frozen=True)
class Result:
    """Dispatches per second, and ratios."""

    items: int
    list_all_items: int
    raw_per_second: float
    coordinator_per_second: float
    list_all_per_second: float
    coordinator_over_raw: float
    coordinator_over_list_all: float
    fire_all_wall_seconds: float
    thresholds_wall_seconds: float
    wall_over_fire_all: float

    def lines(self) -> list[str]:
        return [
            f"raw                {self.raw_per_second:8.1f} a second",
            f"coordinator        {self.coordinator_per_second:8.1f} a second,"
            f" {self.coordinator_over_raw:.2f} of raw",
            f"list all before    {self.list_all_per_second:8.1f} a second over"
            f" {self.list_all_items:,}; the coordinator does"
            f" {self.coordinator_over_list_all:.1f} times as many",
            f"fire all and wait  {self.fire_all_wall_seconds:8.1f} s for {self.items:,} items",
            f"thresholds on      {self.thresholds_wall_seconds:8.1f} s,"
            f" {self.wall_over_fire_all:.2f} times that",
        ]


@dataclass(frozen=True)
class Run:
    """One batch through the coordinator; seconds."""

    dispatching: float  # from the first claim to the last confirmation
    wall: float  # to the last outcome


@dataclass(frozen=True)
class Bench:
    """Where it is measured."""

    api: NomadApi
    folder: Path  # of the ledgers and logs
    outputs: str  # the output root


def main() -> int:
    asked = arguments()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with (
        tempfile.TemporaryDirectory(prefix="dispatch-") as folder,
        tempfile.TemporaryDirectory(prefix="dispatch-", dir=in_memory()) as outputs,
        dev_agent(program("nomad"), Options(gc_max_allocs=50_000)) as agents,
    ):
        bench = Bench(NomadApi(NomadAddress(agents.address)), Path(folder), outputs)
        result = measured(bench, asked.items, asked.list_all_items)
    print(json.dumps(asdict(result)) if asked.json else "\n".join(result.lines()))
    return 0


def say(line: str) -> None:
    """Tell how far it is, beside the result."""
    print(line, file=sys.stderr, flush=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="How fast dispatches get to Nomad.")
    parser.add_argument("--items", type=int, default=5_000, help="dispatches (default 5000)")
    parser.add_argument(
        "--list_all_items", type=int, help="dispatches that list all jobs first (as --items)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    asked = parser.parse_args()
    asked.list_all_items = asked.list_all_items or asked.items
    return asked


def measured(bench: Bench, items: int, list_all_items: int) -> Result:
    api, trials = bench.api, {}
    for connections in CONNECTIONS:
        trials[connections] = raw_rate(bench, min(TRIAL, items), connections)
        say(f"raw trial, {connections} connections: {trials[connections]:.1f} a second")
        clear(api)
    best = max(trials, key=lambda connections: trials[connections])
    before = raw_rate(bench, items, best)
    say(f"raw, {best} connections: {before:.1f} a second")
    clear(api)
    fired = batch_run(bench, items, Thresholds(items + 1, 0), "fire-all")
    say(f"coordinator: {items / fired.dispatching:.1f} a second, {fired.wall:.1f} s in all")
    clear(api)
    after = raw_rate(bench, items, best)
    say(f"raw once more: {after:.1f} a second")
    clear(api)
    paced = batch_run(bench, items, Thresholds(STOP, RESUME), "paced")
    say(f"thresholds {STOP}/{RESUME}: {paced.wall:.1f} s in all")
    clear(api)
    listing = list_all_rate(bench, list_all_items)
    say(f"list all before each: {listing:.1f} a second")
    raw = (before + after) / 2  # machines drift
    coordinator = items / fired.dispatching
    return Result(
        items=items,
        list_all_items=list_all_items,
        raw_per_second=raw,
        coordinator_per_second=coordinator,
        list_all_per_second=listing,
        coordinator_over_raw=coordinator / raw,
        coordinator_over_list_all=coordinator / listing,
        fire_all_wall_seconds=fired.wall,
        thresholds_wall_seconds=paced.wall,
        wall_over_fire_all=paced.wall / fired.wall,
    )


# what is compared with


def raw_rate(bench: Bench, count: int, connections: int) -> float:
    """Dispatches a second with nothing else to do."""
    api, parent = bench.api, registered(bench, f"raw-{connections}")

    def send(number: int) -> None:
        dispatch(api, parent, f"raw-{number}")

    with ThreadPoolExecutor(connections) as pool:
        list(pool.map(lambda _: api.get("status", "leader"), range(4 * connections)))
        began = time.perf_counter()
        list(pool.map(send, range(count)))
        return count / (time.perf_counter() - began)


def list_all_rate(bench: Bench, count: int) -> float:
    """Dispatches a second where each waits for a list of all jobs."""
    api, parent = bench.api, registered(bench, "list-all")
    began = time.perf_counter()
    for number in range(count):
        api.get("jobs")
        dispatch(api, parent, f"list-{number}")
    return count / (time.perf_counter() - began)


def dispatch(api: NomadApi, parent: Parent, name: str) -> None:
    body = {"Meta": {"handoff": "none"}, "IdPrefixTemplate": name}
    api.post("job", parent.id, "dispatch", json=body, idempotency_token=uuid.uuid4().hex)


# the coordinator


def batch_run(bench: Bench, items: int, thresholds: Thresholds, name: str) -> Run:
    """A whole batch of one-item dispatches, and the times of its first and last steps."""
    pipeline = Pipeline.model_validate(
        {
            "name": "mock",
            "steps": [
                {"name": "mock", "job": "command", "pack": {"size": 1}, "resources": RESOURCES}
            ],
        }
    )
    work = [WorkItem(id=f"item-{number:05}") for number in range(items)]
    storage = open_storage(bench.outputs)
    for item in work:
        leave_outcome(storage, name, item)
    batch = Batch(
        name,
        pipeline,
        "",
        thresholds,
        LogTree(bench.folder / "logs", name),
        keep_jobs=False,
        max_same_failure=0,
    )
    clock = SystemClock()
    ledger = Ledger.create(bench.folder / name, clock, {}, [(item, "") for item in work])
    cluster = NomadCluster(bench.api, [parent_of(bench, name)], wake=clock.wake)
    try:
        cluster.prepare()
        return driven(Driver(batch, ledger, cluster, storage, clock), ledger, items)
    finally:
        cluster.close()
        ledger.close()


def driven(driver: Driver, ledger: Ledger, items: int) -> Run:
    began, all_sent = time.perf_counter(), 0.0

    def look(snapshot: Snapshot) -> None:
        nonlocal all_sent
        waiting = snapshot.tally.of_step(0, AttemptState.READY, AttemptState.CLAIMED)
        if not waiting and not all_sent:
            all_sent = time.perf_counter()

    driver.run(look)
    ended = time.perf_counter()
    done = ledger.tally().items.get(ItemState.SUCCEEDED, 0)
    if done != items:
        raise SystemExit(f"{done} of {items} items succeeded: this measures nothing")
    return Run(all_sent - began, ended - began)


def leave_outcome(storage: object, batch: str, item: WorkItem) -> None:
    outcome = Outcome(
        batch=batch,
        dispatch="mock",
        step="mock",
        item=item.id,
        attempt=1,
        status="succeeded",
        started_at=0.0,
        ended_at=0.0,
    )
    key = BatchKeys(batch).attempt(item.id, "mock", 1).outcome
    storage.write(key, outcome.model_dump_json().encode())  # type: ignore[attr-defined]


# means


def in_memory() -> str | None:
    """A folder that is no disk, where there is one."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


_WORKING = 'ClientStatus == "pending" or ClientStatus == "running"'
RESOURCES = {"cpu": 1, "memory_mb": 16}


def parent_of(bench: Bench, batch: str) -> Parent:
    return Parent(
        batch=batch,
        uid="benchmark",
        step="mock",
        resources=Resources(1, 16),
        output_root=bench.outputs,
        job_file=read_source(JOB_FILE),
    )


def registered(bench: Bench, batch: str) -> Parent:
    parent = parent_of(bench, batch)
    register(bench.api, [parent])
    return parent


def clear(api: NomadApi) -> None:
    """Purge all, ended or not, and wait until the scheduler has nothing left to do."""
    with ThreadPoolExecutor(PURGES_AT_A_TIME) as pool:
        list(pool.map(lambda job: purge(api, job["ID"]), children(api)))
    for job in api.get("jobs"):
        purge(api, job["ID"])
    while any(evaluations(api, status) for status in ("pending", "blocked")) or working(api):
        time.sleep(1.0)
    api.put("system", "gc")


def purge(api: NomadApi, job: str) -> None:
    api.delete("job", job, purge="true")


def evaluations(api: NomadApi, status: str) -> int:
    found = api.get("evaluations", "count", filter=f'Status == "{status}"')
    return int(found["Count"])


def working(api: NomadApi) -> bool:
    """Whether a node has anything to do."""
    return bool(api.get("allocations", filter=_WORKING))


def children(api: NomadApi) -> list[dict[str, str]]:
    return [job for job in api.get("jobs") if job["ParentID"]]


if __name__ == "__main__":
    sys.exit(main())
