"""Whether every score is sacrebleu's to the last bit: all 10,100 directions, sentence by sentence.

    python benchmarks/identity.py [--directions N] [--processes 2] [--model bpe] [--kept FILE]

The hypotheses are those of `predictions.py`. For each direction and metric (spBLEU over one of the
test data's models, chrF++) two things must be equal: the statistics of every sentence, and the
score, as hexadecimal floats.

What it is compared with: sacrebleu's own BLEU and CHRF objects that keep the references of one
target language, as its command line makes them for many systems. Their `corpus_score` consists of
`_extract_corpus_statistics` and `_aggregate_and_compute`, which are called here one after the
other, so that the statistics can be seen. That is several times faster than `corpus_bleu` for each
direction (it would load the tokenizer anew each time) and the same code for every sentence; with
--plain, `corpus_bleu` and `corpus_chrf` are called instead, and the sums are not compared.

Results are kept in a file as they come; what is in it is not done again, unless the code, the data
or the settings have changed. Ctrl-C and start again whenever you like.
"""

import argparse
import functools
import hashlib
import importlib.metadata
import itertools
import json
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from oracle import MODELS, model_file, plain, put_models, scorer
from predictions import DIRECTIONS, REPOSITORY, SEED, SENTENCES, Corpus, Direction, data_folder

import coordinator
from coordinator.metrics import load_metric, parse_metrics

METRICS = ("spbleu", "chrf++")
DIRECTIONS_AT_ONCE = 25  # of one target language
SHOWN = 10
SECONDS_BETWEEN = 5


@dataclass(frozen=True)
class Setup:
    """What is compared."""

    sentences: int = SENTENCES
    seed: int = SEED
    model: str = "unigram"
    plain: bool = False

    def scope(self) -> dict[str, Any]:
        """Results are those of a run with the same scope only."""
        data = data_folder()
        return {
            **asdict(self),
            "code": digest(Path(coordinator.__file__).parent.glob("metrics/**/*.py")),
            "data": digest([*data.glob("*.txt"), model_file(data.parent, self.model)]),
            "benchmark": digest(Path(__file__).parent.glob("*.py")),
            "sacrebleu": importlib.metadata.version("sacrebleu"),
            "scoring": os.environ.get("COORDINATOR_SCORING", ""),
        }


def digest(files: Iterable[Path]) -> str:
    found = hashlib.sha256()
    for path in sorted(files):
        found.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()


class Judge:
    """Compares directions. References are kept for the last target language."""

    def __init__(self, setup: Setup, home: Path) -> None:
        data = data_folder()
        put_models(home, data.parent)
        self._setup = setup
        self._corpus = Corpus(data, setup.sentences, setup.seed)
        model = str(model_file(data.parent, setup.model))
        entries = [{"name": "spbleu", "model": model}, "chrf++"]
        self._metrics = [load_metric(spec) for spec in parse_metrics(entries)]
        self._scorers = [scorer(metric.name, setup.model) for metric in self._metrics]
        self._target, self._prepared = "", []

    def judge(self, direction: Direction) -> dict[str, Any]:
        """Metric -> both scores, and whether all is equal."""
        self._prepare(direction[1])
        hypotheses = self._corpus.hypotheses(direction)
        numbers = range(len(self._metrics))
        found = {self._metrics[n].name: self._compared(n, hypotheses) for n in numbers}
        return {"direction": list(direction), "metrics": found}

    def _prepare(self, target: str) -> None:
        if target == self._target:
            return
        references = [self._corpus.text(target)]
        self._target = target
        self._prepared = [metric.prepare(references) for metric in self._metrics]
        if not self._setup.plain:
            for each in self._scorers:
                each._ref_cache = each._cache_references(references)  # as its constructor does

    def _compared(self, number: int, hypotheses: list[str]) -> dict[str, Any]:
        metric, rows, score = self._metrics[number], None, 0.0
        if self._setup.plain:
            references = self._corpus.text(self._target)
            score = plain(metric.name, self._setup.model, hypotheses, references)
        else:
            oracle = self._scorers[number]
            rows = oracle._extract_corpus_statistics(hypotheses, None)
            score = oracle._aggregate_and_compute(rows).score
        found = metric.statistics(hypotheses, self._prepared[number])
        ours, theirs = metric.score(found).hex(), float(score).hex()
        same_rows = rows is None or np.array_equal(found, rows)
        return {"ours": ours, "sacrebleu": theirs, "same": ours == theirs and same_rows}


