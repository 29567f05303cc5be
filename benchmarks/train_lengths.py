"""Train a small M2M100 to write as many tokens as the real translation has, in minutes on a CPU.

    python benchmarks/train_lengths.py --output DIR [--sentences N] [--steps N] [--width N]
                                       [--encoder-layers N] [--decoder-layers N] [--threads N]

For the speed of translation it matters how many tokens are written for each sentence, not which. A
model with random weights does not stop; one that copies its source makes targets as long as
sources, and so flatters every order by length. This one learns, for each sentence of some
directions of the test data (COORDINATOR_TEST_DATA, by default `../shared/data`), how many tokens
the sentence in the target language has: it writes a count down from there, the end token last. It
learns them by heart, which is all that is wanted of it. Its encoder and the words' vectors stay
random, so that each sentence is read once only; the decoder learns what to make of that.

Prints how the lengths that it writes go with the real ones.
"""

import argparse
import random
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tiny_models
import torch
from predictions import Corpus, data_folder
from tiny_models import END, PADDING, SPECIAL
from transformers.utils import logging as transformers_logging

from coordinator.inference.backend import Row
from coordinator.inference.torch_backend import TorchBackend, load_torch

# Languages of the test data, as M2M100 calls them; some write far more tokens than others.
DIRECTIONS = (("eng-US", "deu"), ("fra", "eng-US"), ("rus", "fra"), ("deu", "jpn"))
CODES = {"eng-US": "en", "deu": "de", "fra": "fr", "rus": "ru", "jpn": "ja"}
PIECES = 8_000
LONGEST = 200  # tokens that are counted down from
BATCH = 64
COUNTED = 4  # rows of a batch of which the whole count is learned; of the others, its beginning
PEAK_RATE = 2e-3
STEPS = 400
SENTENCES = 256  # of each direction
TOLD_EVERY = 50  # steps
IGNORED = -100  # the label that torch's cross entropy leaves out


@dataclass(frozen=True)
class Example:
    """A sentence as the model reads it, and how many tokens its translation has, its end too."""

    row: Row
    source: str
    target: str
    text: str
    tokens: int

    @property
    def first(self) -> int:
        """The token of the target language."""
        return int(self.row.data["start"][0])

    @property
    def count(self) -> list[int]:
        """What is to be written: the numbers before `tokens`, each a word of the vocabulary."""
        return [*(len(SPECIAL) + left for left in range(self.tokens - 1, 0, -1)), END]


def make_untrained(folder: Path, corpus: Corpus, shape: tiny_models.Shape) -> Path:
    lines = [line for language in CODES for line in corpus.text(language)]
    return tiny_models.make("m2m100", folder, lines, shape=shape, pieces=PIECES)


def shape_of(width: int, encoder_layers: int, decoder_layers: int) -> tiny_models.Shape:
    return tiny_models.Shape(
        width=width,
        encoder_layers=encoder_layers,
        decoder_layers=decoder_layers,
        max_length=LONGEST + 2,
        spread=0.06,
        end_weight=None,
    )


def examples(corpus: Corpus, backend: TorchBackend, sentences: int) -> list[Example]:
    """Direction after direction, each in the order of its file."""
    found = []
    for source, target in DIRECTIONS:
        codes = CODES[source], CODES[target]
        texts = corpus.text(source)[:sentences]
        rows = backend.encode(texts, *codes)
        wanted = backend.encode(corpus.text(target)[:sentences], codes[1], codes[0])
        for text, row, other in zip(texts, rows, wanted, strict=True):
            # Its language's token is not written: it is what the translation starts with.
            found.append(Example(row, *codes, text, min(other.tokens - 1, LONGEST)))
    return found


def train(network: Any, learned: Sequence[Example], steps: int) -> None:
    states = _read(network, learned)
    for part in (network.get_encoder(), network.get_input_embeddings()):
        part.requires_grad_(False)
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    optimizer = torch.optim.Adam(weights, lr=PEAK_RATE, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, PEAK_RATE, total_steps=steps, pct_start=0.1
    )
    began, batches = time.monotonic(), _batches(learned)
    network.train()
    for step in range(1, steps + 1):
        places = next(batches)
        loss = _loss(network, [learned[place] for place in places], [states[p] for p in places])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        schedule.step()
        if step % TOLD_EVERY == 0:
            seconds = time.monotonic() - began
            print(f"step {step}: loss {loss.item():.3f}, {seconds:.0f} s", file=sys.stderr)
    network.eval()


