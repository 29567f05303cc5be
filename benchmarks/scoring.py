"""What scoring costs: against the tokenizer's own time, against sacrebleu, and for the full track.

    python benchmarks/scoring.py [--quick] [--track N] [--predictions DIR] [--json]

The texts are 101 languages of the test data (COORDINATOR_TEST_DATA, by default `../shared/data`),
the translations those of `predictions.py`. Two parts:

Figures for each direction, on one core (the process keeps to it), in processor seconds. In each of
5 rounds all contestants score the same directions, taking turns; a ratio is taken within a round,
and its median is told. Before, all of them must have given the same number, bit for bit.

- limit: SentencePiece encoding of the hypotheses alone, by whichever of its calls is fastest.
- ours: the statistics and the score of one direction, its references prepared before; with the
  compiled loops of the extra `fast`, and with numpy alone (`..._numpy`).
- sacrebleu: `corpus_bleu`, `corpus_chrf` and `corpus_ter` as a user calls them for each direction
  (`corpus_bleu` loads its tokenizer each time); `..._over_sacrebleu_cached`: its objects BLEU, CHRF
  and TER, made once for each target language, with the references kept.

The track, from files to `scores.csv`, by `coordinator score` in spBLEU and chrF++: all 10,100
directions on one process and on two, in turn. Memory is the largest resident set of any one
process, mapped files included, as Linux counts it.
"""

import argparse
import csv
import dataclasses
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import sentencepiece
from oracle import MODELS, forget, model_file, plain, put_models, scorer
from predictions import DIRECTIONS, SENTENCES, Corpus, Direction, data_folder, write

from coordinator.metrics import Metric, load_metric, parse_metrics

COORDINATOR = Path(sys.executable).with_name("coordinator")
SWITCH = "COORDINATOR_SCORING"  # says `numpy` where the compiled loops are not wanted
WAYS = {"fast": "", "numpy": "numpy"}


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    rounds: int = 5
    directions: int = 8  # of the figures for each direction
    sentences: int = SENTENCES
    ter_directions: int = 4
    ter_sentences: int = 60  # sacrebleu takes seconds for more
    track: int = DIRECTIONS
    track_rounds: int = 1  # on one process and on two, in turn


QUICK = Plan(
    rounds=2,
    directions=2,
    sentences=60,
    ter_directions=1,
    ter_sentences=10,
    track=12,
)


@dataclass(frozen=True)
class Goal:
    """What a figure should be at most, or at least."""

    limit: float
    at_most: bool = True

    def is_met_by(self, value: float) -> bool:
        return value <= self.limit if self.at_most else value >= self.limit

    def __str__(self) -> str:
        return f"{'at most' if self.at_most else 'at least'} {self.limit:g}"


GOALS = {
    "unigram_spbleu_over_limit": Goal(1.5),
    "unigram_spbleu_over_limit_numpy": Goal(1.9),
    "bpe_spbleu_over_limit": Goal(1.2),
    "bpe_spbleu_over_limit_numpy": Goal(1.4),
    "unigram_spbleu_over_sacrebleu": Goal(30, at_most=False),
    "chrfpp_over_sacrebleu": Goal(18, at_most=False),
    "chrfpp_over_sacrebleu_numpy": Goal(8, at_most=False),
    "ter_over_sacrebleu": Goal(5, at_most=False),
    "two_process_speedup": Goal(1.9, at_most=False),
    "peak_rss_mb": Goal(1_000),
}


# Each direction by itself.


@dataclass(frozen=True)
class Case:
    """One contestant: what it is called, and how it scores a direction."""

    name: str
    score: Callable[[Direction], float | None]  # None: it does not score
    way: str = ""  # of SWITCH


class Texts:
    """Hypotheses and references of the directions, read and prepared before anything is timed."""

    def __init__(self, corpus: Corpus, directions: Sequence[Direction]) -> None:
        self.directions = directions
        self.pairs = sum(len(corpus.text(target)) for _, target in directions)
        self._corpus = corpus
        self._hypotheses = {each: corpus.hypotheses(each) for each in directions}

    def of(self, direction: Direction) -> tuple[list[str], list[str]]:
        return self._hypotheses[direction], self._corpus.text(direction[1])

    def by_target(self, make: Callable[[list[str]], Any]) -> dict[str, Any]:
        """Something made of the references of each target language."""
        return {target: make(self._corpus.text(target)) for _, target in self.directions}


