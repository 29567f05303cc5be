"""What the coordinator itself costs: a batch of 10,100 small items with a model that only copies.

    python benchmarks/overhead.py [--items 10100] [--slots 2] [--pack 200] [--json]

The texts are the first five sentences of 101 languages of the test data (COORDINATOR_TEST_DATA, by
default `../shared/data`), or made up where there is none. Everything runs through the command line
in a temporary folder. What is measured:

- dry run: wall seconds of `submit --dry-run`: every item and every line of text is checked.
- wall: seconds from the start of `submit` to its end, its checks included.
- worker seconds: the sum over all worker processes of end minus start, as the log tree has them
  (`events.json`): interpreter start, imports, model and work. Divided by the slots it is what the
  batch would take if no slot were ever idle.
- overhead: wall less that, for each item; what the coordinator added.
- coordinator CPU and memory: user and system seconds of its process alone, and its largest resident
  set, from /proc.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import count
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
COORDINATOR = Path(sys.executable).with_name("coordinator")
SENTENCES = 5
BATCH = "overhead"

PIPELINE = """
name: translate-and-score
properties: ["mt:source_language", "mt:target_language"]
aligned: [[source, reference]]
steps:
  - name: translate
    job: inference
    inputs: {{source: asset/source}}
    outputs: [translations.jsonl]
    pack: {{size: {pack}}}
  - name: score
    job: scoring
    inputs: {{translations: translate/translations.jsonl, reference: asset/reference}}
    outputs: [scores.json]
    pack: {{size: {pack}, sort_by: "mt:target_language"}}
    options: {{metrics: [bleu, chrf, "chrf++"]}}
