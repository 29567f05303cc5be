"""What packs save: many short items through raw_exec, one item a dispatch against packs.

    python benchmarks/packs_on_nomad.py [--items 2000] [--packs 1,10,100,250] [--lanes 4] [--json]

Each size is a batch of its own, as a user runs it (`coordinator submit --cluster nomad`): a model
that works 10 ms an item, one agent whose client has room for so many jobs at a time. Wall time
is that of the whole command; `ideal`, the items' own time on these lanes.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY / "local-cluster"))

from agents import Cluster, Options, dev_agent  # noqa: E402
from programs import program  # noqa: E402

COORDINATOR = Path(sys.executable).with_name("coordinator")
WORK_SECONDS = 0.010
MEMORY_MB = 500  # of a job
LONGEST_SECONDS = 3 * 3600

HANDLER = f"""
import time


class Handler:
    def load(self, model_dir, device):
        pass

    def translate(self, sentences, source_language, target_language):
        time.sleep({WORK_SECONDS})
        return list(sentences)
"""
PIPELINE = """
name: packs
properties: ["mt:source_language", "mt:target_language"]
steps:
  - name: work
    job: inference
    inputs: {{source: asset/source}}
    outputs: [translations.jsonl]
    pack: {{size: {size}}}
    resources: {{memory_mb: [{memory}]}}
"""
VARIABLES = """
driver       = "raw_exec"
mhz_per_core = 1000
disk_mb      = 20
log_files    = 1
log_file_mb  = 5
"""


HEAD = f"{'pack':>6}{'jobs':>8}{'seconds':>10}{'items/s':>12}{'over ideal':>13}"


@dataclass(frozen=True)
class Row:
    """One size of packs; seconds."""

    pack: int  # the largest
    jobs: int
    wall: float
    items_per_second: float
    over_ideal: float  # how many times the items' own time

    def line(self) -> str:
        return (
            f"{self.pack:>6}{self.jobs:>8}{self.wall:>10.1f}{self.items_per_second:>12.1f}"
            f"{self.over_ideal:>13.1f}"
        )


def main() -> int:
    asked = arguments()
    options = Options(memory_total_mb=asked.lanes * MEMORY_MB)
    with (
        tempfile.TemporaryDirectory(prefix="packs-") as folder,
        dev_agent(program("nomad"), options) as nomad,
    ):
        write_inputs(Path(folder), asked.items)
        print(HEAD, file=sys.stderr)
        rows = []
        for size in asked.packs:
            rows.append(measured(nomad, Path(folder), asked.items, asked.lanes, size))
            print(rows[-1].line(), file=sys.stderr, flush=True)
    table = [HEAD, *(row.line() for row in rows)]
    print(json.dumps([asdict(row) for row in rows]) if asked.json else "\n".join(table))
    return 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="What packs save.")
    parser.add_argument("--items", type=int, default=2_000, help="default 2000")
    parser.add_argument(
        "--packs",
        type=lambda text: [int(size) for size in text.split(",")],
        default=[1, 10, 100, 250],
        help="sizes to compare, with commas (default 1,10,100,250)",
    )
    parser.add_argument("--lanes", type=int, default=4, help="jobs at a time (default 4)")
    parser.add_argument("--json", action="store_true", help="print one JSON list")
    return parser.parse_args()


def write_inputs(folder: Path, items: int) -> None:
    """A model that takes its time, and items that share one short text."""
    (folder / "model").mkdir()
    (folder / "model" / "handler.py").write_text(HANDLER)
    (folder / "job.vars").write_text(VARIABLES)
    (folder / "text.txt").write_text("one\ntwo\n")
    properties = {"mt:source_language": "eng", "mt:target_language": "deu"}
    assets = {"source": {"href": "text.txt"}}
    with (folder / "items.ndjson").open("w") as file:
        for number in range(items):
            item = {"id": f"i{number:05}", "properties": properties, "assets": assets}
            file.write(f"{json.dumps(item)}\n")


def measured(nomad: Cluster, folder: Path, items: int, lanes: int, size: int) -> Row:
    """Run one batch to its end."""
    name = f"packs-of-{size}"
    (folder / f"{name}.yml").write_text(PIPELINE.format(size=size, memory=MEMORY_MB))
    began = time.monotonic()
    submit(nomad, folder, name, lanes, stop=max(3 * lanes * size // 2, lanes + 1))
    wall = time.monotonic() - began
    records = list((folder / "local-logs" / name).glob("work/*/dispatch.json"))
    ended = [json.loads(path.read_bytes())["attempts"] for path in records]
    succeeded = sum(each["state"] == "succeeded" for attempts in ended for each in attempts)
    assert succeeded == items, f"{succeeded} of {items} items succeeded"
    ideal = items * WORK_SECONDS / lanes
    return Row(size, len(records), wall, items / wall, wall / ideal)


def submit(nomad: Cluster, folder: Path, name: str, lanes: int, stop: int) -> None:
    command = [str(COORDINATOR), "submit", "--batch_name", name, "--pipeline", f"{name}.yml"]
    command += ["--model", "model", "--catalog", "items.ndjson", "--cluster", "nomad"]
    command += ["--job_vars", "job.vars", "--slots", str(lanes)]
    command += ["--stop_threshold", str(stop), "--resume_threshold", str(stop - 1)]
    kept = {key: v for key, v in os.environ.items() if not key.startswith("COORDINATOR_")}
    place = {"COORDINATOR_STATE_DIR": str(folder / "state"), **nomad.environment}
    done = subprocess.run(
        command,
        cwd=folder,
        env=kept | place,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        timeout=LONGEST_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(f"{name} ended with {done.returncode}:\n{done.stderr}")


if __name__ == "__main__":
    sys.exit(main())
