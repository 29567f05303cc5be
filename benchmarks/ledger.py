"""A batch of a million items on a simulated cluster: memory, the time of a resume, cost of a tick.

    python benchmarks/ledger.py [--items 1000000] [--done 100000] [--folder DIR] [--json]

Each part runs in a process of its own, whose largest resident set is taken from /proc:

- submit: what `coordinator submit` does with a list of all the ids, in no order, and a catalog of
  that many lines, up to the ledger that is ready to be driven.
- drive: the batch is driven until so many items are finished, and then killed with work out.
- resume: what `coordinator submit --resume` does, from the start of the interpreter to the end of
  the first tick. Then ticks are timed, while jobs end and others are sent at each.

The same is done with a thousand items: the cost of a tick must not depend on their number. A tick
sends and brings home about eight items in two packs; its cost is the median of its time, the
simulated cluster's and store's share included, the ledger on disk.

The cluster and the store are simulated, and the clock is moved by hand, so that nothing is waited
for. The store keeps only what was written lately, as it would count to the memory of this process;
the log tree, which is not measured, lies in memory where there is such a folder and is thinned out.
"""

import argparse
import io
import json
import logging
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any, NoReturn

import structlog

import coordinator.cli
from coordinator.catalog import read_item_list
from coordinator.cluster.simulated import Faults, SimulatedCluster, SimulatedWorker, World
from coordinator.commands import driving
from coordinator.commands.driving import drive
from coordinator.commands.planning import SubmitRequest, plan_submit
from coordinator.commands.submit import begin
from coordinator.engine import Driver, Snapshot
from coordinator.errors import ObjectMissing
from coordinator.settings import load_settings

BATCH, SMALL = "many", 1_000
LANES, PACK = 16, 4
SECONDS_AN_ITEM = 3.0  # at most, on the clock that is moved by hand: 1 s a tick
WARM_UP, TICKS = 20, 80  # a thousand items last for some 120
MOST_KEPT = 4_096  # objects in the store
PIPELINE = """
name: many
steps:
  - name: work
    job: command
    inputs: {{text: asset/text}}
    outputs: [stdout.txt]
    pack: {{size: {pack}}}
    options: {{command: ["true"]}}
"""


@dataclass(frozen=True)
class Result:
    """MB are 10^6 bytes; seconds of wall time."""

    items: int
    done: int  # finished before the kill
    peak_rss_mb: float  # of the parts below, the largest
    submit_rss_mb: float
    drive_rss_mb: float
    resume_rss_mb: float
    submit_seconds: float
    create_seconds: float  # of these, the ledger's
    drive_ms_per_item: float
    ledger_mb: float
    wal_mb: float  # at its largest
    resume_seconds: float
    tick_ms_at_1k: float
    tick_ms_at_1m: float  # at `items`
    tick_cpu_ms_at_1k: float
    tick_cpu_ms_at_1m: float

    def lines(self) -> list[str]:
        return [
            f"items      {self.items:,}, of which {self.done:,} were driven to their end",
            f"memory     {self.peak_rss_mb:.0f} MB at most: submit {self.submit_rss_mb:.0f},"
            f" drive {self.drive_rss_mb:.0f}, resume {self.resume_rss_mb:.0f}",
            f"submit     {self.submit_seconds:.1f} s, the ledger {self.create_seconds:.1f} s of it",
            f"drive      {self.drive_ms_per_item:.2f} ms an item in packs of {PACK}",
            f"ledger     {self.ledger_mb:.0f} MB, its log of changes {self.wal_mb:.1f} MB at most",
            f"resume     {self.resume_seconds:.1f} s to the end of the first tick",
            f"tick       {self.tick_ms_at_1k:.2f} ms at {SMALL:,} items,"
            f" {self.tick_ms_at_1m:.2f} ms at {self.items:,}; of the processor"
            f" {self.tick_cpu_ms_at_1k:.2f} and {self.tick_cpu_ms_at_1m:.2f} ms",
        ]


