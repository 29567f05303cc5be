"""Train the demo's translation model from nothing: M2M100 in small, all 30 directions.

    python train_model.py [--out huggingface] [--steps N] [--threads 2]

The training text is drawn from the grammar of make_text.py while this runs and holds none of the
held-out sentences. Seeds are fixed: the same versions of torch, transformers and sentencepiece on
the same kind of processor with as many threads write the same weights.
"""

import argparse
import io
import itertools
import json
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import make_text
import sentencepiece
import torch
from sacrebleu.metrics import BLEU
from transformers import (
    GenerationConfig,
    M2M100Config,
    M2M100ForConditionalGeneration,
    M2M100Tokenizer,
)

from coordinator.inference import load_model

SEED = 17
MEANINGS = 60_000
PIECES = 2_000
STEPS = 1_600
BATCH = 160  # sentence pairs
PEAK_RATE = 4e-3
WARM_UP = 250  # steps
SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")  # in the order that M2M100 expects: ids 0 to 3
CODES = {"deu": "de", "eng": "en", "fra": "fr", "ita": "it", "por": "pt", "spa": "es"}
IGNORED = -100  # the label that torch's cross entropy leaves out


@dataclass(frozen=True)
class Corpus:
    """The same meanings in every language, as token ids without the special ones."""

    sentences: dict[str, list[list[int]]]
    language_ids: dict[str, int]


def main() -> None:
    options = _options()
    torch.manual_seed(SEED)
    torch.set_num_threads(options.threads)
    began = time.monotonic()
    options.out.mkdir(parents=True, exist_ok=True)
    meanings = make_text.training(MEANINGS, SEED)
    tokenizer = make_tokenizer(meanings, options.out)
    model = make_model(tokenizer)
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters", flush=True)
    train(model, make_corpus(meanings, tokenizer), options.steps, began)
    save(model, tokenizer, options.out)
    evaluate(options.out)
    print(f"{time.monotonic() - began:.0f} s in all")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=make_text.HERE / "huggingface")
    parser.add_argument("--steps", type=int, default=STEPS, help=f"default {STEPS}")
    parser.add_argument("--threads", type=int, default=2, help="of the processor, default 2")
    return parser.parse_args()


def make_tokenizer(meanings: list[make_text.Meaning], folder: Path) -> M2M100Tokenizer:
    """One SentencePiece model for all languages, in the files that M2M100Tokenizer reads."""
    spm_file, vocab_file = folder / "sentencepiece.bpe.model", folder / "vocab.json"
    spm_file.write_bytes(_sentencepiece_model(meanings[:20_000]))
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(spm_file))
    names = [pieces.id_to_piece(i) for i in range(pieces.get_piece_size())]
    words = itertools.chain(SPECIAL, (name for name in names if name not in SPECIAL))
    vocab = {word: number for number, word in enumerate(words)}
    vocab_file.write_text(json.dumps(vocab, ensure_ascii=False, indent=0), encoding="utf-8")
    return M2M100Tokenizer(str(vocab_file), str(spm_file), src_lang="en", tgt_lang="fr")


def _sentencepiece_model(meanings: list[make_text.Meaning]) -> bytes:
    lines = (make_text.say(meaning, code) for meaning in meanings for code in make_text.LANGUAGES)
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=lines,
        model_writer=model,
        model_type="bpe",
        vocab_size=PIECES,
        character_coverage=1.0,
        num_threads=1,
        minloglevel=2,
    )
    return model.getvalue()


