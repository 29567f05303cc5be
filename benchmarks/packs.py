"""How much of the lanes' time is idle, and how much goes into loading, as packs are cut.

    python benchmarks/packs.py [--only track|local] [--gpus 14] [--seed 1] [--json]

Two tables (what packs save on Nomad is in packs_on_nomad.py):

- track: a simulation of the full FLORES-101 track, 10,100 directions, on 14 GPUs.
  How many tokens a language needs for the same sentences is drawn from a log-normal distribution
  (sigma 0.35: the longest of 101 languages is some five times the shortest). A direction costs its
  source's tokens and three times its target's, as writing takes longer than reading. A GPU works
  42 s on the mean direction (118 GPU-hours in all), give or take 15 % (log-normal, and unknown to
  whoever cuts the packs), and takes 80 s to load the model: loaded for every direction, that is two
  thirds of all time. Cut by the program's own code, against one job for each source file and one
  for each direction, in their order and the largest first.
- local: a real batch of 200 small items on 2 slots of this machine, through the command line. Its
  model takes a second to load and sleeps 20 ms a sentence. Idle is what `coordinator plan` says:
  starting processes, waiting for the coordinator and the tail are all in it.

`--json` prints one object; `idle_share` and `load_share` are those of the track's guided packs.
"""

import argparse
import heapq
import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import permutations
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))

from coordinator.engine import Left, Makespan, Rule, Run, cut, largest_first, makespan  # noqa: E402
from coordinator.engine.packs import most_out  # noqa: E402

LANGUAGES, SENTENCES = 101, 1012
SKEW = 0.35  # sigma of the logarithm of a language's tokens
NOISE = 0.15  # the same, of the seconds that a direction takes, which no plan can know
WRITING = 3  # a token that is written takes so many times the time of one that is read
MEAN_SECONDS, LOAD_SECONDS = 42.0, 80.0
MEAN_TOKENS = 40 * SENTENCES  # of a language
LARGEST = 500  # items of a guided pack, at most

ITEMS, SLOTS, PACK = 200, 2, 40
SECONDS_OF_SENTENCE, SECONDS_OF_LOAD = 0.02, 1.0
LONGEST_SECONDS = 600

HANDLER = f"""
import time


class Handler:
    def load(self, model_dir, device):
        time.sleep({SECONDS_OF_LOAD})

    def translate(self, sentences, source_language, target_language):
        time.sleep({SECONDS_OF_SENTENCE} * len(sentences))
        return list(sentences)
"""
PIPELINE = f"""
name: packs
properties: ["mt:source_language", "mt:target_language", "mt:sentences"]
steps:
  - name: work
    job: inference
    inputs: {{source: asset/source}}
    outputs: [translations.jsonl]
    pack: {{size: {PACK}}}
    options: {{batch_size: 1000}}
"""

HEAD = f"{'cut':<36}{'jobs':>7}{'hours':>8}{'idle':>8}{'loading':>9}"


@dataclass(frozen=True)
class Row:
    """One way to cut the work. `hours`: until the last lane has ended."""

    cut: str
    jobs: int
    hours: float
    idle_share: float
    load_share: float

    @classmethod
    def of(cls, name: str, jobs: int, made: Makespan) -> "Row":
        return cls(name, jobs, made.seconds / 3600, made.idle_share, made.load_share)

    def line(self) -> str:
        return (
            f"{self.cut:<36}{self.jobs:>7,}{self.hours:>8.2f}"
            f"{self.idle_share:>8.2%}{self.load_share:>9.2%}"
        )


@dataclass(frozen=True)
class Direction:
    """What it costs, as planning estimates it, and what it will take."""

    source: int
    cost: int  # tokens
    seconds: float