def main() -> int:
    asked = arguments()
    if asked.part:
        PARTS[asked.part](Path(asked.folder), asked.items, asked.done, asked.began)
        return 0
    with tempfile.TemporaryDirectory(prefix="ledger-", dir=asked.folder) as folder:
        result = measured(Path(folder), asked.items, min(asked.done, asked.items // 2))
    print(json.dumps(asdict(result)) if asked.json else "\n".join(result.lines()))
    return 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A batch of a million items.")
    parser.add_argument("--items", type=int, default=1_000_000, help="items (default 1000000)")
    parser.add_argument(
        "--done", type=int, default=100_000, help="finished before it is killed (default 100000)"
    )
    parser.add_argument("--folder", type=Path, help="where to work (that of temporary files)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--part", choices=sorted(PARTS), help=argparse.SUPPRESS)
    parser.add_argument("--began", type=float, default=0.0, help=argparse.SUPPRESS)
    return parser.parse_args()


def measured(folder: Path, items: int, done: int) -> Result:
    small = all_parts(folder / "small", SMALL, SMALL // 10)
    large = all_parts(folder / "large", items, done)
    peaks = {name: large[name]["peak_mb"] for name in PARTS}
    return Result(
        items=items,
        done=done,
        peak_rss_mb=max(peaks.values()),
        submit_rss_mb=peaks["submit"],
        drive_rss_mb=peaks["drive"],
        resume_rss_mb=peaks["resume"],
        submit_seconds=large["submit"]["seconds"],
        create_seconds=large["submit"]["create_seconds"],
        drive_ms_per_item=1000 * large["drive"]["seconds"] / done,
        ledger_mb=large["drive"]["ledger_mb"],
        wal_mb=max(large["drive"]["wal_mb"], large["resume"]["wal_mb"]),
        resume_seconds=large["resume"]["resume_seconds"],
        tick_ms_at_1k=small["resume"]["tick_ms"],
        tick_ms_at_1m=large["resume"]["tick_ms"],
        tick_cpu_ms_at_1k=small["resume"]["tick_cpu_ms"],
        tick_cpu_ms_at_1m=large["resume"]["tick_cpu_ms"],
    )


def all_parts(folder: Path, items: int, done: int) -> dict[str, dict[str, float]]:
    folder.mkdir()
    write_inputs(folder, items)
    logs = Path(tempfile.mkdtemp(prefix="ledger-logs-", dir=in_memory()))
    (folder / "local-logs").symlink_to(logs)
    try:
        return {name: run_part(name, folder, items, done) for name in PARTS}
    finally:
        shutil.rmtree(logs)


def run_part(name: str, folder: Path, items: int, done: int) -> dict[str, float]:
    command = [sys.executable, __file__, "--part", name, "--folder", str(folder)]
    command += ["--items", str(items), "--done", str(done), "--began", str(time.monotonic())]
    found = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, check=True)
    figures: dict[str, float] = json.loads(found.stdout)
    said = ", ".join(f"{key} {value:.3g}" for key, value in figures.items())
    print(f"{name} of {items:,}: {said}", file=sys.stderr, flush=True)
    return figures


def write_inputs(folder: Path, items: int) -> None:
    (folder / "pipeline.yml").write_text(PIPELINE.format(pack=PACK))
    (folder / "text.txt").write_text("some text\n")
    asset = {"text": {"href": str(folder / "text.txt")}}
    numbers = list(range(items))
    with (folder / "items.ndjson").open("w") as catalog:
        for number in numbers:
            properties = {"mt:source_language": "deu", "mt:target_language": "eng", "n": number}
            item = {"type": "Feature", "id": name_of(number)}
            catalog.write(json.dumps({**item, "properties": properties, "assets": asset}) + "\n")
    Random(7).shuffle(numbers)
    with (folder / "list.txt").open("w") as listed:
        listed.writelines(f"{name_of(number)}\n" for number in numbers)


def name_of(number: int) -> str:
    return f"newstest-2024-deu-eng-{number:07d}"


def in_memory() -> Path | None:
    """A folder in memory, where there is one."""
    folder = Path("/dev/shm")
    return folder if os.access(folder, os.W_OK) else None


# The parts, each in a process of its own.


def submit_part(folder: Path, _items: int, _done: int, _began: float) -> None:
    assert coordinator.cli and read_item_list  # what the command has in memory too
    began = time.monotonic()
    request = SubmitRequest(
        settings=settings(folder, catalog=str(folder / "items.ndjson"), keep_jobs=False),
        batch_name=BATCH,
        item_list=folder / "list.txt",
    )
    clock = HandClock()
    plan = plan_submit(request, clock, lambda *_: None)
    checked = time.monotonic()
    begin(plan, request.settings, clock)
    ended = time.monotonic()
    tell(seconds=ended - began, create_seconds=ended - checked)


def drive_part(folder: Path, _items: int, done: int, _began: float) -> None:
    run = Run(folder)
    began = time.monotonic()
    run.until(lambda snapshot: snapshot.finished >= done)
    tell(
        seconds=time.monotonic() - began,
        wal_mb=run.largest_wal / 1e6,
        ledger_mb=run.ledger.stat().st_size / 1e6,
    )
    killed()


def resume_part(folder: Path, _items: int, _done: int, began: float) -> None:
    run = Run(folder)
    run.until(lambda _snapshot: len(run.ticked_at) > WARM_UP + TICKS)
    tell(
        resume_seconds=run.ticked_at[0] - began,
        tick_ms=1000 * statistics.median(wall for wall, _ in run.ticks[WARM_UP:]),
        tick_cpu_ms=1000 * statistics.median(cpu for _, cpu in run.ticks[WARM_UP:]),
        wal_mb=run.largest_wal / 1e6,
    )
    killed()


PARTS = {"submit": submit_part, "drive": drive_part, "resume": resume_part}


def settings(folder: Path, **more: Any) -> Any:
    return load_settings(
        state_dir=folder / "state",
        log_dir=folder / "local-logs",
        output_root=str(folder / "outputs"),
        pipeline=folder / "pipeline.yml",
        slots=LANES,
        **more,
    )


def tell(**figures: float) -> None:
    status = Path("/proc/self/status").read_text()
    peak_kb = next(int(line.split()[1]) for line in status.splitlines() if "VmHWM" in line)
    print(json.dumps({**figures, "peak_mb": peak_kb * 1024 / 1e6}), flush=True)


def killed() -> NoReturn:
    """End as by SIGKILL: nothing is closed, nothing is said."""
    os._exit(0)


class Run:
    """The batch, driven by the command's own code but for the cluster, the store and the clock."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ledger = folder / "state" / BATCH / "ledger.db"
        self.logs = (folder / "local-logs").resolve() / BATCH / "work"
        self.clock, self.store = HandClock(), RecentStore(folder / "outputs")
        self.ticks: list[tuple[float, float]] = []  # seconds of wall and of processor time
        self.ticked_at: list[float] = []
        self.largest_wal = 0

    def until(self, is_enough: Any) -> None:
        cluster = simulated(self.clock, self.store)
        driving.make_cluster = lambda *_args, **_more: cluster
        driving.open_storage = self._open
        timed(self)

        def on_tick(snapshot: Snapshot) -> None:
            self._thin_out()
            if is_enough(snapshot):
                raise Enough

        try:
            drive(settings(self.folder), BATCH, self.clock, driving.Watch(on_tick=on_tick))
        except Enough:
            return
        raise SystemExit("the batch came to its end too early")

    def _open(self, address: str) -> Any:
        return open_storage(address) if address.startswith("file:") else self.store

    def _thin_out(self) -> None:
        wal = self.ledger.with_name("ledger.db-wal")
        self.largest_wal = max(self.largest_wal, wal.stat().st_size)
        if len(self.ticked_at) % 500 == 0:
            shutil.rmtree(self.logs, ignore_errors=True)


class Enough(BaseException):
    """No Exception, as little as a kill is one."""


open_storage = driving.open_storage


def timed(run: Run) -> None:
    """Note when each tick begins and ends."""
    tick = Driver.tick

    def ticking(driver: Driver) -> int:
        began, cpu = time.monotonic(), time.process_time()
        moved = tick(driver)
        ended = time.monotonic()
        run.ticks.append((ended - began, time.process_time() - cpu))
        run.ticked_at.append(ended)
        return moved

    Driver.tick = ticking  # type: ignore[method-assign]


# What is simulated.


class HandClock:
    """A second passes with each sleep, however long that was to be."""

    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return 1_700_000_000.0 + self.time

    def monotonic(self) -> float:
        return self.time

    def sleep(self, _seconds: float) -> None:
        self.time += 1.0

    def wake(self) -> None:
        """Nobody sleeps."""


class RecentStore:
    """Keeps the newest handoffs and results: nobody asks for older ones. All else is on disk."""

    def __init__(self, folder: Path) -> None:
        self._disk = open_storage(str(folder))
        self.uri = self._disk.uri
        self._recent: OrderedDict[str, bytes] = OrderedDict()

    def write(self, key: str, data: bytes) -> None:
        if not is_of_work(key):
            self._disk.write(key, data)
            return
        self._recent[key] = data
        if len(self._recent) > MOST_KEPT:
            self._recent.popitem(last=False)

    def read(self, key: str) -> bytes:
        if not is_of_work(key):
            return self._disk.read(key)
        if key not in self._recent:
            raise ObjectMissing(f"there is no {key}")
        return self._recent[key]

    def open(self, key: str) -> Any:
        return io.BytesIO(self.read(key))

    def size(self, key: str) -> int | None:
        if not is_of_work(key):
            return self._disk.size(key)
        return len(self._recent[key]) if key in self._recent else None

    def copy(self, source: str, target: str) -> None:
        self.write(target, self.read(source))

    def upload(self, path: Path, key: str) -> None:
        self._disk.upload(path, key)

    def list(self, prefix: str) -> Iterator[str]:
        return (key for key in sorted(self._recent) if key.startswith(prefix))


def is_of_work(key: str) -> bool:
    return "/handoff/" in key or "/items/" in key


def simulated(clock: HandClock, store: RecentStore) -> SimulatedCluster:
    """A cluster on which nothing goes wrong."""
    worker = SimulatedWorker(store, Faults(Random(7)), seconds=SECONDS_AN_ITEM)
    return SimulatedCluster(World(clock, worker, lanes=LANES))


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    sys.exit(main())