"""


@dataclass(frozen=True)
class Result:
    """Seconds, unless the name says otherwise."""

    items: int
    slots: int
    pack: int
    text: str
    dry_run: float
    wall: float
    workers: int
    worker_seconds: float
    overhead_ms_per_item: float
    coordinator_cpu: float
    coordinator_cpu_ms_per_item: float
    coordinator_peak_mb: float

    def lines(self) -> list[str]:
        return [
            f"items                 {self.items:,} of {SENTENCES} sentences ({self.text})",
            f"dry run               {self.dry_run:.1f} s",
            f"wall                  {self.wall:.1f} s: {self.slots} slots, packs of {self.pack}",
            f"workers               {self.workers:,} processes, {self.worker_seconds:.1f} s in all",
            f"overhead              {self.overhead_ms_per_item:.2f} ms an item: wall less worker"
            " seconds by slot",
            f"coordinator CPU       {self.coordinator_cpu_ms_per_item:.2f} ms an item,"
            f" {self.coordinator_cpu:.1f} s in all",
            f"coordinator memory    {self.coordinator_peak_mb:.0f} MB at most",
        ]


def main() -> int:
    asked = arguments()
    with tempfile.TemporaryDirectory(prefix="overhead-", dir=asked.folder) as folder:
        result = measured(Path(folder), asked.items, asked.slots, asked.pack)
    print(json.dumps(asdict(result)) if asked.json else "\n".join(result.lines()))
    return 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="What the coordinator costs for each item.")
    parser.add_argument("--items", type=int, default=10_100, help="items (default 10100)")
    slots = os.cpu_count() or 1
    parser.add_argument("--slots", type=int, default=slots, help="workers at a time (the cores)")
    parser.add_argument("--pack", type=int, default=200, help="items a worker at most (200)")
    parser.add_argument(
        "--folder", type=Path, help="where to work (the folder for temporary files)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser.parse_args()


def measured(folder: Path, items: int, slots: int, pack: int) -> Result:
    text = make_text(folder / "text", languages_for(items))
    (folder / "pipeline.yml").write_text(PIPELINE.format(pack=pack))
    coordinator(folder, "items", "from-text", "text", "--split", "dev", "--out", "items")
    flags = submit_flags(items, slots, pack)
    dry_run = coordinator(folder, *flags, "--dry-run")
    run = coordinator(folder, *flags)
    lives = worker_lives(folder / "local-logs" / BATCH)
    overhead = run.wall - sum(lives) / slots
    return Result(
        items=items,
        slots=slots,
        pack=pack,
        text=text,
        dry_run=dry_run.wall,
        wall=run.wall,
        workers=len(lives),
        worker_seconds=sum(lives),
        overhead_ms_per_item=1000 * overhead / items,
        coordinator_cpu=run.cpu,
        coordinator_cpu_ms_per_item=1000 * run.cpu / items,
        coordinator_peak_mb=run.peak_mb,
    )


def submit_flags(items: int, slots: int, pack: int) -> list[str]:
    flags = {
        "batch_name": BATCH,
        "pipeline": "pipeline.yml",
        "model": REPOSITORY / "inputs" / "models" / "copy",
        "catalog": "items/collection.json",
        "limit_items": items,
        "slots": slots,
        "stop_threshold": 4 * slots * pack,
    }
    return [
        "submit",
        *(text for name, value in flags.items() for text in (f"--{name}", str(value))),
    ]


# The texts.


def languages_for(items: int) -> int:
    """How many languages have so many directions."""
    return next(n for n in count(2) if n * (n - 1) >= items)


def make_text(folder: Path, languages: int) -> str:
    """Write the first sentences of so many languages; where they come from."""
    folder.mkdir()
    data = os.environ.get("COORDINATOR_TEST_DATA") or REPOSITORY.parent / "shared" / "data"
    real = sorted(Path(data, "ntrex101").glob("*.txt"))[:languages]
    if len(real) == languages:
        for path in real:
            lines = path.read_text("utf-8").split("\n")[:SENTENCES]
            (folder / path.name).write_text("".join(f"{line}\n" for line in lines), "utf-8")
        return "ntrex101"
    for number in range(languages):
        (folder / f"x{number:03}.txt").write_text(made_up(number))
    return "made up"


def made_up(seed: int) -> str:
    """Sentences of a language that nobody speaks."""
    rng = random.Random(seed)
    words = ["".join(rng.choices("aeioubdfgklmnprstvz", k=rng.randint(2, 9))) for _ in range(300)]
    sentences = (" ".join(rng.choices(words, k=rng.randint(8, 30))) for _ in range(SENTENCES))
    return "".join(f"{sentence.capitalize()}.\n" for sentence in sentences)


# The process of the coordinator.


@dataclass
class Usage:
    """What one process took."""

    wall: float
    cpu: float
    peak_mb: float


def coordinator(folder: Path, *arguments: str) -> Usage:
    """Run `coordinator ...` to its end. Raises SystemExit with what it said where it fails."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("COORDINATOR_")}
    with (folder / "said").open("w+") as said:
        began = time.monotonic()
        process = subprocess.Popen(
            [COORDINATOR, *arguments],
            cwd=folder,
            env=kept | {"COORDINATOR_STATE_DIR": str(folder / "state")},
            stdout=said,
            stderr=said,
        )
        peak_kb = _watched(process.pid)
        wall, cpu = time.monotonic() - began, _cpu_seconds(process.pid)
        if process.wait():
            said.seek(0)
            raise SystemExit(f"coordinator {' '.join(arguments)}\n{said.read()}")
    return Usage(wall, cpu, peak_kb * 1024 / 1e6)


def _watched(pid: int) -> int:
    """Wait until the process has ended and may be reaped; its largest resident set, in KiB."""
    peak = 0
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
        status = Path(f"/proc/{pid}/status").read_text()
        lines = [line for line in status.splitlines() if line.startswith("VmHWM:")]
        peak = max([peak, *(int(line.split()[1]) for line in lines)])
        time.sleep(0.02)
    return peak


def _cpu_seconds(pid: int) -> float:
    """User and system time of the process alone: its children's are counted elsewhere."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def worker_lives(logs: Path) -> list[float]:
    """Seconds that each worker process lived."""
    return [_life(json.loads(path.read_text())) for path in logs.glob("*/*/events.json")]


def _life(events: list[dict[str, str]]) -> float:
    times = {event["event"]: datetime.fromisoformat(event["time"]) for event in events}
    return (times["ended"] - times["started"]).total_seconds()


if __name__ == "__main__":
    sys.exit(main())
