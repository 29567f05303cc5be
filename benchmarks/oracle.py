"""sacrebleu itself, unchanged, with local SentencePiece files where it would download its own."""

import logging
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from sacrebleu.compat import corpus_bleu, corpus_chrf, corpus_ter
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.metrics.ter import TER
from sacrebleu.tokenizers import tokenizer_spm

# Model -> the tokenizer of sacrebleu that is given its file.
TOKENIZERS = {"unigram": "flores200", "bpe": "flores101"}
MODELS = tuple(TOKENIZERS)


def model_file(data: Path, model: str) -> Path:
    return data / "spm" / f"{model}256k.model"


def put_models(home: Path, data: Path) -> None:
    """Make `home` the folder of what sacrebleu has downloaded, and put both models there."""
    folder = home / "models"
    folder.mkdir(parents=True, exist_ok=True)
    for model, tokenizer in TOKENIZERS.items():
        name = os.path.basename(tokenizer_spm.SPM_MODELS[tokenizer]["url"])
        with suppress(FileExistsError):
            (folder / name).symlink_to(model_file(data, model))
    tokenizer_spm.SACREBLEU_DIR = str(home)
    logging.getLogger("sacrebleu").setLevel(logging.ERROR)


def forget() -> None:
    """Drop the lines that sacrebleu's tokenizers remember: no line is scored twice in earnest."""
    tokenizer_spm.TokenizerSPM.__call__.cache_clear()


def plain(metric: str, model: str, hypotheses: Sequence[str], references: Sequence[str]) -> float:
    """As a user calls it for each direction: nothing is kept from one call to the next."""
    texts = hypotheses, [references]
    if metric == "spbleu":
        return corpus_bleu(*texts, tokenize=TOKENIZERS[model]).score
    if metric == "ter":
        return corpus_ter(*texts).score
    return corpus_chrf(*texts, word_order=2).score


def scorer(metric: str, model: str, references: Sequence[str] | None = None) -> Any:
    """One of sacrebleu's objects: the tokenizer, and references if given, are kept."""
    kept = None if references is None else [references]
    if metric == "spbleu":
        return BLEU(tokenize=TOKENIZERS[model], references=kept)
    if metric == "ter":
        return TER(references=kept)
    return CHRF(word_order=2, references=kept)
