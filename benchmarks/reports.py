"""How fast, and in how much memory, the logs of another batch system are read.

    python benchmarks/reports.py [--items 2000] [--megabytes 600] [--giant 1024] [--json]

Trees as `inputs/rules/fim-pipeline.yml` reads them, made by this script from a seed: a job that
drives each item and two that it starts, most lines of which say nothing. Three trees:

- `tree`: so many items, three logs each, so many megabytes in all.
- `giant`: a small one in which a single log has `--giant` megabytes, in lines.
- `one line`: the same, and that log has no line break.

`over_naive_reader`: how many times as fast `report --rules` is, over the first tree, as a reader
that takes each message of each log and looks for each pattern in it, in one process, line by line:
the way such logs are commonly read. `over_naive_same_files` compares with that reader over the
logs alone that decide: those of the job that drives. Each is read three times in turn and the
medians count. `peak_rss_mb` is the most that the program and its processes held together, the
highest of the three trees; `mb_per_second` is megabytes of the whole tree a second.
"""

import argparse
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil

REPOSITORY = Path(__file__).resolve().parent.parent
RULES = REPOSITORY / "inputs/rules/fim-pipeline.yml"
MEGABYTE = 1 << 20
DRIVER, CHILDREN = "pipeline", ("hand_inundator", "agreement_maker")
BATCH = "made"
LOOK_SECONDS = 0.02

QUIET = (
    "Found credentials in environment variables.",
    "Copied flow file to storage: s3://results/{batch}/{item}/flow-{n}.csv",
    "Job hand_inundator/{n} status change: DISPATCHED -> PENDING",
    "Job hand_inundator/{n} status change: PENDING -> RUNNING",
    "Job agreement_maker/{n} completed with status JobStatus.SUCCEEDED (exit_code: 0)",
    "Reading tile {n} of the elevation model, {n} cells, error rate 0.00{n}",
)
NOISE = (
    "WARNING reader: response_code=503, tile {n} is asked for again",
    "WARNING worker: Unmanaged memory use is high: {n} MiB",
    "WARNING No matching forecast data for catchment features of {n}",
)
# What such a log may end with, and how often of a hundred.
ENDS = (
    (88, ("INFO Pipeline SUCCESS: 3/3 scenarios completed",)),
    (4, ("INFO Pipeline exiting early: No catchments found",)),
    (
        4,
        (
            "ERROR Job agreement_maker/{n} failed. Exit Code: 137, OOM Killed",
            "ERROR Pipeline FAILED: a job of it did",
        ),
    ),
    (2, ("ERROR Job hand_inundator/{n}: JobStatus.LOST", "ERROR Pipeline FAILED: a job of it did")),
    (2, ()),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--items", type=int, default=2_000)
    parser.add_argument("--megabytes", type=int, default=600)
    parser.add_argument("--giant", type=int, default=1_024, help="megabytes of the one large log")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="reports-") as scratch:
        found = measured(Path(scratch), asked)
    print(json.dumps(found) if asked.json else table(found))


def measured(scratch: Path, asked: argparse.Namespace) -> dict[str, Any]:
    tree = scratch / "tree"
    ends = make_tree(tree, asked.items, asked.megabytes * MEGABYTE)
    size = sum(path.stat().st_size for path in tree.rglob("*.0"))
    times: dict[str, list[float]] = {"ours": [], "naive": [], "naive_same_files": []}
    peaks = []
    for _ in range(asked.rounds):
        ours = report(tree, scratch / "report")
        check(scratch / "report", ends)
        times["ours"].append(ours["seconds"])
        peaks.append(ours["peak_rss_mb"])
        times["naive"].append(naive_seconds(tree))
        times["naive_same_files"].append(naive_seconds(tree, DRIVER))
    median = {name: statistics.median(seconds) for name, seconds in times.items()}
    giants = {kind: giant(scratch, kind, asked.giant) for kind in ("lines", "one line")}
    return {
        "items": asked.items,
        "megabytes": round(size / MEGABYTE, 1),
        "seconds": {name: round(value, 2) for name, value in median.items()},
        "over_naive_reader": round(median["naive"] / median["ours"], 1),
        "over_naive_same_files": round(median["naive_same_files"] / median["ours"], 1),
        "mb_per_second": round(size / MEGABYTE / median["ours"], 1),
        "naive_mb_per_second": round(size / MEGABYTE / median["naive"], 1),
        "giant": giants,
        "peak_rss_mb": max(*peaks, *(each["peak_rss_mb"] for each in giants.values())),
        "processors": os.cpu_count(),
    }


# the trees


def make_tree(base: Path, items: int, size: int) -> dict[str, int]:
    """Write the tree; how many items end in which way, by the number of the way."""
    chance = random.Random(items)
    lines = size // (items * (1 + len(CHILDREN)))
    ends: dict[str, int] = {}
    for number in range(items):
        item = f"area-{number:05d}"
        way = chance.choices(range(len(ENDS)), [share for share, _ in ENDS])[0]
        ends[str(way)] = ends.get(str(way), 0) + 1
        write(base, DRIVER, item, "coordinator", driver_log(chance, item, lines, ENDS[way][1]))
        for child in CHILDREN:
            write(base, child, item, "processor", child_log(chance, item, lines))
    return ends


