"""How many sentences a second are translated, against batches of 128 in the order of the file.

    python benchmarks/inference.py [--quick] [--model DIR] [--only NAME...] [--sentences N]
                                   [--rounds N] [--budget N] [--batch N] [--threads N] [--json]

One model translates the same sentences of the test data (COORDINATOR_TEST_DATA, by default
`../shared/data`) in several ways, which take turns, on as many cores; times are wall seconds of
everything from text to text, the models being loaded, and medians of the rounds. The model is that
of `train_lengths.py`, trained here unless one is given (a folder that is not there is made): it
writes about as many tokens as the real target sentence has (printed: how well).

- file_order: batches of 128 sentences of one file in its order, each tokenized, translated by
  the library's `generate` and turned into text, float32. What the ratios are over.
- sorted: the same with each file sorted by length, so that batches hold like lengths.
- torch_alone: our backend on batches of like length that were made before, in this process; no
  text is made. What the engine costs is seen beside it.
- torch: the engine, all files at once, in processes of one thread each; float32.
- ctranslate2_file_order, ctranslate2_alone, ctranslate2: the same model converted, by CTranslate2's
  own call, by our backend and by the engine, float32; ctranslate2_int8: computed in eight bits.

Padding share: of the tokens that the decoder computed, those that nobody wanted (CTranslate2 does
not tell; the engine's with torch is that of torch_alone). Busy: share of the time in which the
model's processes had a batch in hand. Texts are compared with those in file order; where rounding
decides (see `greedy_identity.py`), the sentences are counted and printed.

On a CUDA GPU the same table is made for it where there is one, of the ways that run there.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any

import cores
import file_order
import psutil
import torch
from file_order import Written
from greedy_identity import batches
from predictions import REPOSITORY, Corpus, data_folder
from train_lengths import STEPS, Example, agreement, examples, shape_of, trained
from transformers.utils import logging as transformers_logging

from coordinator.domain.job_options import InferenceOptions
from coordinator.inference.backend import Backend, Row
from coordinator.inference.book import Text, Translated
from coordinator.inference.ctranslate2_backend import CTranslate2Backend
from coordinator.inference.engine import Engine
from coordinator.inference.records import BatchRecord
from coordinator.inference.shift import BATCH_TOKENS
from coordinator.inference.torch_backend import TorchBackend, load_torch

sys.path.append(str(REPOSITORY / "tools"))
from to_ctranslate2 import convert

GOALS = {"torch_over_file_order": 2.0, "ctranslate2_over_file_order": 3.0}  # at least
BASE = "file_order"
OVER = {  # what else a way is compared with
    "torch": "torch_alone",
    "ctranslate2": "ctranslate2_file_order",
    "ctranslate2_int8": "ctranslate2",
}
WARM_UP = 8  # one sentence in so many
CTRANSLATE2 = "ctranslate2"  # what the names of its ways begin with


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    rounds: int = 3
    sentences: int = 256  # of each direction
    steps: int = STEPS  # of the training
    batch: int = 128  # sentences
    budget: int = 2 * BATCH_TOKENS  # of so small a model, which has little to do for a token
    threads: int = 2
    width: int = 128
    encoder_layers: int = 2
    decoder_layers: int = 3
    only: tuple[str, ...] = ()


QUICK = Plan(rounds=1, sentences=24, steps=20, batch=16, budget=1_024, width=16)


@dataclass(frozen=True)
class Run:
    """What one way did in one round.

    Attributes:
        cpu: seconds of all cores, of this process and those that it started.
        busy: see the module; None where it means nothing.
    """

    written: Written
    seconds: float
    cpu: float
    busy: float | None = None


Translate = Callable[[Sequence[Example]], Written]


@dataclass(frozen=True)
class Way:
    """A way to translate examples.

    Attributes:
        exact: what it writes is to be the base's, as in float32.
        busy_seconds: of a process, since asked before.
    """

    name: str
    translate: Translate
    exact: bool = True
    busy_seconds: Callable[[], float] | None = None
    runs: list[Run] = field(default_factory=list, repr=False)

    def run(self, known: Sequence[Example]) -> Run:
        cpu, began = _cpu_seconds(), time.perf_counter()
        written = self.translate(known)
        seconds = time.perf_counter() - began
        busy = self.busy_seconds() / seconds if self.busy_seconds else None
        return Run(written, seconds, _cpu_seconds() - cpu, busy)

    def median(self, name: str) -> float:
        return statistics.median(getattr(run, name) for run in self.runs)


def _cpu_seconds() -> float:
    this = psutil.Process()
    times = (process.cpu_times() for process in (this, *this.children(recursive=True)))
    return sum(each.user + each.system for each in times)


class Engined:
    """The engine with its model loaded."""

    def __init__(self, folder: Path, options: InferenceOptions) -> None:
        self._records: list[BatchRecord] = []
        self._processes, self._asked = options.processes or 1, 0
        self._engine = Engine(folder, options, self._records.append, _on_stderr)

    def close(self) -> None:
        self._engine.close()

    def translate(self, known: Sequence[Example]) -> Written:
        before, found = len(self._records), {}
        for file, what in self._engine.work_off(list(_files(known)), lambda text: text):
            if isinstance(what, Exception):
                raise what
            assert isinstance(what, Translated)
            found[file.name] = what.translations
        texts = [text for file in _files(known) for text in found[file.name]]
        tokens = sum(record.target_tokens or 0 for record in self._records[before:])
        return Written(texts, [tokens], None)

    def busy_seconds(self) -> float:
        fresh, self._asked = self._records[self._asked :], len(self._records)
        return sum(record.seconds for record in fresh) / self._processes


def _files(known: Sequence[Example]) -> Iterator[Text]:
    for (source, target), file in groupby(known, key=lambda each: (each.source, each.target)):
        yield Text(f"{source}-{target}", [example.text for example in file], source, target)


def _on_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Ways:
    """Those that run on a device, each loading what it needs.

    Attributes:
        ending: what the ways start is ended with it.
    """

    device: str
    model: Path
    converted: Path
    known: Sequence[Example]
    plan: Plan
    ending: ExitStack

    def made(self) -> Iterator[Way]:
        """The base first."""
        makers = {
            BASE: lambda: self._file_order(by_length=False),
            "sorted": lambda: self._file_order(by_length=True),
            "torch_alone": lambda: Way("", self._alone(self._torch)),
            "torch": self._engine_on_torch,
            "ctranslate2_file_order": self._file_order_by_ctranslate2,
            "ctranslate2_alone": lambda: Way("", self._alone(self._ctranslate2)),
            "ctranslate2": lambda: self._engine(self.converted),
            "ctranslate2_int8": lambda: replace(
                self._engine(self.converted, compute_type="int8"), exact=False
            ),
        }
        wanted = {BASE, *self.plan.only} if self.plan.only else set(makers)
        for name, make in makers.items():
            if name in wanted and (self.device == "cpu" or not name.startswith(CTRANSLATE2)):
                yield replace(make(), name=name)

    @cached_property
    def _torch(self) -> TorchBackend:
        return load_torch(self.model, self.device, dtype=torch.float32)

    @cached_property
    def _ctranslate2(self) -> CTranslate2Backend:
        return CTranslate2Backend(self.converted, self.device, translators=self.plan.threads)

    def _file_order(self, *, by_length: bool) -> Way:
        call, size = file_order.generate(self.model, self.device), self.plan.batch
        return Way(
            "",
            lambda some: file_order.by_files(self._torch, call, some, size, by_length=by_length),
        )

    def _file_order_by_ctranslate2(self) -> Way:
        call = file_order.translate_batch(self.converted, self.plan.threads)
        size = self.plan.batch
        return Way("", lambda some: file_order.by_files(self._ctranslate2, call, some, size))

    def _engine_on_torch(self) -> Way:
        return self._engine(self.model, processes=self.plan.threads if self.device == "cpu" else 1)

    def _engine(self, folder: Path, **changes: Any) -> Way:
        given = {"device": self.device, "max_batch_tokens": self.plan.budget, **changes}
        options = InferenceOptions.model_validate(given)
        engine = self.ending.enter_context(closing(Engined(folder, options)))
        return Way("", engine.translate, busy_seconds=engine.busy_seconds)

    def _alone(self, backend: TorchBackend | CTranslate2Backend) -> Translate:
        """The backend and nothing else, on rows that are there already."""
        encoded = zip(self.known, _encoded(backend, self.known), strict=True)
        rows = {id(example): row for example, row in encoded}
        return lambda some: _alone(backend, [rows[id(each)] for each in some], self.plan.budget)


def _encoded(backend: Backend, known: Sequence[Example]) -> Iterator[Row]:
    for file in _files(known):
        yield from backend.encode(file.sentences, file.source, file.target)


def _alone(backend: Backend, rows: Sequence[Row], budget: int) -> Written:
    writer, lengths = getattr(backend, "writer", None), [0] * len(rows)
    before = writer.computed if writer else 0
    for places in batches(rows, budget):
        outputs = backend.translate([rows[place] for place in places])
        for place, output in zip(places, outputs, strict=True):
            lengths[place] = output.tokens or 0
    return Written([], lengths, writer.computed - before if writer else None)


def measure(ways: Sequence[Way], known: Sequence[Example], rounds: int) -> None:
    """Every way once untimed on a few sentences, then all of them in turn."""
    for way in ways:
        way.run([example for place, example in enumerate(known) if place % WARM_UP == 0])
    for number in range(1, rounds + 1):
        for way in ways:
            run = way.run(known)
            way.runs.append(run)
            said = f"round {number}: {way.name} {run.seconds:.1f} s, {run.cpu:.1f} s of cores"
            print(f"  {said}", file=sys.stderr, flush=True)


def figures(ways: Sequence[Way]) -> dict[str, Any]:
    """Ratios are medians over the rounds, for what else the machine does changes with them."""
    by_name, over = {way.name: way for way in ways}, {}
    for way in ways[1:]:
        for other in (BASE, OVER.get(way.name)):
            if other in by_name:
                over[f"{way.name}_over_{other}"] = _ratio(by_name[other], way, "seconds")
                over[f"{way.name}_over_{other}_cpu"] = _ratio(by_name[other], way, "cpu")
    found = {way.name: _row(way) for way in ways}
    if {"torch", "torch_alone"} <= set(found):
        found["torch"]["padding_share"] = found["torch_alone"]["padding_share"]
    return {"ways": found, **over, "different_sentences": different(ways)}


def _ratio(one: Way, other: Way, name: str) -> float:
    pairs = zip(one.runs, other.runs, strict=True)
    return statistics.median(getattr(a, name) / getattr(b, name) for a, b in pairs)


def _row(way: Way) -> dict[str, Any]:
    written, seconds = way.runs[0].written, way.median("seconds")
    tokens, computed = sum(written.lengths), written.computed
    return {
        "sentences_per_second": (len(written.texts) or len(written.lengths)) / seconds,
        "tokens_per_second": tokens / seconds,
        "cpu_seconds": way.median("cpu"),
        "padding_share": 1 - tokens / computed if computed else None,
        "busy_share": way.median("busy") if way.busy_seconds else None,
        "seconds": [run.seconds for run in way.runs],
    }


def different(ways: Sequence[Way]) -> dict[str, list[int]]:
    """For each exact way that makes texts the sentences that it wrote otherwise than the base."""
    base = ways[0].runs[0].written.texts
    return {
        way.name: [n for n, (a, b) in enumerate(zip(base, texts, strict=True)) if a != b]
        for way in ways[1:]
        if way.exact and (texts := way.runs[0].written.texts)
    }


def table(result: dict[str, Any]) -> Iterator[str]:
    heads = ("sentences/s", "tokens/s", "padding", "busy", "over file order", "in core seconds")
    yield f"{'':<24}" + "".join(f"{head:>16}" for head in heads)
    for name, row in result["ways"].items():
        ratios = (result.get(f"{name}_over_{BASE}{kind}", 1.0) for kind in ("", "_cpu"))
        cells = (
            f"{row['sentences_per_second']:.1f}", f"{row['tokens_per_second']:.0f}",
            _share(row["padding_share"]), _share(row["busy_share"]), *map("{:.2f}".format, ratios),
        )  # fmt: skip
        yield f"{name:<24}" + "".join(f"{cell:>16}" for cell in cells)
    for name, other in OVER.items():
        if f"{name}_over_{other}" in result:
            yield f"{name} over {other}: {result[f'{name}_over_{other}']:.2f}"
    for name, numbers in result["different_sentences"].items():
        yield f"{name}: {len(numbers)} sentences written otherwise than in file order {numbers}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def on(device: str, model: Path, converted: Path, plan: Plan) -> dict[str, Any]:
    known = examples(Corpus(data_folder()), load_torch(model, "cpu"), plan.sentences)
    with ExitStack() as ending:
        ways = list(Ways(device, model, converted, known, plan, ending).made())
        measure(ways, known, plan.rounds)
    lengths = agreement(ways[0].runs[0].written.lengths, [example.tokens for example in known])
    return {"sentences": len(known), "lengths": lengths, **figures(ways)}


def _model(plan: Plan, folder: Path) -> Path:
    """The model in `folder`; where there is none it is trained."""
    if (folder / "model.safetensors").is_file():
        return folder
    print("training the model", file=sys.stderr, flush=True)
    shape = shape_of(plan.width, plan.encoder_layers, plan.decoder_layers)
    return trained(folder, Corpus(data_folder()), shape, plan.sentences, plan.steps)


def main() -> int:
    options = _options()
    cores.share(options.threads)
    torch.set_num_threads(options.threads)
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    plan = _plan(options)
    with tempfile.TemporaryDirectory() as folder:
        model = _model(plan, options.model or Path(folder, "model"))
        convert(model, converted := Path(folder, "converted"))
        result: dict[str, Any] = on("cpu", model, converted, plan)
        there = torch.cuda.is_available()
        result["cuda"] = on("cuda", model, converted, plan) if there else "not measured"
    result["threads"] = plan.threads
    print(json.dumps(result) if options.json else "\n".join(_told(result)))
    return 0


def _told(result: dict[str, Any]) -> Iterator[str]:
    lengths = result["lengths"]
    yield f"{result['sentences']} sentences, {result['threads']} cores, float32"
    yield (
        f"lengths: {lengths['written_over_real']:.2f} tokens written for each of the real "
        f"sentence, correlation {lengths['length_correlation']:.3f}"
    )
    yield from table(result)
    for name, goal in GOALS.items():
        if name in result:
            yield f"{name} {result[name]:.2f}, goal at least {goal:g}"
    yield "on a CUDA GPU: " + ("not measured" if isinstance(result["cuda"], str) else "")
    if not isinstance(result["cuda"], str):
        yield from table(result["cuda"])


def _plan(options: argparse.Namespace) -> Plan:
    plan = QUICK if options.quick else Plan()
    names = ("rounds", "sentences", "steps", "budget", "batch", "threads", "only")
    given = {name: getattr(options, name) for name in names}
    return replace(plan, **{name: value for name, value in given.items() if value})


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="little of everything, to try it")
    parser.add_argument("--model", type=Path, help="folder of the model, trained where it is not")
    parser.add_argument("--only", nargs="+", default=[], help="ways beside the base, default all")
    parser.add_argument("--rounds", type=int, help=f"default {Plan.rounds}")
    parser.add_argument("--sentences", type=int, help=f"of each file, default {Plan.sentences}")
    parser.add_argument("--steps", type=int, help=f"of the training, default {Plan.steps}")
    parser.add_argument("--budget", type=int, help=f"tokens of a batch, default {Plan.budget}")
    parser.add_argument("--batch", type=int, help=f"sentences in file order, default {Plan.batch}")
    parser.add_argument("--threads", type=int, default=Plan.threads, help="cores, default 2")
    parser.add_argument("--json", action="store_true", help="figures for a program")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
