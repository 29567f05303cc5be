"""A Hugging Face seq2seq model from a folder on disk: M2M100, NLLB or Marian."""

import copy
import logging
import re
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer, GenerationConfig
from transformers.utils import logging as transformers_logging

from coordinator.domain.model_folder import read_languages
from coordinator.errors import CoordinatorError, ModelError
from coordinator.inference.faults import in_one_line, is_out_of_memory
from coordinator.inference.languages import LanguageTable
from coordinator.inference.model import BatchRecord, OnBatch

MOST_NEW_TOKENS = 256  # per sentence, where the model's folder says nothing

_NLLB_CODE = re.compile(r"[a-z]{3}_[A-Z][a-z]{3}")
_MARIAN_CODE = re.compile(r">>(.+)<<")
_ISO_639_1 = re.compile(r"[a-z]{2}")


@dataclass(frozen=True)
class Direction:
    """How a model is told what to translate into what.

    Attributes:
        prefix: text in front of every sentence; "" for none.
        first_token: the token that the translation is made to start with; None for none.
    """

    prefix: str = ""
    first_token: int | None = None


class Languages(Protocol):
    """A family of models' way to choose a direction."""

    def choose(self, source_language: str, target_language: str) -> Direction:
        """Raises BadInput: the model does not know one of them."""
        ...


class TokenLanguages:
    """M2M100 and NLLB: one token in front of the source, one in front of the translation."""

    def __init__(self, tokenizer: Any, codes: dict[str, int], aliases: dict[str, str]) -> None:
        self._tokenizer, self._ids = tokenizer, codes
        self._table = LanguageTable(tuple(codes), aliases)

    def choose(self, source_language: str, target_language: str) -> Direction:
        self._tokenizer.src_lang = self._table.find(source_language)
        return Direction(first_token=self._ids[self._table.find(target_language)])


class MarianLanguages:
    """Marian: one direction, or one source with a target named in front of the sentence."""

    def __init__(self, tokenizer: Any, aliases: dict[str, str]) -> None:
        marks = [_MARIAN_CODE.fullmatch(mark) for mark in tokenizer.supported_language_codes]
        self._targets = LanguageTable(tuple(m[1] for m in marks if m), aliases)
        self._only = (tokenizer.source_lang, tokenizer.target_lang)
        self._aliases = aliases

    def choose(self, source_language: str, target_language: str) -> Direction:
        self._check(source_language, self._only[0])
        if self._targets.codes:
            return Direction(prefix=f">>{self._targets.find(target_language)}<< ")
        self._check(target_language, self._only[1])
        return Direction()

    def _check(self, language: str, only: str | None) -> None:
        """Where the folder names its one language, hold the item to it; groups are not checked."""
        if only and _ISO_639_1.fullmatch(only):
            LanguageTable((only,), self._aliases).find(language)


class HuggingFaceModel:
    """Greedy translation in batches of sentences of like length."""

    def __init__(
        self,
        network: Any,
        tokenizer: Any,
        languages: Languages,
        batch_size: int,
        on_batch: OnBatch | None,
    ) -> None:
        self._network, self._tokenizer, self._languages = network, tokenizer, languages
        self._batch_size, self._on_batch = batch_size, on_batch
        self.device: str = network.device.type
        self._longest = _longest_input(network.config, tokenizer)
        network.generation_config = _greedy(network.generation_config)

    def translate(
        self, sentences: list[str], source_language: str, target_language: str
    ) -> list[str]:
        """Blank sentences stay blank. Raises as `Model.translate` says."""
        direction = self._languages.choose(source_language, target_language)
        translations = [""] * len(sentences)
        for places in self._batches(sentences):
            texts = [direction.prefix + sentences[place] for place in places]
            with _model_errors("translate"):
                translated = self._translate_batch(texts, direction.first_token)
            for place, text in zip(places, translated, strict=True):
                translations[place] = text
        return translations

    def _batches(self, sentences: list[str]) -> Iterator[list[int]]:
        """Places of sentences, the longest first: what does not fit in memory fails at once."""
        filled = (place for place, text in enumerate(sentences) if text.strip())
        order = sorted(filled, key=lambda place: -len(sentences[place]))
        for start in range(0, len(order), self._batch_size):
            yield order[start : start + self._batch_size]

    def _translate_batch(self, texts: list[str], first_token: int | None) -> list[str]:
        began = time.perf_counter()
        ids = [self._tokenizer(text).input_ids for text in texts]
        kept = [self._cut(row) for row in ids]
        inputs = self._tokenizer.pad({"input_ids": kept}, return_tensors="pt")
        with torch.inference_mode():
            output = self._network.generate(
                **inputs.to(self._network.device),
                generation_config=self._settings(first_token),
            )
        # Not every tokenizer takes its language tokens for special ones: cut ours off by place.
        written = output[:, 1 if first_token is None else 2 :]
        translations: list[str] = self._tokenizer.batch_decode(written, skip_special_tokens=True)
        self._tell(ids, kept, written, time.perf_counter() - began)
        return [text.strip() for text in translations]

    def _settings(self, first_token: int | None) -> GenerationConfig:
        settings: GenerationConfig = copy.deepcopy(self._network.generation_config)
        settings.forced_bos_token_id = first_token
        return settings

    def _cut(self, ids: list[int]) -> list[int]:
        """At most as many tokens as the model reads; the last, which ends a sentence, is kept."""
        return ids if len(ids) <= self._longest else [*ids[: self._longest - 1], ids[-1]]

    def _tell(
        self, ids: list[list[int]], kept: list[list[int]], written: torch.Tensor, seconds: float
    ) -> None:
        if self._on_batch is None:
            return
        padding = self._tokenizer.pad_token_id
        record = BatchRecord(
            sentences=len(ids),
            source_tokens=sum(map(len, kept)),
            target_tokens=int((written != padding).sum()),
            truncated=sum(len(row) > self._longest for row in ids),
            seconds=seconds,
            device=self.device,
        )
        self._on_batch(record)