def main() -> int:
    asked = arguments()
    document: dict[str, Any] = {}
    if asked.only in (None, "track"):
        rows = track(asked.gpus, asked.seed)
        told(f"full track on {asked.gpus} GPUs, simulated", [HEAD, *(row.line() for row in rows)])
        guided = rows[-1]
        document |= {"idle_share": guided.idle_share, "load_share": guided.load_share}
        document["track"] = [asdict(row) for row in rows]
    if asked.only in (None, "local"):
        document["local"] = local(asked.seed)
        lines = [f"{name:<18}{value:>8.3f}" for name, value in document["local"].items()]
        told(f"{ITEMS} items on {SLOTS} slots of this machine, measured", lines)
    if asked.json:
        print(json.dumps(document))
    return 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="What is idle and what goes into loading.")
    parser.add_argument("--only", choices=["track", "local"], help="one of the two tables")
    parser.add_argument("--gpus", type=int, default=14, help="of the simulation (default 14)")
    parser.add_argument("--seed", type=int, default=1, help="of all that is drawn (default 1)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser.parse_args()


def told(title: str, lines: Iterable[str]) -> None:
    print("\n".join([title, *lines]), file=sys.stderr, flush=True)


def directions(seed: int) -> list[Direction]:
    """The track, source by source."""
    draw = random.Random(seed)
    tokens = [MEAN_TOKENS * draw.lognormvariate(0, SKEW) for _ in range(LANGUAGES)]
    pairs = [*permutations(range(LANGUAGES), 2)]
    work = [tokens[source] + WRITING * tokens[target] for source, target in pairs]
    rate = sum(work) / len(work) / MEAN_SECONDS
    return [
        Direction(source, round(each), each / rate * draw.lognormvariate(0, NOISE))
        for (source, _), each in zip(pairs, work, strict=True)
    ]


def track(gpus: int, seed: int) -> list[Row]:
    """Each way to cut the track; the program's own comes last."""
    every = directions(seed)
    files = [[d for d in every if d.source == source] for source in range(LANGUAGES)]
    single = [[direction] for direction in every]
    fixed = [every[begin : begin + 31] for begin in range(0, len(every), 31)]
    rows = [
        in_order("a source file a job", files, gpus),
        in_order("a source file a job, largest first", descending(files), gpus),
        in_order("a direction a job", single, gpus),
        in_order("a direction a job, largest first", descending(single), gpus),
        in_order("31 directions a job", fixed, gpus),
    ]
    return [*rows, guided(every, gpus)]


def descending(jobs: list[list[Direction]]) -> list[list[Direction]]:
    return sorted(jobs, key=lambda job: -sum(direction.cost for direction in job))


def in_order(name: str, jobs: Sequence[Sequence[Direction]], gpus: int) -> Row:
    """Jobs that lanes pull in their order, each of which loads the model."""
    runs = [Run(LOAD_SECONDS, sum(direction.seconds for direction in job)) for job in jobs]
    return Row.of(name, len(jobs), makespan(runs, gpus))


def guided(every: list[Direction], gpus: int) -> Row:
    """The packs that the dispatcher cuts: what it knows of rates comes home with each pack."""
    order = largest_first([direction.cost for direction in every])
    ranks = sorted(every, key=lambda direction: -direction.cost.bit_length())
    assert order == [direction.cost for direction in ranks]
    packs = [*pulled(ranks, gpus)]
    return Row.of("guided packs, by tokens", len(packs), makespan(packs, gpus))


def pulled(ranks: list[Direction], gpus: int) -> Iterator[Run]:
    """Packs in the order in which they are sent; one more goes out whenever one has ended."""
    left = Left(len(ranks), sum(direction.cost for direction in ranks))
    free, out = [0.0] * gpus, list[tuple[float, Run, int]]()
    begun, home_tokens, home_seconds, packs_home = 0, 0, 0.0, 0
    while left.items:
        loading = LOAD_SECONDS * home_tokens / home_seconds if packs_home else 0.0
        costs = [direction.cost for direction in ranks[begun:]]
        rule, most = Rule(gpus, LARGEST, loading), most_out(gpus) - len(out)
        for size in cut(costs, left, rule, room=len(ranks), most=most):
            pack = ranks[begun : begun + size]
            run = Run(LOAD_SECONDS, sum(direction.seconds for direction in pack))
            cost = sum(direction.cost for direction in pack)
            left, begun = left.less(size, cost), begun + size
            yield run
            end = heapq.heappop(free) + run.load + run.work
            heapq.heappush(free, end)
            heapq.heappush(out, (end, run, cost))
        _, run, cost = heapq.heappop(out)
        packs_home, home_tokens = packs_home + 1, home_tokens + cost
        home_seconds += run.work


def local(seed: int) -> dict[str, float]:
    """Shares and seconds of a real batch."""
    with tempfile.TemporaryDirectory(prefix="packs-") as name:
        folder = Path(name)
        write_inputs(folder, random.Random(seed))
        coordinator(
            folder, "submit", "--batch_name", "small", "--pipeline", "packs.yml",
            "--model", "model", "--catalog", "items.ndjson", "--slots", str(SLOTS),
        )  # fmt: skip
        found = json.loads(coordinator(folder, "plan", "small", "--json"))["plan"]["happened"]
    packs = float(sum(found["packs"].values()))
    return {
        "idle_share": found["idle_share"],
        "load_share": found["load_share"],
        "seconds": found["seconds"],
        "jobs": packs,
    }


def write_inputs(folder: Path, draw: random.Random) -> None:
    """A model that takes its time, and items of very unequal length."""
    (folder / "model").mkdir()
    (folder / "model" / "handler.py").write_text(HANDLER)
    (folder / "packs.yml").write_text(PIPELINE)
    with (folder / "items.ndjson").open("w") as file:
        for number in range(ITEMS):
            count = max(1, round(10 * draw.lognormvariate(0, 0.8)))
            (folder / f"{number}.txt").write_text("one sentence\n" * count)
            properties = {
                "mt:source_language": "eng", "mt:target_language": "deu", "mt:sentences": count,
            }  # fmt: skip
            assets = {"source": {"href": f"{number}.txt"}}
            item = {"id": f"i{number:03}", "properties": properties, "assets": assets}
            file.write(f"{json.dumps(item)}\n")


def coordinator(folder: Path, *arguments: str) -> str:
    """What a verb prints, run in `folder`."""
    kept = {key: v for key, v in os.environ.items() if not key.startswith("COORDINATOR_")}
    place = {"COORDINATOR_STATE_DIR": str(folder / "state"), "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(
        [sys.executable, "-m", "coordinator", *arguments],
        cwd=folder,
        env=kept | place,
        capture_output=True,
        text=True,
        timeout=LONGEST_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(f"{arguments[0]} ended with {done.returncode}:\n{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
