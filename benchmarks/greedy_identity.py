"""Whether a batch is translated as its sentences are one at a time: greedy, in float32.

    python benchmarks/greedy_identity.py [--sentences 3000] [--architecture NAME...] [--json]

For each architecture of `tiny_models.py` a model with random weights is made. The backend
translates the sentences in batches of a token budget, directions mixed; the plain loop tokenizes
each by itself and calls `generate`. The tokens must be the same.

Sums of floats depend on the order in which they are added, and that on the shape of a batch. Where
two words have all but the same score, that can decide between them: each such sentence is counted
and printed, with how far apart the two scores are, as a share of the highest. More than TOLERANCE
is no rounding: then the exit status is 1.

The sentences are those of the test data (COORDINATOR_TEST_DATA, by default `../shared/data`).
"""

import argparse
import json
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import tiny_models
import torch
from predictions import Corpus, data_folder
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer
from transformers.utils import logging as transformers_logging

from coordinator.inference.backend import Backend, Row
from coordinator.inference.torch_backend import load_torch

TOLERANCE = 1e-5  # of the highest score
BUDGET = 4_096  # tokens of a batch
PIECES = 3_000
LINES_OF_A_TOKENIZER = 300  # of each language
SECONDS_BETWEEN = 5
# Languages of the test data, and what M2M100, NLLB and mBART-50 call them.
LANGUAGES = {
    "arb": ("ar", "arb_Arab", "ar_AR"),
    "deu": ("de", "deu_Latn", "de_DE"),
    "eng-US": ("en", "eng_Latn", "en_XX"),
    "fra": ("fr", "fra_Latn", "fr_XX"),
    "hin": ("hi", "hin_Deva", "hi_IN"),
    "jpn": ("ja", "jpn_Jpan", "ja_XX"),
    "rus": ("ru", "rus_Cyrl", "ru_RU"),
    "zho-CN": ("zh", "zho_Hans", "zh_CN"),
}
CODES = {"m2m100": 0, "nllb": 1, "mbart50": 2}  # which of the three; Marian has none


@dataclass(frozen=True)
class Sentence:
    """Languages are given by the model's codes; a Marian model here has one direction only."""

    text: str
    source: str
    target: str


@dataclass(frozen=True)
class Difference:
    """A sentence that a batch translates otherwise.

    Attributes:
        sentence: its number, from 0.
        token: the number of the first token that differs, from 0.
        gap: between the two tokens' scores, as a share of the highest score.
    """

    sentence: int
    token: int
    gap: float

    @property
    def is_rounding(self) -> bool:
        return self.gap <= TOLERANCE


class PlainLoop:
    """One sentence at a time, with nothing but the library's own calls."""

    def __init__(self, folder: Path) -> None:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Recommended: pip install sacremoses")
            self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.network = AutoModelForSeq2SeqLM.from_pretrained(folder, dtype=torch.float32).eval()
        settings = self.network.generation_config
        self._longest, settings.max_length = settings.max_length, None  # one of two ways to say it

    def inputs(self, sentence: Sentence) -> dict[str, Any]:
        if hasattr(self.tokenizer, "src_lang"):
            self.tokenizer.src_lang = sentence.source
        return dict(self.tokenizer(sentence.text, return_tensors="pt", truncation=True))

    def first(self, sentence: Sentence) -> int | None:
        """The token that the translation has to start with."""
        if not hasattr(self.tokenizer, "src_lang"):
            return None
        codes = getattr(self.tokenizer, "lang_code_to_id", None) or self.tokenizer.get_vocab()
        return int(codes[sentence.target])

    def write(self, sentence: Sentence) -> list[int]:
        """The tokens of the translation after `first`, its end included."""
        first = self.first(sentence)
        with torch.inference_mode():
            written = self.network.generate(
                **self.inputs(sentence),
                forced_bos_token_id=first,
                max_new_tokens=self._longest,
                num_beams=1,
                do_sample=False,
            )
        tokens: list[int] = written[0].tolist()
        return tokens[1 if first is None else 2 :]

    def gap(self, sentence: Sentence, before: Sequence[int], one: int, other: int) -> float:
        """How far apart the scores of two tokens are that might follow `before`."""
        first, start = self.first(sentence), self.network.config.decoder_start_token_id
        given = [start, *([] if first is None else [first]), *before]
        with torch.inference_mode():
            output = self.network(**self.inputs(sentence), decoder_input_ids=torch.tensor([given]))
        scores = output.logits[0, -1]
        return float((scores[one] - scores[other]).abs() / scores.abs().max())


