"""Whether the engine translates as the plain loop of one sentence at a time: greedy, in float32.

    python benchmarks/greedy_identity.py [--sentences 3000] [--architecture NAME...]
                                         [--backend NAME...] [--folder DIR] [--json]

For each architecture of `tiny_models.py` a model with random weights is made, and converted for
CTranslate2. The engine translates the sentences with either backend, all directions at once, in
batches of a token budget; the plain loop tokenizes each by itself and calls transformers'
`generate`. The tokens must be the same. What is made, and what the plain loop wrote, is kept in
--folder, where one is given, for the next time.

Sums of floats depend on the order in which they are added, and that on the shape of a batch and on
the library. Where two words have all but the same score, that can decide between them: each such
sentence is counted and printed, with how far apart the two scores are, and how far the plain loop's
own scores are from those in float64, both as shares of the highest. Scores that are further apart
than TOLERANCE, and than twice that error, are no rounding: then the exit status is 1.

The sentences are those of the test data (COORDINATOR_TEST_DATA, by default `../shared/data`).
"""

import argparse
import copy
import json
import os
import sys
import tempfile
import time
import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import tiny_models
import torch
from predictions import REPOSITORY, Corpus, data_folder
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer
from transformers.utils import logging as transformers_logging

from coordinator.domain.job_options import InferenceOptions
from coordinator.inference.backend import Backend, Row
from coordinator.inference.book import Text, Translated
from coordinator.inference.engine import Engine

sys.path.append(str(REPOSITORY / "tools"))
from to_ctranslate2 import convert

TOLERANCE = 1e-6  # of the highest score
BUDGET = 4_096  # tokens of a batch
PIECES = 3_000
LINES_OF_A_TOKENIZER = 300  # of each language
SECONDS_BETWEEN = 5
KEPT_EVERY = 50  # sentences of the plain loop
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
BACKENDS = ("torch", "ctranslate2")
SERVER = (sys.executable, str(Path(__file__).with_name("tokens_server.py")))
# Seed and end weight of each model, with which its sentences end at many lengths.
MODELS = {"m2m100": (1, 6.0), "nllb": (1, 1.5), "mbart50": (1, 6.0), "marian": (6, 6.0)}
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
        error: the largest of float32's scores there against float64's, as such a share.
    """

    sentence: int
    token: int
    gap: float
    error: float

    @property
    def is_rounding(self) -> bool:
        return self.gap <= max(TOLERANCE, 2 * self.error)


class PlainLoop:
    """One sentence at a time, with nothing but the library's own calls."""

    def __init__(self, folder: Path) -> None:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Recommended: pip install sacremoses")
            self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.network = AutoModelForSeq2SeqLM.from_pretrained(folder, dtype=torch.float32).eval()
        settings = self.network.generation_config
        self._longest, settings.max_length = settings.max_length, None  # one of two ways to say it

    @property
    def end(self) -> int:
        return int(self.network.config.eos_token_id)

    def numbers(self, tokens: Sequence[str]) -> list[int]:
        """Of tokens that are named as in a converted model."""
        known = {**self.tokenizer.get_vocab(), **getattr(self.tokenizer, "lang_token_to_id", {})}
        return [
            known[token] if token in known else int(token.removeprefix("<unused").rstrip(">"))
            for token in tokens
        ]

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

    def gap(
        self, sentence: Sentence, before: Sequence[int], one: int, other: int
    ) -> tuple[float, float]:
        """How far apart the scores of two tokens are that might follow `before`, and the error of
        all scores there.
        """
        scores, exact = (
            self._scores(network, sentence, before).double()
            for network in (self.network, self._exact)
        )
        highest = float(exact.abs().max())
        gap = float((scores[one] - scores[other]).abs())
        return gap / highest, float((scores - exact).abs().max()) / highest

    @cached_property
    def _exact(self) -> Any:
        return copy.deepcopy(self.network).double()

    def _scores(self, network: Any, sentence: Sentence, before: Sequence[int]) -> torch.Tensor:
        first, start = self.first(sentence), network.config.decoder_start_token_id
        given = [start, *([] if first is None else [first]), *before]
        with torch.inference_mode():
            output = network(**self.inputs(sentence), decoder_input_ids=torch.tensor([given]))
        scores: torch.Tensor = output.logits[0, -1]
        return scores


def differences(
    backend: Backend, plain: PlainLoop, sentences: Sequence[Sentence], budget: int = BUDGET
) -> Iterator[Difference]:
    """Each sentence whose tokens differ; the backend's outputs are lists of tokens."""
    alone = [plain.write(sentence) for sentence in told(sentences)]
    yield from compared(plain, sentences, alone, in_batches(backend, sentences, budget))


def compared(
    plain: PlainLoop, sentences: Sequence[Sentence], alone: Sequence[list[int]],
    written: Sequence[list[int]],
) -> Iterator[Difference]:  # fmt: skip
    """Each sentence whose tokens differ, `alone` being the plain loop's."""
    end = plain.end
    for number, sentence in enumerate(sentences):
        mine, other = (_ended(tokens[number], end) for tokens in (alone, written))
        if mine != other:
            pairs = enumerate(zip(mine, other, strict=False))
            at = next(at for at, (one, two) in pairs if one != two)
            yield Difference(number, at, *plain.gap(sentence, mine[:at], mine[at], other[at]))


