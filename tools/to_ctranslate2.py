#!/usr/bin/env python3
"""Convert a Hugging Face translation model for CTranslate2, which runs it without torch.

    python tools/to_ctranslate2.py FOLDER OUT

FOLDER holds M2M100, NLLB, mBART-50 or Marian with weights in safetensors; pickles are refused. OUT
is made: the weights, as exact as they were (halves stay halves), the vocabulary, the tokenizer and
family.json, which names the languages. Needs torch: `make setup-torch`.
"""

import argparse
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from coordinator.domain.ctranslate2_folder import FAMILY, Family, FamilyName
from coordinator.domain.model_folder import LANGUAGES, check_model
from coordinator.domain.shown import for_terminal
from coordinator.errors import CoordinatorError, ModelError

try:
    import torch
    from ctranslate2.converters import transformers as loaders
    from ctranslate2.specs.model_spec import PyTorchVariable, visit_spec
    from transformers import GenerationConfig

    from coordinator.inference.faults import model_errors
    from coordinator.inference.generation import most_new_tokens
    from coordinator.inference.hf_folder import Seq2Seq, load_seq2seq
except ModuleNotFoundError as missing:
    sys.exit(f"{missing.name} is not installed; try: make setup-torch")

LOADERS = {
    "m2m_100": loaders.M2M100Loader,
    "mbart": loaders.MBartLoader,
    "marian": loaders.MarianMTLoader,
}
CODES = {  # what names a language, where the tokenizer has no table of them
    "nllb": re.compile(r"[a-z]{3}_[A-Z][a-z]{3}"),
    "mbart50": re.compile(r"[a-z]{2}_[A-Z]{2}"),
    "marian": re.compile(r">>(.+)<<"),
}
ISO_639_1 = re.compile(r"[a-z]{2}")
LEFT_OUT = ("repetition_penalty", "no_repeat_ngram_size", "suppress_tokens", "sequence_bias")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="what save_pretrained wrote")
    parser.add_argument("out", type=Path, help="a folder that is not there yet")
    options = parser.parse_args()
    try:
        convert(options.folder, options.out)
    except CoordinatorError as error:
        lines = (str(error), *map(str, error.problems), error.hint)
        print(*map(for_terminal, filter(None, lines)), sep="\n  ", file=sys.stderr)
        return int(error.exit_code)
    print(f"{options.out} is ready")
    return 0


def convert(folder: Path, out: Path) -> None:
    """Write the model in `folder` to `out`, which appears whole or not at all.

    Raises:
        ModelError: the model cannot be used or converted, or `out` is there.
    """
    if (kind := check_model(folder)) != "huggingface":
        raise ModelError(f"{folder} is of kind {kind}", hint="give what save_pretrained wrote")
    if out.exists():
        raise ModelError(f"{out} is there", hint="give another folder, or remove it")
    out.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(dir=out.parent, prefix=".part-"))
    try:
        _write(folder, aside)
        check_model(aside)
        aside.chmod(0o755)
        aside.rename(out)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _write(folder: Path, out: Path) -> None:
    model = load_seq2seq(folder, "cpu", torch.float32)  # to which halves widen without loss
    with model_errors(f"converting {folder}"):
        family = _family(model)
        _spec(model.network, model.tokenizer).save(str(out))
    text = family.model_dump_json(indent=1, exclude_defaults=True)
    (out / FAMILY).write_text(text + "\n", encoding="utf-8")
    if family.tokenizer == "tokenizer.json":
        model.tokenizer.backend_tokenizer.save(str(out / family.tokenizer))
    else:
        shutil.copyfile(folder / family.tokenizer, out / family.tokenizer)
    if (folder / LANGUAGES).is_file():
        shutil.copyfile(folder / LANGUAGES, out / LANGUAGES)


# --- the weights --------------------------------------------------------------------------------


@torch.no_grad()
def _spec(network: Any, tokenizer: Any) -> Any:
    loader, config = LOADERS[network.config.model_type](), network.config
    if config.model_type == "mbart":
        config.normalize_before, config.normalize_embedding = True, True
    tokens = _vocabulary(tokenizer, config.vocab_size)
    if config.model_type == "marian":
        _put_last(network, tokens, config.pad_token_id)
        tokens.pop()  # CTranslate2 leaves it out: nothing else begins a translation, or ends one
    spec = loader.get_model_spec(network)
    loader.set_config(spec.config, network, tokenizer)
    spec.config.bos_token = tokenizer.bos_token or tokenizer.eos_token  # it must have a name
    if config.model_type != "marian":  # which begins with nothing at all
        start = tokenizer.convert_ids_to_tokens(config.decoder_start_token_id)
        spec.config.decoder_start_token = start
    spec.register_source_vocabulary(tokens)
    spec.register_target_vocabulary(tokens)
    spec.validate()
    spec.optimize()
    _halve(spec)
    return spec