def differences(
    backend: Backend, plain: PlainLoop, sentences: Sequence[Sentence], budget: int = BUDGET
) -> Iterator[Difference]:
    """Each sentence whose tokens differ; the backend's outputs are lists of tokens."""
    written = in_batches(backend, sentences, budget)
    for number, sentence in enumerate(told(sentences)):
        alone = plain.write(sentence)
        if alone == written[number]:
            continue
        pairs = enumerate(zip(alone, written[number], strict=False))
        at = next((at for at, (one, other) in pairs if one != other), None)
        if at is None:  # one of them goes on where the other has ended, without an end token
            yield Difference(number, min(len(alone), len(written[number])), float("inf"))
        else:
            one, other = alone[at], written[number][at]
            yield Difference(number, at, plain.gap(sentence, alone[:at], one, other))


def in_batches(backend: Backend, sentences: Sequence[Sentence], budget: int) -> list[Any]:
    """What is written for each sentence, in batches of like length."""
    rows = [backend.encode([s.text], s.source, s.target)[0] for s in sentences]
    written: list[Any] = [None] * len(rows)
    for places in batches(rows, budget):
        outputs = backend.translate([rows[place] for place in places])
        for place, output in zip(places, outputs, strict=True):
            written[place] = output.data
    return written


def batches(rows: Sequence[Row], budget: int) -> Iterator[list[int]]:
    """Places of rows, the longest first; a batch's rows times its longest are in the budget."""
    batch: list[int] = []
    for place in sorted(range(len(rows)), key=lambda place: -rows[place].tokens):
        if batch and (len(batch) + 1) * rows[batch[0]].tokens > budget:
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch


def real_sentences(corpus: Corpus, architecture: str, count: int) -> list[Sentence]:
    """From all of LANGUAGES in turn, each into each other in turn."""
    names, found = list(LANGUAGES), []
    for number in range(count):
        line, place = divmod(number, len(names))
        other = (place + 1 + line % (len(names) - 1)) % len(names)
        source, target = (_code(names[at], architecture) for at in (place, other))
        found.append(Sentence(corpus.text(names[place])[line], source, target))
    return found


def _code(language: str, architecture: str) -> str:
    known = CODES.get(architecture)
    return language if known is None else LANGUAGES[language][known]


def make_model(corpus: Corpus, architecture: str, folder: Path, pieces: int = PIECES) -> Path:
    lines = [line for name in LANGUAGES for line in corpus.text(name)[:LINES_OF_A_TOKENIZER]]
    return tiny_models.make(architecture, folder / architecture, lines, pieces=pieces)


def told(sentences: Sequence[Sentence]) -> Iterator[Sentence]:
    """The sentences, with word of how far it is on standard error now and then."""
    last = time.monotonic()
    for number, sentence in enumerate(sentences):
        if time.monotonic() - last > SECONDS_BETWEEN:
            last = time.monotonic()
            print(f"  {number} of {len(sentences)} sentences", file=sys.stderr, flush=True)
        yield sentence


def check(architecture: str, count: int, folder: Path) -> dict[str, Any]:
    corpus = Corpus(data_folder())
    model = make_model(corpus, architecture, folder)
    sentences = real_sentences(corpus, architecture, count)
    backend = load_torch(model, "cpu", dtype=torch.float32)
    found = []
    for difference in differences(backend, PlainLoop(model), sentences):
        found.append(difference)
        kind = "rounding" if difference.is_rounding else "NOT rounding"
        where = f"{architecture} sentence {difference.sentence}, token {difference.token}"
        print(f"{where}: scores {difference.gap:.1e} apart, {kind}", file=sys.stderr, flush=True)
    wrong = sum(not difference.is_rounding for difference in found)
    told = [asdict(difference) for difference in found]
    return {"sentences": len(sentences), "different": len(found), "wrong": wrong, "each": told}


def main() -> int:
    options = _options()
    torch.set_num_threads(1)  # of so small a model, more are in each other's way
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in options.architecture or tiny_models.ARCHITECTURES:
            print(name, file=sys.stderr, flush=True)
            results[name] = check(name, options.sentences, Path(folder))
    if options.json:
        print(json.dumps(results))
    else:
        for name, result in results.items():
            same = result["sentences"] - result["different"]
            rounding = result["different"] - result["wrong"]
            print(f"{name:<10} {same} the same, {rounding} by rounding, {result['wrong']} wrong")
    return int(any(result["wrong"] for result in results.values()))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sentences", type=int, default=3_000, help="default 3000")
    parser.add_argument("--architecture", nargs="+", choices=tiny_models.ARCHITECTURES)
    parser.add_argument("--json", action="store_true", help="figures for a program")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
