"""How many sentences a second are translated, against batches of 128 in the order of the file.

    python benchmarks/inference.py [--quick] [--model DIR] [--rounds N] [--budget N]
                                   [--batch N] [--threads N] [--json]

One model translates the same sentences of the test data (COORDINATOR_TEST_DATA, by default
`../shared/data`) in several ways, which take turns, on as many threads of the processor; times are
wall seconds of everything from text to text, and medians of the rounds. The model is that of
`train_lengths.py`, trained here unless one is given: it writes about as many tokens as the real
target sentence has (printed: how well).

- file_order: batches of 128 sentences of one file in its order, each tokenized, translated by
  the library's `generate` and turned into text, float32. What the ratios are over.
- sorted: the same with each file sorted by length, so that batches hold like lengths.
- torch: all files together, like lengths in a batch up to a token budget, and our own loop, which
  puts out the sentences that have ended; float32.

Padding share: of the tokens that the decoder computed, those that nobody wanted. Before anything
is timed, all ways must have written the same tokens; where rounding decides (see
`greedy_identity.py`), the sentences are counted and printed.

On a CUDA GPU the same table is made for it where there is one.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from greedy_identity import batches
from predictions import Corpus, data_folder
from train_lengths import Example, agreement, examples, shape_of, trained
from transformers.utils import logging as transformers_logging

from coordinator.inference.backend import Output
from coordinator.inference.torch_backend import TorchBackend, load_torch

GOALS = {"torch_over_file_order": 2.0, "ctranslate2_over_file_order": 3.0}  # at least
BASE = "file_order"
ENCODED_AT_ONCE = 256  # sentences


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    rounds: int = 3
    sentences: int = 256  # of each direction
    steps: int = 700  # of the training
    batch: int = 128  # sentences
    budget: int = 8_192  # tokens
    width: int = 128
    encoder_layers: int = 2
    decoder_layers: int = 3


QUICK = Plan(rounds=1, sentences=32, steps=60, batch=16, budget=1_024, width=32)


@dataclass
class Run:
    """What one way did in one round.

    Attributes:
        tokens: written for each sentence, in the order of the examples.
        computed: tokens by the decoder, padding and ended rows included.
    """

    texts: list[str]
    tokens: list[list[int]]
    computed: int
    seconds: float = 0.0

    @property
    def padding_share(self) -> float:
        return 1 - sum(map(len, self.tokens)) / self.computed


@dataclass(frozen=True)
class Way:
    """A way to translate all examples. `exact`: its tokens are to be the base's, as in float32."""

    name: str
    translate: Callable[[], Run]
    exact: bool = True
    runs: list[Run] = field(default_factory=list, repr=False)

    @property
    def seconds(self) -> float:
        return statistics.median(run.seconds for run in self.runs)


def ways_on(device: str, model: Path, known: Sequence[Example], plan: Plan) -> list[Way]:
    """Who takes part. Another backend's rows go here: a Way each, its model loaded before."""
    backend = load_torch(model, device, dtype=torch.float32)
    return [
        Way(BASE, lambda: by_files(backend, known, plan.batch, by_length=False)),
        Way("sorted", lambda: by_files(backend, known, plan.batch, by_length=True)),
        Way("torch", lambda: together(backend, known, plan.budget)),
    ]


def by_files(backend: TorchBackend, known: Sequence[Example], size: int, *, by_length: bool) -> Run:
    """Fixed batches within a file, each by `generate`: as a loop over files would do it."""
    tokens: list[list[int]] = [[] for _ in known]
    texts, computed = [""] * len(known), 0
    for places in _fixed_batches(known, size, by_length):
        source, target = known[places[0]].source, known[places[0]].target
        rows = backend.encode([known[place].text for place in places], source, target)
        written, width = _generated(
            backend, [row.data["ids"] for row in rows], rows[0].data["start"]
        )
        computed += width * len(places)
        decoded = backend.decode([Output(len(ids), ids) for ids in written])
        for place, ids, text in zip(places, written, decoded, strict=True):
            tokens[place], texts[place] = ids, text
    return Run(texts, tokens, computed)


def _fixed_batches(known: Sequence[Example], size: int, by_length: bool) -> Iterator[list[int]]:
    places = range(len(known))
    for _, file in groupby(places, key=lambda place: (known[place].source, known[place].target)):
        order = list(file)
        if by_length:
            order.sort(key=lambda place: -len(known[place].text))
        for start in range(0, len(order), size):
            yield order[start : start + size]


def _generated(
    backend: TorchBackend, ids: list[list[int]], start: Sequence[int]
) -> tuple[list[list[int]], int]:
    """What is written for each row, and how many tokens were computed for each."""
    network, width = backend.network, max(map(len, ids))
    settings = network.generation_config
    filler, end = settings.pad_token_id, settings.eos_token_id
    padded = [[*row, *[filler] * (width - len(row))] for row in ids]
    inputs = torch.tensor(padded, device=network.device)
    with torch.inference_mode():
        output = network.generate(
            input_ids=inputs,
            attention_mask=(inputs != filler).long(),
            forced_bos_token_id=start[0],
        )
    written = output[:, 1 + len(start) :].tolist()
    kept = [row[: row.index(end) + 1] if end in row else row for row in written]
    return kept, output.shape[1] - 1