def write(base: Path, job: str, item: str, task: str, text: Iterator[str]) -> Path:
    fields = f"batch_name={BATCH},aoi_name={item},collection=made"
    stamp = f"{1_700_000_000 + hash_of(item) % 1_000_000}-{hash_of(item + job):08x}"
    folder = base / BATCH / job / f"dispatch-[{fields}]-{stamp}"
    folder.mkdir(parents=True)
    path = folder / f"{task}.stderr.0"
    with path.open("w", encoding="utf-8") as stream:
        stream.writelines(text)
    return path


def hash_of(text: str) -> int:
    return random.Random(text).getrandbits(32)


def driver_log(chance: random.Random, item: str, size: int, end: Sequence[str]) -> Iterator[str]:
    clock = chance.randrange(3_600)
    written = 0
    while written < size:
        clock += 1
        line = f"{moment(clock)} INFO {quiet(chance, item)}\n"
        if chance.random() < 0.01:
            line = f"{moment(clock)} {chance.choice(NOISE).format(n=chance.randrange(10**6))}\n"
        written += len(line)
        yield line
    for said in end:
        yield f"{moment(clock + 1)} {said.format(n=chance.randrange(10**6))}\n"


def child_log(chance: random.Random, item: str, size: int) -> Iterator[str]:
    clock = written = 0
    while written < size:
        clock += 1
        fields = {"level": "INFO", "timestamp": moment(clock), "message": quiet(chance, item)}
        line = json.dumps(fields) + "\n"
        written += len(line)
        yield line


def quiet(chance: random.Random, item: str) -> str:
    return chance.choice(QUIET).format(batch=BATCH, item=item, n=chance.randrange(10**6))


def moment(seconds: int) -> str:
    return f"2026-11-20 {seconds // 3600 % 24:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d},000"


def giant(scratch: Path, kind: str, megabytes: int) -> dict[str, float]:
    """Read a tree of two items, one log of which is very large."""
    base = scratch / kind.replace(" ", "-")
    make_tree(base, 2, 2 * 3 * 10_000)
    path = next((base / BATCH / DRIVER).glob("*/*.0"))
    block = "".join(driver_log(random.Random(1), "area-00000", MEGABYTE, ()))
    block = block if kind == "lines" else block.replace("\n", " ")
    with path.open("w", encoding="utf-8") as stream:
        for _ in range(megabytes):
            stream.write(block)
        stream.write("\n2026-11-20 23:00:00,000 INFO Pipeline SUCCESS: 1/1 scenarios completed\n")
    found = report(base, scratch / "report")
    path.unlink()
    return {**found, "mb_per_second": round(megabytes / found["seconds"], 1)}


# the readers


def report(tree: Path, folder: Path) -> dict[str, float]:
    """Run `coordinator report`; its seconds, and the most memory it and its processes held."""
    command = [sys.executable, "-m", "coordinator", "report", "--log_dir", str(tree)]
    command += ["--rules", str(RULES), "--report_dir", str(folder), "--json"]
    began = time.perf_counter()
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL) as process:
        peak = 0
        while process.poll() is None:
            peak = max(peak, held_by(process.pid))
            time.sleep(LOOK_SECONDS)
    seconds = time.perf_counter() - began
    if process.returncode not in (0, 1):
        raise SystemExit(f"the report failed with exit code {process.returncode}")
    return {"seconds": round(seconds, 2), "peak_rss_mb": round(peak / MEGABYTE, 1)}


def held_by(pid: int) -> int:
    """Bytes of a process and its children; what they share counts once, for each its share."""
    try:
        main = psutil.Process(pid)
        family = [main, *main.children(recursive=True)]
        return sum(int(process.memory_full_info().pss) for process in family)
    except psutil.Error:
        return 0


def check(folder: Path, ends: dict[str, int]) -> None:
    """A fast reader that is wrong is worth nothing."""
    counts = json.loads((folder / "summary.json").read_text())["counts"]
    found = [counts["succeeded"], counts["early_exit"], counts["failed"], counts["still_running"]]
    meant = [ends.get(str(way), 0) for way in range(len(ENDS))]
    if found != [meant[0], meant[1], meant[2] + meant[3], meant[4]]:
        raise SystemExit(f"the report says {counts}; the tree was made of {meant}")


def naive_seconds(tree: Path, job: str = "*") -> float:
    """Each pattern over each message of each log."""
    from coordinator.reports.rules import read_rules

    rules = read_rules(RULES)
    patterns = [re.compile(rule.pattern) for rule in (*rules.ends, *rules.rules)]
    began = time.perf_counter()
    hits = 0
    for path in sorted((tree / BATCH).glob(f"{job}/*/*.0")):
        with path.open(encoding="utf-8", errors="replace") as stream:
            for line in stream:
                text = message_of(line)
                hits += sum(pattern.search(text) is not None for pattern in patterns)
    assert hits
    return time.perf_counter() - began


def message_of(line: str) -> str:
    if not line.startswith("{"):
        return line
    fields = json.loads(line)
    return str(fields["message"])


def table(found: dict[str, Any]) -> str:
    lines = [f"{found['items']:,} items, {found['megabytes']:,} MB"]
    for name, seconds in found["seconds"].items():
        lines.append(f"{name:<20} {seconds:>8.2f} s")
    for name in ("over_naive_reader", "over_naive_same_files", "mb_per_second", "peak_rss_mb"):
        lines.append(f"{name:<22} {found[name]:>8}")
    for kind, each in found["giant"].items():
        rate, peak = each["mb_per_second"], each["peak_rss_mb"]
        lines.append(f"giant, {kind:<14} {rate:>8} MB/s  {peak} MB held")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