def make_model(tokenizer: M2M100Tokenizer) -> M2M100ForConditionalGeneration:
    config = M2M100Config(
        vocab_size=tokenizer.encoder_size + len(tokenizer.lang_code_to_id) + 8,
        d_model=128,
        encoder_layers=3,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=384,
        decoder_ffn_dim=384,
        encoder_layerdrop=0.0,
        decoder_layerdrop=0.0,
        dropout=0.0,
        attention_dropout=0.0,
        max_position_embeddings=512,
        init_std=0.06,
        decoder_start_token_id=SPECIAL.index("</s>"),
    )
    model = M2M100ForConditionalGeneration(config)
    ends = {"bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 2}
    model.generation_config = GenerationConfig(num_beams=1, max_length=64, **ends)
    return model


def make_corpus(meanings: list[make_text.Meaning], tokenizer: M2M100Tokenizer) -> Corpus:
    sentences = {}
    for language in CODES:
        texts = [make_text.say(meaning, language) for meaning in meanings]
        pieces = tokenizer.sp_model.encode(texts, out_type=str)
        sentences[language] = [tokenizer.convert_tokens_to_ids(line) for line in pieces]
    ids = {language: tokenizer.get_lang_id(code) for language, code in CODES.items()}
    return Corpus(sentences, ids)


def train(model: M2M100ForConditionalGeneration, corpus: Corpus, steps: int, began: float) -> None:
    optimizer = torch.optim.Adam(model.parameters(), lr=PEAK_RATE, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, PEAK_RATE, total_steps=steps, pct_start=min(WARM_UP / steps, 0.5)
    )
    model.train()
    for step, batch in enumerate(itertools.islice(batches(corpus), steps), 1):
        loss = model(**batch).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 100 == 0:
            seconds = time.monotonic() - began
            print(f"step {step}: loss {loss.item():.4f}, {seconds:.0f} s", flush=True)


def batches(corpus: Corpus) -> Iterator[dict[str, torch.Tensor]]:
    """Random meanings in random directions, those of like length together."""
    chance = random.Random(SEED)
    directions = list(itertools.permutations(CODES, 2))
    while True:
        pool = [(chance.randrange(MEANINGS), *chance.choice(directions)) for _ in range(BATCH * 32)]
        pool.sort(key=lambda pair: len(corpus.sentences[pair[2]][pair[0]]))
        starts = list(range(0, len(pool), BATCH))
        chance.shuffle(starts)
        for start in starts:
            yield _batch(corpus, pool[start : start + BATCH])


def _batch(corpus: Corpus, pairs: list[tuple[int, str, str]]) -> dict[str, torch.Tensor]:
    sources = [_tokens(corpus, meaning, source) for meaning, source, _ in pairs]
    targets = [_tokens(corpus, meaning, target) for meaning, _, target in pairs]
    padding = SPECIAL.index("<pad>")
    inputs = _padded(sources, padding)
    mask = (inputs != padding).long()
    return {"input_ids": inputs, "attention_mask": mask, "labels": _padded(targets, IGNORED)}


def _tokens(corpus: Corpus, meaning: int, language: str) -> list[int]:
    """M2M100's form of a sentence, on both sides: language, pieces, end."""
    pieces = corpus.sentences[language][meaning]
    return [corpus.language_ids[language], *pieces, SPECIAL.index("</s>")]


def _padded(rows: list[list[int]], filler: int) -> torch.Tensor:
    width = max(map(len, rows))
    return torch.tensor([row + [filler] * (width - len(row)) for row in rows])


def save(model: M2M100ForConditionalGeneration, tokenizer: M2M100Tokenizer, folder: Path) -> None:
    """Half precision on disk: the files are to stay small in the repository."""
    model.half().save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def evaluate(folder: Path) -> None:
    """Print BLEU on the held-out sentences for every direction, by the files just written."""
    model, scores = load_model(folder, device="cpu"), []
    held_out = make_text.held_out()
    texts = {code: [make_text.say(meaning, code) for meaning in held_out] for code in CODES}
    for source, target in itertools.permutations(CODES, 2):
        output = model.translate(texts[source], source, target)
        scores.append(BLEU().corpus_score(output, [texts[target]]).score)
        print(f"{source}-{target} {scores[-1]:.1f}")
    print(f"BLEU: mean {sum(scores) / len(scores):.1f}, lowest {min(scores):.1f}")


if __name__ == "__main__":
    main()