def load_huggingface(
    folder: Path, device: str | None, batch_size: int = 32, on_batch: OnBatch | None = None
) -> HuggingFaceModel:
    """Load the model in `folder`; nothing is fetched and none of its code is run.

    Raises:
        ModelError: it cannot be loaded, or the device is not there.
        MemoryError: memory ran out, the GPU's included.
    """
    chosen = _device(device)
    aliases = read_languages(folder)
    with _model_errors(f"loading {folder}"), _quiet():
        tokenizer = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
        network = _network(folder, chosen)
        languages = _languages(network.config.model_type, tokenizer, aliases)
    return HuggingFaceModel(network, tokenizer, languages, batch_size, on_batch)


def _network(folder: Path, device: str) -> Any:
    network, report = AutoModelForSeq2SeqLM.from_pretrained(
        folder,
        local_files_only=True,
        use_safetensors=True,
        trust_remote_code=False,
        dtype=torch.float16 if device == "cuda" else torch.float32,
        output_loading_info=True,
    )
    missing = sorted(report["missing_keys"])
    if missing:  # they would be filled with random numbers
        names = ", ".join(missing[:3])
        raise ModelError(
            f"the weights in {folder} are not of the model in its config.json",
            why=f"{len(missing)} tensors are missing, the first: {names}",
            hint="save model and config together with save_pretrained",
        )
    return network.to(device).eval()


def _device(asked: str | None) -> str:
    there = torch.cuda.is_available()
    if asked == "cuda" and not there:
        raise ModelError(
            "there is no GPU here",
            why="the device cuda was asked for, and torch finds none",
            hint="ask for cpu, or run the job where a GPU is",
        )
    return asked or ("cuda" if there else "cpu")


def _languages(model_type: str, tokenizer: Any, aliases: dict[str, str]) -> Languages:
    if model_type == "marian":
        return MarianLanguages(tokenizer, aliases)
    codes = _language_tokens(tokenizer)
    if not codes:
        raise ModelError(
            "the model's tokenizer names no languages",
            why="it is neither of M2M100 nor of NLLB",
            hint="add the tokenizer_config.json that belongs to the model",
        )
    return TokenLanguages(tokenizer, codes, aliases)


def _language_tokens(tokenizer: Any) -> dict[str, int]:
    """Language code -> token id."""
    if hasattr(tokenizer, "lang_code_to_id"):  # M2M100
        return dict(tokenizer.lang_code_to_id)
    vocabulary = tokenizer.get_vocab()
    return {token: number for token, number in vocabulary.items() if _NLLB_CODE.fullmatch(token)}


def _longest_input(config: Any, tokenizer: Any) -> int:
    """In tokens, the special ones included."""
    return min(int(config.max_position_embeddings), int(tokenizer.model_max_length))


def _greedy(given: GenerationConfig) -> GenerationConfig:
    """The folder's settings (special tokens, banned words, length) without search or chance."""
    settings = copy.deepcopy(given)
    settings.max_new_tokens = given.max_new_tokens or given.max_length or MOST_NEW_TOKENS
    plain: dict[str, Any] = {
        "max_length": None, "num_beams": 1, "do_sample": False, "early_stopping": False,
        "length_penalty": 1.0, "temperature": None, "top_k": None, "top_p": None,
    }  # fmt: skip
    for name, value in plain.items():
        setattr(settings, name, value)
    return settings


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bar, and no advice that is for the model's maker."""
    bars = transformers_logging.is_progress_bar_enabled()
    level = transformers_logging.get_verbosity()
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    transformers_logging.set_verbosity(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Recommended: pip install sacremoses")
            yield
    finally:
        transformers_logging.set_verbosity(level)
        if bars:
            transformers_logging.enable_progress_bar()  # type: ignore[no-untyped-call]


@contextmanager
def _model_errors(doing: str) -> Iterator[None]:
    """Turn what the libraries raise into a `ModelError`, the error itself being the cause."""
    try:
        yield
    except (CoordinatorError, MemoryError):
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise MemoryError(str(error)) from error
        raise ModelError(
            f"the model failed in {doing}",
            why=in_one_line(error),
            hint="see its traceback",
        ) from error
