"""A Hugging Face seq2seq model from a folder on disk: M2M100, NLLB, mBART-50 or Marian."""

import copy
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from transformers import GenerationConfig

from coordinator.inference.generation import greedy_settings
from coordinator.inference.hf_folder import Seq2Seq, load_seq2seq, model_errors
from coordinator.inference.model import BatchRecord, OnBatch


class HuggingFaceModel:
    """Greedy translation in batches of sentences of like length."""

    def __init__(self, model: Seq2Seq, batch_size: int, on_batch: OnBatch | None) -> None:
        self._model, self._network, self._tokenizer = model, model.network, model.tokenizer
        self._batch_size, self._on_batch = batch_size, on_batch
        given, config = self._network.generation_config, self._network.config
        self._settings = greedy_settings(given, int(config.max_position_embeddings))
        self._network.generation_config = self._settings  # `generate` takes from there what is None

    def translate(
        self, sentences: list[str], source_language: str, target_language: str
    ) -> list[str]:
        """Blank sentences stay blank. Raises as `Model.translate` says."""
        direction = self._model.languages.choose(source_language, target_language)
        translations = [""] * len(sentences)
        for places in self._batches(sentences):
            texts = [direction.prefix + sentences[place] for place in places]
            with model_errors("translate"):
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
        kept = [self._model.cut(row) for row in ids]
        inputs = self._tokenizer.pad({"input_ids": kept}, return_tensors="pt")
        with torch.inference_mode():
            output = self._network.generate(
                **inputs.to(self._network.device),
                generation_config=self._starting_with(first_token),
            )
        # Not every tokenizer takes its language tokens for special ones: cut ours off by place.
        written = output[:, 1 if first_token is None else 2 :]
        translations: list[str] = self._tokenizer.batch_decode(written, skip_special_tokens=True)
        self._tell(ids, kept, written, time.perf_counter() - began)
        return [text.strip() for text in translations]

    def _starting_with(self, first_token: int | None) -> GenerationConfig:
        settings: GenerationConfig = copy.deepcopy(self._settings)
        settings.forced_bos_token_id = first_token
        return settings

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
            truncated=sum(len(row) > self._model.longest for row in ids),
            seconds=seconds,
            device=self._model.device,
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
    return HuggingFaceModel(load_seq2seq(folder, device), batch_size, on_batch)