def _read(network: Any, learned: Sequence[Example]) -> list[torch.Tensor]:
    """What the encoder makes of each: (tokens, width)."""
    encoder, states = network.get_encoder(), []
    with torch.no_grad():
        for example in learned:
            ids = torch.tensor([example.row.data["ids"]])
            states.append(encoder(ids).last_hidden_state[0])
    return states


def _batches(learned: Sequence[Example]) -> Iterator[list[int]]:
    """Places of all of them once, those of like length together, then again; by a seed."""
    chance = random.Random(1)
    order = sorted(range(len(learned)), key=lambda place: learned[place].row.tokens)
    starts = list(range(0, len(order), BATCH))
    while True:
        chance.shuffle(starts)
        for start in starts:
            yield chance.sample(order[start : start + BATCH], len(order[start : start + BATCH]))


def _loss(network: Any, batch: Sequence[Example], states: Sequence[torch.Tensor]) -> torch.Tensor:
    """Of the first number of every row, and of the whole count of some."""
    begun = _decoded(network, states, batch, longest=1)
    return begun + _decoded(network, states[:COUNTED], batch[:COUNTED], LONGEST)


def _decoded(
    network: Any, states: Sequence[torch.Tensor], batch: Sequence[Example], longest: int
) -> torch.Tensor:
    """Cross entropy of the first `longest` tokens of each count."""
    read = torch.nn.utils.rnn.pad_sequence(list(states), batch_first=True)
    wanted = [example.count[:longest] for example in batch]
    given = [
        [END, example.first, *count[:-1]] for example, count in zip(batch, wanted, strict=True)
    ]
    labels = _padded([[IGNORED, *count] for count in wanted], IGNORED)
    scores = network(
        encoder_outputs=(read,),
        attention_mask=_padded([[1] * len(each) for each in states], 0),
        decoder_input_ids=_padded(given, PADDING),
        use_cache=False,
    ).logits
    return torch.nn.functional.cross_entropy(scores.flatten(0, 1), labels.flatten())


def _padded(rows: Sequence[Sequence[int]], filler: int) -> torch.Tensor:
    width = max(map(len, rows))
    return torch.tensor([[*row, *[filler] * (width - len(row))] for row in rows])


def trained(
    folder: Path, corpus: Corpus, shape: tiny_models.Shape, sentences: int, steps: int
) -> Path:
    """Make the model in `folder` and train it there."""
    make_untrained(folder, corpus, shape)
    backend = load_torch(folder, "cpu", dtype=torch.float32)
    network = backend.network
    settings = network.generation_config
    train(network, examples(corpus, backend, sentences), steps)
    settings.max_length, settings.max_new_tokens = LONGEST + 2, None
    network.save_pretrained(folder)
    return folder


def agreement(written: Sequence[int], real: Sequence[int]) -> dict[str, float]:
    """Tokens written for each that the real sentence has, and how the lengths go together."""
    same = sum(one == other for one, other in zip(written, real, strict=True))
    return {
        "written_over_real": sum(written) / sum(real),
        "length_correlation": _correlation(written, real),
        "same_length_share": same / len(real),
    }


def _correlation(written: Sequence[int], real: Sequence[int]) -> float:
    if len(set(written)) == 1:  # of a model that has learned nothing yet
        return 0.0
    return statistics.correlation(written, real)


def main() -> int:
    options = _options()
    transformers_logging.disable_progress_bar()
    torch.set_num_threads(options.threads)
    corpus = Corpus(data_folder())
    shape = shape_of(options.width, options.encoder_layers, options.decoder_layers)
    folder = trained(options.output, corpus, shape, options.sentences, options.steps)
    backend = load_torch(folder, "cpu", dtype=torch.float32)
    known = examples(corpus, backend, options.sentences)
    outputs = backend.translate([example.row for example in known])
    found = agreement([len(output.data) for output in outputs], [e.tokens for e in known])
    print(*(f"{name} {value:.3f}" for name, value in found.items()), sep="\n")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--sentences", type=int, default=SENTENCES, help="of each direction")
    parser.add_argument("--steps", type=int, default=STEPS, help=f"default {STEPS}")
    parser.add_argument("--width", type=int, default=128, help="of a token's vector, default 128")
    parser.add_argument("--encoder-layers", type=int, default=2)
    parser.add_argument("--decoder-layers", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2, help="of the processor, default 2")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