def encoders(texts: Texts, model: Path) -> list[Case]:
    """The ways to have SentencePiece encode a text."""
    processor = sentencepiece.SentencePieceProcessor(model_file=str(model))

    def at_once(direction: Direction) -> None:
        processor.encode(texts.of(direction)[0], out_type=int, num_threads=1)

    def one_by_one(direction: Direction) -> None:
        for line in texts.of(direction)[0]:
            processor.encode_as_ids(line)

    return [Case("limit, at once", at_once), Case("limit, by line", one_by_one)]


def our_cases(texts: Texts, metric: Metric, ways: Sequence[str]) -> list[Case]:
    prepared = texts.by_target(lambda references: metric.prepare([references]))

    def score(direction: Direction) -> float:
        hypotheses, _ = texts.of(direction)
        return metric.score(metric.statistics(hypotheses, prepared[direction[1]]))

    return [Case(way, score, WAYS[way]) for way in ways]


def sacrebleus_cases(texts: Texts, name: str, model: str) -> list[Case]:
    scorers = texts.by_target(lambda references: scorer(name, model, references))

    def anew(direction: Direction) -> float:
        return plain(name, model, *texts.of(direction))

    def cached(direction: Direction) -> float:
        return float(scorers[direction[1]].corpus_score(texts.of(direction)[0], None).score)

    return [Case("sacrebleu", anew), Case("sacrebleu, cached", cached)]


def contest(texts: Texts, cases: Sequence[Case], rounds: int) -> dict[str, list[float]]:
    """Case -> seconds of processor time for all directions, in each round."""
    refuse_differences(texts, cases)
    seconds: dict[str, list[float]] = {case.name: [0.0] * rounds for case in cases}
    for number in range(rounds):
        for direction in texts.directions:
            for case in cases:
                seconds[case.name][number] += timed(case, direction)
    return seconds


def timed(case: Case, direction: Direction) -> float:
    os.environ[SWITCH] = case.way
    forget()
    began = time.process_time()
    case.score(direction)
    return time.process_time() - began


def refuse_differences(texts: Texts, cases: Sequence[Case]) -> None:
    """A first time for all, which is not measured: the numbers must be the same to the last bit."""
    for direction in texts.directions:
        found = {}
        for case in cases:
            os.environ[SWITCH] = case.way
            score = case.score(direction)
            found |= {} if score is None else {case.name: float(score).hex()}
        if len(set(found.values())) != 1:
            raise SystemExit(f"{'-'.join(direction)}: the scores differ: {found}")


def figures_of(prefix: str, seconds: Mapping[str, list[float]], texts: Texts) -> dict[str, float]:
    """Ratios between contestants, and microseconds for each pair of sentences."""
    found = {}
    limits = [times for name, times in seconds.items() if name.startswith("limit")]
    limit = min(limits, key=statistics.median, default=None)
    for way in (way for way in WAYS if way in seconds):
        tail = "_numpy" if way == "numpy" else ""
        ours = seconds[way]
        if limit:
            found[f"{prefix}_over_limit{tail}"] = median_ratio(ours, limit)
        found[f"{prefix}_over_sacrebleu{tail}"] = median_ratio(seconds["sacrebleu"], ours)
        cached = median_ratio(seconds["sacrebleu, cached"], ours)
        found[f"{prefix}_over_sacrebleu_cached{tail}"] = cached
    for name, times in seconds.items():
        label = name.replace(",", "").replace(" ", "_")
        found[f"{prefix}_us_{label}"] = statistics.median(times) / texts.pairs * 1e6
    return found


def median_ratio(above: Sequence[float], below: Sequence[float]) -> float:
    return statistics.median(a / b for a, b in zip(above, below, strict=True))


