"""Small seq2seq models of four architectures, made on the spot: real tokenizers, random weights.

    python benchmarks/tiny_models.py --text FILE... --output DIR [--architecture NAME...]
                                     [--pieces N] [--width N] [--layers N] [--seed N]

Writes DIR/<architecture> for m2m100, nllb, mbart50 and marian: a Hugging Face folder each, as
`save_pretrained` leaves it. The tokenizers are SentencePiece models trained on the text that is
given, in the form that each architecture has; nothing is fetched. The weights are drawn with a
seed and mean nothing, but the end token's are made large, so that sentences end at many lengths.

The same text and options give the same folder with the same versions of the libraries.
"""

import argparse
import io
import itertools
import json
import logging
import sys
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sentencepiece
import torch
from transformers import (
    GenerationConfig,
    M2M100Config,
    M2M100ForConditionalGeneration,
    M2M100Tokenizer,
    MarianConfig,
    MarianMTModel,
    MarianTokenizer,
    MBart50Tokenizer,
    MBartConfig,
    MBartForConditionalGeneration,
    NllbTokenizer,
)

START, PADDING, END, UNKNOWN = range(4)
SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")  # in the order of these numbers
LONGEST_LINE = 4_000  # characters; SentencePiece leaves out what is longer


@dataclass(frozen=True)
class Shape:
    """How large a model is.

    Attributes:
        width: of a token's vector.
        positions: tokens that it reads and writes at most.
        max_length: tokens of a translation, as its generation config says.
        spread: standard deviation of the weights; large, so that outputs differ without training.
        end_weight: how much larger the end token's vector is than others, and all of them made
            for weights that stay random; None = the weights as drawn, to be trained.
    """

    width: int = 32
    encoder_layers: int = 2
    decoder_layers: int = 2
    heads: int = 4
    positions: int = 256
    max_length: int = 48
    spread: float = 1.0
    end_weight: float | None = 3.0

    def config(self) -> dict[str, Any]:
        return {
            "d_model": self.width,
            "encoder_layers": self.encoder_layers,
            "decoder_layers": self.decoder_layers,
            "encoder_attention_heads": self.heads,
            "decoder_attention_heads": self.heads,
            "encoder_ffn_dim": 4 * self.width,
            "decoder_ffn_dim": 4 * self.width,
            "max_position_embeddings": self.positions,
            "init_std": self.spread,
            "scale_embedding": True,
            "dropout": 0.0,
            "attention_dropout": 0.0,
            "encoder_layerdrop": 0.0,
            "decoder_layerdrop": 0.0,
            "bos_token_id": START,
            "pad_token_id": PADDING,
            "eos_token_id": END,
            "decoder_start_token_id": END,
            "forced_eos_token_id": None,
        }


TINY = Shape()