def _put_last(network: Any, tokens: list[str], number: int) -> None:
    """Move a token to the vocabulary's end, where CTranslate2's converter expects the padding."""
    order = [place for place in range(len(tokens)) if place != number] + [number]
    tokens[:] = [tokens[place] for place in order]
    ends = (network.model.encoder.embed_tokens, network.model.decoder.embed_tokens, network.lm_head)
    for weight in {id(end.weight): end.weight for end in ends}.values():
        weight.data = weight.data[order]
    network.final_logits_bias = network.final_logits_bias[:, order]


def _vocabulary(tokenizer: Any, size: int) -> list[str]:
    """Every token by its number; places that the tokenizer does not use get names of their own."""
    numbers = {**tokenizer.get_vocab(), **getattr(tokenizer, "lang_token_to_id", {})}
    by_number = {number: token for token, number in numbers.items()}
    return [by_number.get(number, f"<unused{number}>") for number in range(size)]


def _halve(spec: Any) -> None:
    """Store in half precision what loses nothing by it, as of a model that was trained in it."""

    def halve(layer: Any, name: str, value: Any) -> None:
        if not isinstance(value, PyTorchVariable) or value.dtype != "float32":
            return
        for half in (torch.float16, torch.bfloat16):
            if torch.equal(value.tensor.to(half).float(), value.tensor):
                kind = str(half).removeprefix("torch.")
                setattr(layer, name.rpartition("/")[2], value.to(kind))
                return

    visit_spec(spec, halve)


# --- the family ---------------------------------------------------------------------------------


def _family(model: Seq2Seq) -> Family:
    network, tokenizer = model.network, model.tokenizer
    family = _family_name(network.config.model_type, tokenizer)
    return Family(
        family=family,
        languages=_languages(family, tokenizer),
        source=_only_language(family, tokenizer, "source_lang"),
        target=_only_language(family, tokenizer, "target_lang"),
        special_tokens=_special_tokens(tokenizer),
        end=tokenizer.eos_token,
        language_last=model.ending > 1,
        tidy=_is_tidied(tokenizer),
        longest_source=model.longest,
        most_new_tokens=_most_new_tokens(
            network.generation_config, network.config.max_position_embeddings
        ),
    )


def _family_name(model_type: str, tokenizer: Any) -> FamilyName:
    if model_type == "marian":
        if tokenizer.separate_vocabs:
            raise ModelError("a Marian model with two vocabularies cannot be converted")
        return "marian"
    if model_type == "mbart":
        return "mbart50"
    return "m2m100" if hasattr(tokenizer, "lang_code_to_token") else "nllb"


def _languages(family: FamilyName, tokenizer: Any) -> dict[str, str]:
    if family == "m2m100":
        return dict(tokenizer.lang_code_to_token)
    marks = map(CODES[family].fullmatch, tokenizer.get_vocab())
    return {mark[mark.re.groups]: mark[0] for mark in marks if mark}


def _only_language(family: FamilyName, tokenizer: Any, name: str) -> str | None:
    """Of a Marian; where the folder names a group of languages, it is not held to it."""
    code = getattr(tokenizer, name, None) if family == "marian" else None
    return code if code and ISO_639_1.fullmatch(code) else None


def _special_tokens(tokenizer: Any) -> list[str]:
    return list(dict.fromkeys([*tokenizer.all_special_tokens, *tokenizer.added_tokens_encoder]))


def _is_tidied(tokenizer: Any) -> bool:
    """Transformers never does it after BPE in its own library, whatever the folder asks."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    is_bpe = backend is not None and type(backend.model).__name__ == "BPE"
    return bool(tokenizer.clean_up_tokenization_spaces) and not is_bpe


def _most_new_tokens(settings: GenerationConfig, positions: int) -> int:
    if given := [name for name in LEFT_OUT if getattr(settings, name, None)]:
        print(f"not carried over from generation_config.json: {', '.join(given)}", file=sys.stderr)
    # Where the end is forced upon what is too long, it takes the last place.
    is_forced = settings.forced_eos_token_id is not None
    return most_new_tokens(settings, positions) - is_forced


if __name__ == "__main__":
    sys.exit(main())