def each_direction(plan: Plan, data: Path) -> dict[str, float]:
    """The first part."""
    corpus = Corpus(data / "ntrex101", plan.sentences)
    texts, ways = Texts(corpus, corpus.sample(plan.directions)), ways_here()
    found: dict[str, float] = {}
    for model in MODELS:
        file = model_file(data, model)
        say(f"spBLEU, {model}")
        metric = our_metric({"name": "spbleu", "model": str(file)})
        cases = [*encoders(texts, file), *our_cases(texts, metric, ways)]
        cases += sacrebleus_cases(texts, "spbleu", model)
        found |= figures_of(f"{model}_spbleu", contest(texts, cases, plan.rounds), texts)
    found |= against_sacrebleu("chrfpp", "chrf++", texts, plan)
    fewer = Corpus(corpus.folder, plan.ter_sentences)
    shorter = Texts(fewer, fewer.sample(plan.ter_directions))
    return found | against_sacrebleu("ter", "ter", shorter, plan)


def against_sacrebleu(prefix: str, name: str, texts: Texts, plan: Plan) -> dict[str, float]:
    say(name)
    cases = our_cases(texts, our_metric(name), ways_here()) + sacrebleus_cases(texts, name, "")
    return figures_of(prefix, contest(texts, cases, plan.rounds), texts)


def our_metric(entry: str | dict[str, str]) -> Metric:
    return load_metric(parse_metrics([entry])[0])


def ways_here() -> list[str]:
    """Both, or numpy alone where numba is not installed."""
    try:
        import numba  # noqa: F401
    except ImportError:
        return ["numpy"]
    return list(WAYS)


def on_one_core() -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


# The track.


@dataclass(frozen=True)
class Run:
    """One run of `coordinator score`."""

    seconds: float
    peak_mb: float  # of the largest process


class Track:
    """Translations and references in folders, and what scores them."""

    def __init__(self, corpus: Corpus, model: Path, predictions: Path, folder: Path) -> None:
        self._predictions, self._model, self._folder = predictions, model, folder
        self._references = folder / "references"
        self._references.mkdir()
        for language in corpus.languages:
            text = "".join(f"{line}\n" for line in corpus.text(language))
            (self._references / f"{language}.txt").write_bytes(text.encode())

    def part(self, directions: Sequence[Direction]) -> Path:
        """A folder with the translations of these directions."""
        folder = self._folder / f"predictions-{len(directions)}"
        folder.mkdir(exist_ok=True)
        for name in (f"{source}-{target}.txt" for source, target in directions):
            with suppress(FileExistsError):
                os.link(self._predictions / name, folder / name)
        return folder

    def score(self, directions: Sequence[Direction], processes: int) -> Run:
        """From files to `scores.csv`, with nothing prepared before; what comes out is removed."""
        output = self._folder / "scores"
        flags = {
            "predictions": self.part(directions),
            "references": self._references,
            "metrics": "spbleu,chrf++",
            "model": self._model,
            "processes": processes,
            "output": output,
        }
        command = [str(COORDINATOR), "score"]
        command += [text for name, value in flags.items() for text in (f"--{name}", str(value))]
        run = watched(command, self._folder)
        with (output / "summary" / "scores.csv").open(newline="") as file:
            there = {row[0] for row in csv.reader(file)}
        missing = {"-".join(direction) for direction in directions} - there
        if missing:
            raise SystemExit(f"scores.csv lacks {len(missing)} of {len(directions)} directions")
        shutil.rmtree(output)
        return run


def watched(command: Sequence[str], folder: Path) -> Run:
    """Run it to its end, with an eye on all its processes."""
    kept = {key: value for key, value in os.environ.items() if key != SWITCH}
    with (folder / "said").open("w+") as said:
        began = time.monotonic()
        process = subprocess.Popen(command, cwd=folder, env=kept, stdout=said, stderr=said)
        peak = Peak(process.pid)
        code = process.wait()
        wall = time.monotonic() - began
        if code:
            said.seek(0)
            raise SystemExit(f"{' '.join(command)}\nended with {code}:\n{said.read()[-3000:]}")
    return Run(wall, peak.end() / 1e6)


class Peak:
    """The largest resident set of a process and all below it, looked up twice a second."""

    def __init__(self, pid: int) -> None:
        self._pid, self._bytes = pid, 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def end(self) -> int:
        self._over.set()
        self._thread.join()
        return self._bytes

    def _look(self) -> None:
        while not self._over.wait(0.5):
            for pid in _family(self._pid):
                self._bytes = max(self._bytes, _high_water(pid))