def make(
    architecture: str,
    folder: Path,
    lines: Sequence[str],
    *,
    shape: Shape = TINY,
    pieces: int = 500,
    seed: int = 1,
) -> Path:
    """Write a model of `architecture` into `folder`, its tokenizer trained on `lines`."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Recommended: pip install sacremoses")
        network, tokenizer = ARCHITECTURES[architecture](folder, lines, pieces, shape)
    if shape.end_weight is not None:
        _loosen(network, shape.width, shape.end_weight)
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _loosen(network: Any, width: int, end_weight: float) -> None:
    """So that it neither says the last word again for ever, nor goes on until it has to stop.

    Input and output vectors are one: a large one is both copied and chosen easily.
    """
    with torch.no_grad():
        vectors = network.get_input_embeddings().weight
        vectors /= width**0.5  # what `scale_embedding` multiplies by
        vectors[END] *= end_weight


# Each gives the network and its tokenizer; files that the tokenizer reads are left in the folder.


def _m2m100(folder: Path, lines: Sequence[str], pieces: int, shape: Shape) -> tuple[Any, Any]:
    model, vocab = folder / "sentencepiece.bpe.model", folder / "vocab.json"
    words = _trained(lines, pieces, "bpe", model)
    _write_vocab(vocab, [word for word, _ in words])
    tokenizer = M2M100Tokenizer(str(vocab), str(model), model_max_length=shape.positions)
    size = tokenizer.encoder_size + len(tokenizer.lang_code_to_id) + tokenizer.num_madeup_words
    return _m2m_network(size, shape), tokenizer


def _nllb(folder: Path, lines: Sequence[str], pieces: int, shape: Shape) -> tuple[Any, Any]:
    words = [word for word, _ in _trained(lines, pieces, "bpe") if word not in SPECIAL]
    vocab = {word: number for number, word in enumerate((*SPECIAL, *words))}
    tokenizer = NllbTokenizer(vocab, _merges(words), model_max_length=shape.positions)
    return _m2m_network(len(tokenizer), shape), tokenizer


def _mbart50(folder: Path, lines: Sequence[str], pieces: int, shape: Shape) -> tuple[Any, Any]:
    words = _trained(lines, pieces, "unigram")
    tokenizer = MBart50Tokenizer(words, model_max_length=shape.positions)
    network = MBartForConditionalGeneration(
        MBartConfig(vocab_size=len(tokenizer), **shape.config())
    )
    network.generation_config = _generation(shape, forced_eos_token_id=END)
    return network, tokenizer


def _marian(folder: Path, lines: Sequence[str], pieces: int, shape: Shape) -> tuple[Any, Any]:
    source, target, vocab = (folder / name for name in ("source.spm", "target.spm", "vocab.json"))
    words = _trained(lines, pieces, "unigram", source)
    target.write_bytes(source.read_bytes())
    _write_vocab(vocab, [word for word, _ in words])
    tokenizer = MarianTokenizer(
        str(source), str(target), str(vocab), model_max_length=shape.positions
    )
    sizes = shape.config() | {"decoder_start_token_id": PADDING}
    network = MarianMTModel(MarianConfig(vocab_size=len(tokenizer), **sizes))
    network.generation_config = _generation(
        shape, decoder_start_token_id=PADDING, bad_words_ids=[[PADDING]], forced_eos_token_id=END
    )
    return network, tokenizer


Maker = Callable[[Path, Sequence[str], int, Shape], tuple[Any, Any]]
ARCHITECTURES: dict[str, Maker] = {
    "m2m100": _m2m100,
    "nllb": _nllb,
    "mbart50": _mbart50,
    "marian": _marian,
}


def _m2m_network(words: int, shape: Shape) -> M2M100ForConditionalGeneration:
    network = M2M100ForConditionalGeneration(M2M100Config(vocab_size=words, **shape.config()))
    network.generation_config = _generation(shape)
    return network


def _generation(shape: Shape, **changes: Any) -> GenerationConfig:
    ends = {"bos_token_id": START, "pad_token_id": PADDING, "eos_token_id": END}
    settings = {"decoder_start_token_id": END, "max_length": shape.max_length}
    return GenerationConfig(**(ends | settings | changes))


def _trained(
    lines: Sequence[str], pieces: int, kind: str, path: Path | None = None
) -> list[tuple[str, float]]:
    """The pieces of a SentencePiece model and their scores; its file is written to `path`."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=(line for line in lines if line.strip()),
        model_writer=model,
        model_type=kind,
        vocab_size=pieces,
        hard_vocab_limit=False,
        max_sentence_length=LONGEST_LINE,
        num_threads=1,
        minloglevel=2,
    )
    if path:
        path.write_bytes(model.getvalue())
    words = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    return [(words.id_to_piece(i), words.get_score(i)) for i in range(words.get_piece_size())]


def _write_vocab(path: Path, words: Iterable[str]) -> None:
    numbers = {word: number for number, word in enumerate(dict.fromkeys((*SPECIAL, *words)))}
    path.write_text(json.dumps(numbers, ensure_ascii=False, indent=0), encoding="utf-8")


def _merges(words: Sequence[str]) -> list[tuple[str, str]]:
    """The pairs that make each word, in the order in which SentencePiece prefers the words."""
    rank = {word: number for number, word in enumerate(words)}
    pairs = (
        (rank[word], rank[word[:cut]], rank[word[cut:]], word[:cut], word[cut:])
        for word in words
        for cut in range(1, len(word))
        if word[:cut] in rank and word[cut:] in rank
    )
    return [(left, right) for *_, left, right in sorted(pairs)]


def read_lines(paths: Iterable[Path]) -> list[str]:
    texts = (path.read_text(encoding="utf-8").splitlines() for path in paths)
    return [line for line in itertools.chain.from_iterable(texts) if line.strip()]


def main() -> int:
    options = _options()
    logging.getLogger("transformers").setLevel(logging.ERROR)
    lines = read_lines(options.text)
    shape = Shape(width=options.width, encoder_layers=options.layers, decoder_layers=options.layers)
    for name in options.architecture or ARCHITECTURES:
        folder = make(
            name,
            options.output / name,
            lines,
            shape=shape,
            pieces=options.pieces,
            seed=options.seed,
        )
        print(folder)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--text", type=Path, nargs="+", required=True, help="lines to train on")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--architecture", nargs="+", choices=ARCHITECTURES, help="default: all")
    parser.add_argument("--pieces", type=int, default=500, help="of the vocabulary, default 500")
    parser.add_argument("--width", type=int, default=TINY.width)
    parser.add_argument("--layers", type=int, default=TINY.encoder_layers, help="on either side")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