class Kept:
    """The results so far, one JSON object a line; the first line is their scope."""

    def __init__(self, path: Path, scope: dict[str, Any]) -> None:
        self._path = path
        self.results = self._read(scope)
        if not self.results:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{json.dumps(scope)}\n")

    def add(self, results: Sequence[dict[str, Any]]) -> None:
        self.results |= {tuple(each["direction"]): each["metrics"] for each in results}
        with self._path.open("a") as file:
            file.write("".join(f"{json.dumps(each)}\n" for each in results))

    def _read(self, scope: dict[str, Any]) -> dict[Direction, Any]:
        """Nothing, if they are of something else; a line that was cut off is left out."""
        lines = self._path.read_text().splitlines() if self._path.exists() else []
        found = [each for each in map(_json, lines) if each is not None]
        if not found or found[0] != scope:
            return {}
        self._path.write_text("".join(f"{json.dumps(each)}\n" for each in found))
        return {tuple(each["direction"]): each["metrics"] for each in found[1:]}


def _json(line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None


@functools.cache
def judge_here(setup: Setup, home: Path) -> Judge:
    """The one of this process."""
    return Judge(setup, home)


def judge_all(task: tuple[Setup, Path, list[Direction]]) -> list[dict[str, Any]]:
    setup, home, directions = task
    return [judge_here(setup, home).judge(direction) for direction in directions]


def run(setup: Setup, directions: Sequence[Direction], kept: Kept, processes: int) -> None:
    """Compare what is not kept yet, saying how far it is."""
    left = [direction for direction in directions if direction not in kept.results]
    progress = Progress(len(directions), len(directions) - len(left))
    with (
        tempfile.TemporaryDirectory(prefix="identity-") as home,
        multiprocessing.get_context("spawn").Pool(processes) as pool,
    ):
        tasks = [(setup, Path(home), some) for some in batches(left)]
        for results in pool.imap_unordered(judge_all, tasks):
            kept.add(results)
            progress.say(len(results), len(different(kept, directions)))


class Progress:
    """How far it is, every few seconds."""

    def __init__(self, total: int, done: int) -> None:
        self._total, self._before, self._done = total, done, done
        self._began = self._told = time.monotonic()

    def say(self, more: int, differ: int) -> None:
        self._done += more
        now = time.monotonic()
        if now - self._told < SECONDS_BETWEEN and self._done < self._total:
            return
        self._told = now
        pace = (now - self._began) / (self._done - self._before)
        minutes = pace * (self._total - self._done) / 60
        said = f"{self._done:,} of {self._total:,} directions, {minutes:.0f} minutes left"
        print(f"{said}; {differ} differ", file=sys.stderr, flush=True)


def batches(directions: Sequence[Direction]) -> list[list[Direction]]:
    """So many of one target language at a time."""
    found = []
    for _, group in itertools.groupby(directions, key=lambda direction: direction[1]):
        into = list(group)
        starts = range(0, len(into), DIRECTIONS_AT_ONCE)
        found += [into[n : n + DIRECTIONS_AT_ONCE] for n in starts]
    return found


def different(kept: Kept, directions: Sequence[Direction]) -> list[str]:
    """What is not equal, one line each."""
    return [
        f"{'-'.join(direction)} {name}: {result['ours']}, sacrebleu {result['sacrebleu']}"
        for direction in directions
        for name, result in kept.results.get(direction, {}).items()
        if not result["same"]
    ]


def main() -> int:
    asked = arguments()
    setup = Setup(asked.sentences, asked.seed, asked.model, asked.plain)
    directions = Corpus(data_folder(), setup.sentences, setup.seed).sample(asked.directions)
    kept = Kept(asked.kept or default_file(setup), setup.scope())
    began = time.monotonic()
    run(setup, directions, kept, asked.processes)
    faults = different(kept, directions)
    for fault in faults[:SHOWN]:
        print(fault)
    what = "scores" if setup.plain else "scores and statistics"
    print(
        f"{len(directions):,} directions, {', '.join(METRICS)} ({setup.model} model):"
        f" {what} {f'DIFFER in {len(faults):,} of them' if faults else 'identical'}"
        f" ({(time.monotonic() - began) / 60:.1f} minutes)"
    )
    return 1 if faults else 0


def default_file(setup: Setup) -> Path:
    return REPOSITORY / "build" / f"identity-{setup.model}{'-plain' * setup.plain}.jsonl"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Bit-identity with sacrebleu.")
    parser.add_argument(
        "--directions", type=int, default=DIRECTIONS, help="so many, by the seed (default all)"
    )
    parser.add_argument(
        "--sentences", type=int, default=SENTENCES, help="of each text (default all 1012)"
    )
    parser.add_argument("--seed", type=int, default=SEED, help="default 1")
    parser.add_argument("--model", choices=MODELS, default="unigram", help="default unigram")
    parser.add_argument(
        "--plain", action="store_true", help="against corpus_bleu and corpus_chrf, much slower"
    )
    parser.add_argument("--processes", type=int, default=2, help="default 2")
    parser.add_argument(
        "--kept", type=Path, help="file of the results (default build/identity-<model>.jsonl)"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