def _ended(tokens: list[int], end: int) -> list[int]:
    """With its end, also where no room was left for it."""
    return tokens if tokens and tokens[-1] == end else [*tokens, end]


def through_engine(folder: Path, sentences: Sequence[Sentence], budget: int) -> list[Any]:
    """The tokens of each, as the model in `folder` names them; an item for each direction."""
    places: dict[tuple[str, str], list[int]] = defaultdict(list)
    for place, sentence in enumerate(sentences):
        places[sentence.source, sentence.target].append(place)
    items = [
        Text(f"{source}-{target}", [sentences[place].text for place in some], source, target)
        for (source, target), some in places.items()
    ]
    written: list[Any] = [None] * len(sentences)
    options = InferenceOptions(device="cpu", max_batch_tokens=budget)
    with closing(Engine(folder, options, command=SERVER)) as engine:
        for item, what in engine.work_off(items, lambda item: item):
            if not isinstance(what, Translated):
                raise what
            for place, tokens in zip(places[item.direction], what.translations, strict=True):
                written[place] = json.loads(tokens)
    return written


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
    seed, end_weight = MODELS[architecture]
    shape = tiny_models.Shape(end_weight=end_weight)
    target = folder / architecture
    return tiny_models.make(architecture, target, lines, shape=shape, pieces=pieces, seed=seed)


def told(sentences: Sequence[Sentence], begun: int = 0) -> Iterator[Sentence]:
    """The sentences from the one numbered `begun`, with word of how far it is now and then."""
    last = time.monotonic()
    for number in range(begun, len(sentences)):
        if time.monotonic() - last > SECONDS_BETWEEN:
            last = time.monotonic()
            print(f"  {number} of {len(sentences)} sentences", file=sys.stderr, flush=True)
        yield sentences[number]


def check(
    architecture: str, backends: Sequence[str], count: int, folder: Path
) -> dict[str, dict[str, Any]]:
    """What is different with each backend; what it takes is made in `folder`, or found there."""
    corpus, model, converted = Corpus(data_folder()), folder / architecture, folder / "converted"
    if not model.is_dir():
        make_model(corpus, architecture, folder)
    if not (converted / architecture).is_dir():
        convert(model, converted / architecture)
    sentences, plain = real_sentences(corpus, architecture, count), PlainLoop(model)
    written = {
        "torch": lambda: through_engine(model, sentences, BUDGET),
        "ctranslate2": lambda: [
            plain.numbers(tokens)
            for tokens in through_engine(converted / architecture, sentences, BUDGET)
        ],
    }
    alone = _alone(plain, sentences, folder / f"{architecture}.json")
    found = {}
    for name in backends:
        found[name] = list(compared(plain, sentences, alone, written[name]()))
        for difference in found[name]:
            print(f"{architecture}, {name}, {_said(difference)}", file=sys.stderr, flush=True)
    return {name: _counted(each, len(sentences)) for name, each in found.items()}


def _alone(plain: PlainLoop, sentences: Sequence[Sentence], path: Path) -> list[list[int]]:
    """What the plain loop writes; kept in a file now and then, from where it can go on."""
    known: list[list[int]] = json.loads(path.read_text()) if path.is_file() else []
    for sentence in told(sentences, len(known)):
        known.append(plain.write(sentence))
        if len(known) % KEPT_EVERY == 0 or len(known) == len(sentences):
            path.write_text(json.dumps(known))
    return known[: len(sentences)]


def _said(difference: Difference) -> str:
    kind = "rounding" if difference.is_rounding else "NOT rounding"
    where = f"sentence {difference.sentence}, token {difference.token}"
    return f"{where}: scores {difference.gap:.1e} apart, error {difference.error:.1e}, {kind}"


def _counted(found: Sequence[Difference], sentences: int) -> dict[str, Any]:
    wrong = sum(not difference.is_rounding for difference in found)
    each = [asdict(difference) for difference in found]
    return {"sentences": sentences, "different": len(found), "wrong": wrong, "each": each}


def main() -> int:
    options = _options()
    os.environ["OMP_NUM_THREADS"] = "1"  # of so small a model, more are in each other's way
    torch.set_num_threads(1)
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    results = {}
    with tempfile.TemporaryDirectory() as aside:
        for name in options.architecture or tiny_models.ARCHITECTURES:
            print(name, file=sys.stderr, flush=True)
            folder = options.folder or Path(aside)
            results[name] = check(name, options.backend, options.sentences, folder)
    print(json.dumps(results) if options.json else "\n".join(_told(results)))
    return int(any(each["wrong"] for found in results.values() for each in found.values()))


def _told(results: dict[str, dict[str, dict[str, Any]]]) -> Iterator[str]:
    for architecture, found in results.items():
        for backend, result in found.items():
            same = result["sentences"] - result["different"]
            rounding = result["different"] - result["wrong"]
            counts = f"{same} the same, {rounding} by rounding, {result['wrong']} wrong"
            yield f"{architecture:<10}{backend:<14}{counts}"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sentences", type=int, default=3_000, help="default 3000")
    parser.add_argument("--architecture", nargs="+", choices=tiny_models.ARCHITECTURES)
    parser.add_argument("--backend", nargs="+", choices=BACKENDS, default=BACKENDS)
    parser.add_argument("--folder", type=Path, help="keep there what is made")
    parser.add_argument("--json", action="store_true", help="figures for a program")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