def _family(pid: int) -> list[int]:
    try:
        process = psutil.Process(pid)
        return [pid, *(child.pid for child in process.children(recursive=True))]
    except psutil.Error:
        return []


def _high_water(pid: int) -> int:
    """VmHWM in bytes; 0 if the process is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    sizes = [int(line.split()[1]) for line in lines if line.startswith("VmHWM:")]
    return 1024 * max(sizes, default=0)


def whole_track(plan: Plan, data: Path, predictions: Path) -> dict[str, float]:
    """The second part."""
    corpus = Corpus(data / "ntrex101", plan.sentences)
    directions = corpus.directions[: plan.track]
    write(corpus, directions, predictions)
    with tempfile.TemporaryDirectory(prefix="scoring-", dir=predictions.parent) as folder:
        track = Track(corpus, model_file(data, "unigram"), predictions, Path(folder))
        runs: dict[int, list[Run]] = {1: [], 2: []}
        for count in [1, 2] * plan.track_rounds:
            runs[count].append(track.score(directions, count))
            say(f"{plan.track:,} directions on {count}: {runs[count][-1].seconds:.1f} s")
    one, two = (statistics.median(run.seconds for run in runs[count]) for count in (1, 2))
    return {
        "two_process_speedup": one / two,
        "track_directions": plan.track,
        "track_seconds_1": one,
        "track_seconds_2": two,
        "peak_rss_mb": max(run.peak_mb for run in [*runs[1], *runs[2]]),
    }


def main() -> int:
    asked = arguments()
    plan, data = plan_of(asked), data_folder().parent
    found: dict[str, float] = {}
    if asked.only != "track":
        found |= in_a_process_of_its_own(asked)
    if asked.only != "directions":
        with tempfile.TemporaryDirectory(prefix="predictions-") as folder:
            predictions = asked.predictions or Path(folder, "all")
            found |= whole_track(plan, data, predictions)
    print(json.dumps(found) if asked.json else "\n".join(table(found)))
    return 0


def plan_of(asked: argparse.Namespace) -> Plan:
    plan = QUICK if asked.quick else Plan()
    rounds = asked.track_rounds or plan.track_rounds
    return dataclasses.replace(plan, track=asked.track or plan.track, track_rounds=rounds)


def in_a_process_of_its_own(asked: argparse.Namespace) -> dict[str, float]:
    """The first part: it keeps to one core, and the second must not."""
    command = [sys.executable, __file__, "--directions-here", *["--quick"] * asked.quick]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.returncode)
    return dict(json.loads(done.stdout))


def table(found: Mapping[str, float]) -> list[str]:
    """A line for each figure. Goals are for whole runs on a machine that does nothing else."""
    return [
        f"{name:<44}{value:>12,.2f}   {verdict(name, value)}".rstrip()
        for name, value in found.items()
    ]


def verdict(name: str, value: float) -> str:
    goal = GOALS.get(name)
    if goal is None:
        return ""
    return f"{'met' if goal.is_met_by(value) else 'NOT MET'}: {goal}"


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="What scoring costs.")
    parser.add_argument("--quick", action="store_true", help="a few directions: does it run?")
    parser.add_argument("--only", choices=["directions", "track"], help="one part")
    parser.add_argument(
        "--predictions", type=Path, help="keep the translations of the track here (2 GB)"
    )
    parser.add_argument("--track_rounds", type=int, help="of one process and two (default 1)")
    parser.add_argument(
        "--track", type=int, metavar="N", help="the first N directions in place of all 10100"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--directions-here", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def run_here() -> int:
    """What the process of the first part does."""
    on_one_core()
    plan = QUICK if arguments().quick else Plan()
    with tempfile.TemporaryDirectory(prefix="sacrebleu-") as home:
        data = data_folder().parent
        put_models(Path(home), data)
        print(json.dumps(each_direction(plan, data)))
    return 0


if __name__ == "__main__":
    sys.exit(run_here() if "--directions-here" in sys.argv else main())
