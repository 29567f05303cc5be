"""A Hugging Face seq2seq folder, loaded: its network, its tokenizer, the languages it knows."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer
from transformers.utils import logging as transformers_logging

from coordinator.domain.model_folder import read_languages
from coordinator.errors import ModelError
from coordinator.inference.directions import Languages, languages_of
from coordinator.inference.faults import model_errors
from coordinator.inference.gpus import device_for

_LEAST = 8  # tokens that a model must be able to read
_BROKEN = "see whether all its files are of one model, and whole: fetch or save it again"


@dataclass(frozen=True)
class Seq2Seq:
    """A model in memory.

    Attributes:
        longest: tokens that it reads, the special ones included.
        ending: how many of these are special ones at the end.
    """

    network: Any
    tokenizer: Any
    languages: Languages
    longest: int
    ending: int = 1

    @property
    def device(self) -> str:
        """E.g. "cpu" or "cuda"."""
        kind: str = self.network.device.type
        return kind

    def cut(self, ids: list[int]) -> list[int]:
        """At most as many tokens as the model reads; those that end a sentence are kept."""
        if len(ids) <= self.longest:
            return ids
        return [*ids[: self.longest - self.ending], *ids[-self.ending :]]


def load_seq2seq(folder: Path, device: str | None, dtype: torch.dtype | None = None) -> Seq2Seq:
    """Load the model in `folder`; nothing is fetched and none of its code is run.

    Args:
        folder: has been checked (`check_model`).
        device: "cpu" or "cuda"; None takes the GPU where there is one.
        dtype: of the weights; None takes what the device is quick with.

    Raises:
        ModelError: it cannot be loaded, or the device is not there.
        MemoryError: memory ran out, the GPU's included.
    """
    chosen = device_for(device, there=torch.cuda.is_available(), library="torch")
    aliases = read_languages(folder)
    with model_errors(f"loading {folder}", _BROKEN), _quiet():
        tokenizer = AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
        network = _network(folder, chosen, dtype or _dtype(chosen))
        languages = languages_of(network.config.model_type, tokenizer, aliases)
        return Seq2Seq(
            network, tokenizer, languages, _longest(folder, network, tokenizer), _ending(tokenizer)
        )


def _longest(folder: Path, network: Any, tokenizer: Any) -> int:
    longest = min(int(network.config.max_position_embeddings), int(tokenizer.model_max_length))
    if longest < _LEAST:
        why = f"it says that it reads {longest} tokens at most"
        raise ModelError(f"the model in {folder} cannot be used", why=why, hint=_BROKEN)
    return longest


def _ending(tokenizer: Any) -> int:
    """The older kind of NLLB names the source language behind the end."""
    return 1 if tokenizer("a").input_ids[-1] == tokenizer.eos_token_id else 2


def _network(folder: Path, device: str, dtype: torch.dtype) -> Any:
    network, report = AutoModelForSeq2SeqLM.from_pretrained(
        folder,
        local_files_only=True,
        use_safetensors=True,
        trust_remote_code=False,
        dtype=dtype,
        attn_implementation="sdpa",
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


def _dtype(device: str) -> torch.dtype:
    """bfloat16 has float32's range, so nothing overflows; older GPUs only emulate it, slowly."""
    if device == "cpu":
        return torch.float32
    has = torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.bfloat16 if has else torch.float16


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