def together(backend: TorchBackend, known: Sequence[Example], budget: int) -> Run:
    """All files' sentences in the engine's order: like lengths together, up to the budget."""
    assert backend.writer is not None
    before = backend.writer.computed
    rows = [row for part in _encoded(backend, known) for row in part]
    tokens: list[list[int]] = [[] for _ in known]
    texts = [""] * len(known)
    for places in batches(rows, budget):
        outputs = backend.translate([rows[place] for place in places])
        for place, output, text in zip(places, outputs, backend.decode(outputs), strict=True):
            tokens[place], texts[place] = output.data, text
    return Run(texts, tokens, backend.writer.computed - before)


def _encoded(backend: TorchBackend, known: Sequence[Example]) -> Iterator[list[Any]]:
    for (source, target), file in groupby(known, key=lambda each: (each.source, each.target)):
        texts = [example.text for example in file]
        for start in range(0, len(texts), ENCODED_AT_ONCE):
            yield backend.encode(texts[start : start + ENCODED_AT_ONCE], source, target)


def measure(ways: Sequence[Way], rounds: int) -> None:
    """Every way once untimed, then all of them in turn."""
    for number in range(rounds + 1):
        for way in ways:
            began = time.perf_counter()
            run = way.translate()
            run.seconds = time.perf_counter() - began
            if number:
                way.runs.append(run)
            said = f"round {number}" if number else "warm-up"
            print(f"  {said}: {way.name} {run.seconds:.1f} s", file=sys.stderr, flush=True)


def different(ways: Sequence[Way]) -> dict[str, list[int]]:
    """For each exact way the sentences of which it wrote other tokens than the base."""
    base = ways[0].runs[0].tokens
    return {
        way.name: [n for n, (a, b) in enumerate(zip(base, run.tokens, strict=True)) if a != b]
        for way in ways[1:]
        if way.exact
        for run in way.runs[:1]
    }


def figures(ways: Sequence[Way], known: Sequence[Example]) -> dict[str, Any]:
    base = ways[0]
    found: dict[str, Any] = {}
    for way in ways:
        run = way.runs[0]
        found[way.name] = {
            "sentences_per_second": len(known) / way.seconds,
            "tokens_per_second": sum(map(len, run.tokens)) / way.seconds,
            "padding_share": run.padding_share,
            "seconds": [each.seconds for each in way.runs],
        }
    over = {
        f"{way.name}_over_{BASE}": statistics.median(
            one.seconds / other.seconds for one, other in zip(base.runs, way.runs, strict=True)
        )
        for way in ways[1:]
    }
    return {"ways": found, **over, "different_sentences": different(ways)}


def table(result: dict[str, Any]) -> Iterator[str]:
    yield f"{'':<16}{'sentences/s':>12}{'tokens/s':>12}{'padding':>10}{'over file order':>17}"
    for name, row in result["ways"].items():
        ratio = result.get(f"{name}_over_{BASE}", 1.0)
        speeds = f"{row['sentences_per_second']:>12.1f}{row['tokens_per_second']:>12.0f}"
        yield f"{name:<16}{speeds}{row['padding_share']:>10.1%}{ratio:>17.2f}"
    for name, numbers in result["different_sentences"].items():
        yield f"{name}: {len(numbers)} sentences written otherwise than in file order {numbers}"


def on(device: str, model: Path, plan: Plan) -> dict[str, Any]:
    corpus = Corpus(data_folder())
    backend = load_torch(model, device, dtype=torch.float32)
    known = examples(corpus, backend, plan.sentences)
    ways = ways_on(device, model, known, plan)
    measure(ways, plan.rounds)
    written = [len(tokens) for tokens in ways[0].runs[0].tokens]
    lengths = agreement(written, [example.tokens for example in known])
    return {"sentences": len(known), "lengths": lengths, **figures(ways, known)}


def _model(plan: Plan, given: Path | None, folder: Path) -> Path:
    if given:
        return given
    print("training the model", file=sys.stderr, flush=True)
    shape = shape_of(plan.width, plan.encoder_layers, plan.decoder_layers)
    return trained(folder, Corpus(data_folder()), shape, plan.sentences, plan.steps)


def main() -> int:
    options = _options()
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    torch.set_num_threads(options.threads)
    plan = _plan(options)
    with tempfile.TemporaryDirectory() as folder:
        model = _model(plan, options.model, Path(folder))
        result: dict[str, Any] = on("cpu", model, plan)
        there = torch.cuda.is_available()
        result["cuda"] = on("cuda", model, plan) if there else "not measured"
    print(json.dumps(result) if options.json else "\n".join(_told(result, options.threads)))
    return 0


def _told(result: dict[str, Any], threads: int) -> Iterator[str]:
    lengths = result["lengths"]
    yield f"{result['sentences']} sentences, {threads} threads, float32"
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
    given = {name: getattr(options, name) for name in ("rounds", "budget", "batch")}
    return replace(plan, **{name: value for name, value in given.items() if value})


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="little of everything, to try it")
    parser.add_argument("--model", type=Path, help="folder that train_lengths.py has written")
    parser.add_argument("--rounds", type=int, help=f"default {Plan.rounds}")
    parser.add_argument("--budget", type=int, help=f"tokens of a batch, default {Plan.budget}")
    parser.add_argument("--batch", type=int, help=f"sentences in file order, default {Plan.batch}")
    parser.add_argument("--threads", type=int, default=2, help="of the processor, default 2")
    parser.add_argument("--json", action="store_true", help="figures for a program")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
