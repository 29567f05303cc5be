"""Hugging Face seq2seq models (M2M100, NLLB, mBART-50, Marian) run by torch, as a `Backend`."""

import copy
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import GenerationConfig

from coordinator.inference.backend import Output, Row
from coordinator.inference.decoding import GreedyWriter, Source
from coordinator.inference.directions import Direction
from coordinator.inference.faults import model_errors
from coordinator.inference.generation import (
    beam_settings,
    end_tokens,
    greedy_settings,
    is_understood,
)
from coordinator.inference.hf_folder import Seq2Seq, load_seq2seq


class TorchBackend:
    """Greedy by a loop of our own, whose rows may be of any directions; beam search by `generate`.

    A row's data are `ids`, the tokens to read, and `start`, those that the translation starts with.
    """

    whole_items = False
    token_budget: int | None = None  # tokens of a batch at most, where they were measured

    def __init__(self, model: Seq2Seq, beams: int = 1) -> None:
        """One beam is greedy."""
        self._model, self.network, self.longest = model, model.network, model.longest
        given, config = model.network.generation_config, model.network.config
        positions = int(config.max_position_embeddings)
        if beams > 1:
            self._settings = beam_settings(given, positions, beams)
        else:
            self._settings = greedy_settings(given, positions)
        _fill_in(self._settings, config)
        self.network.generation_config = self._settings  # `generate` takes from there what is None
        own = beams == 1 and is_understood(self._settings)
        self.writer = GreedyWriter(self.network, self._settings) if own else None
        self._ends = frozenset(end_tokens(self._settings))
        self._tokenizer_lock = threading.Lock()  # it holds the source language, and is not shared
        self.device, self.mixes_directions = model.device, own

    def encode(self, texts: Sequence[str], source: str, target: str) -> list[Row]:
        """As `Backend.encode` says; what is longer than the model can read loses its end."""
        if not texts:
            return []
        with self._tokenizer_lock, model_errors("encode"):
            direction = self._model.languages.choose(source, target)
            found = self._model.tokenizer([direction.prefix + text for text in texts]).input_ids
        return [self._row(ids, direction) for ids in found]

    def translate(self, rows: Sequence[Row]) -> list[Output]:
        """As `Backend.translate` says; an output's data are its tokens, its end included."""
        with model_errors("translate"), torch.inference_mode():
            if self.writer is not None:
                sources = [Source(row.data["ids"], row.data["start"]) for row in rows]
                written = self.writer.write(sources)
            else:
                written = self._searched(rows)
        return [self._output(row, ids) for row, ids in zip(rows, written, strict=True)]

    def decode(self, outputs: Sequence[Output]) -> list[str]:
        """As `Backend.decode` says, white space at both ends left out."""
        if not outputs:
            return []
        ids = [output.data for output in outputs]
        with self._tokenizer_lock, model_errors("decode"):
            texts = self._model.tokenizer.batch_decode(ids, skip_special_tokens=True)
        return [text.strip() for text in texts]

    def _row(self, ids: list[int], direction: Direction) -> Row:
        kept = self._model.cut(ids)
        start = [] if direction.first_token is None else [direction.first_token]
        return Row(len(kept), {"ids": kept, "start": start}, truncated=len(kept) < len(ids))

    def _output(self, row: Row, ids: list[int]) -> Output:
        """Cut off, where the last place is taken by no end, or by one that was forced there."""
        is_full = len(row.data["start"]) + len(ids) >= self._settings.max_new_tokens
        is_forced = self._settings.forced_eos_token_id is not None
        cut = is_full and (is_forced or self._ends.isdisjoint(ids[-1:]))
        return Output(len(ids), ids, truncated=cut)

    def _searched(self, rows: Sequence[Row]) -> list[list[int]]:
        """By `generate`, which makes all rows of a call start alike."""
        written: list[list[int]] = [[] for _ in rows]
        for start, places in _by_start(rows):
            batch = [{"input_ids": rows[place].data["ids"]} for place in places]
            inputs = self._model.tokenizer.pad(batch, return_tensors="pt").to(self.network.device)
            settings = _starting_with(self._settings, start)
            output = self.network.generate(**inputs, generation_config=settings)
            for place, ids in zip(places, output[:, 1 + len(start) :].tolist(), strict=True):
                written[place] = _up_to_end(ids, self._ends)
        return written


def load_torch(
    folder: Path, device: str | None, beams: int = 1, dtype: torch.dtype | None = None
) -> TorchBackend:
    """Load the model in `folder`.

    Args:
        folder: has been checked (`check_model`).
        device: "cpu" or "cuda"; None takes the GPU where there is one.
        beams: 1 is greedy.
        dtype: of the weights; None takes what suits the device.

    Raises:
        ModelError: the folder cannot be used, or the device is not there.
        MemoryError: memory ran out, the GPU's included.
    """
    return TorchBackend(load_seq2seq(folder, device, dtype), beams)


def _fill_in(settings: GenerationConfig, config: Any) -> None:
    """Old folders say some things in config.json alone; `generate` looks there too."""
    for name in ("decoder_start_token_id", "pad_token_id", "eos_token_id"):
        if getattr(settings, name) is None:
            setattr(settings, name, getattr(config, name, None))


def _by_start(rows: Sequence[Row]) -> Iterator[tuple[Sequence[int], list[int]]]:
    """Each way in which translations are to start, with the places of the rows that do."""
    places: dict[tuple[int, ...], list[int]] = {}
    for place, row in enumerate(rows):
        places.setdefault(tuple(row.data["start"]), []).append(place)
    yield from places.items()


def _starting_with(settings: GenerationConfig, start: Sequence[int]) -> GenerationConfig:
    changed: GenerationConfig = copy.deepcopy(settings)
    changed.forced_bos_token_id = start[0] if start else None
    return changed


def _up_to_end(ids: list[int], ends: frozenset[int]) -> list[int]:
    """What comes before the padding, the end token included."""
    for number, token in enumerate(ids, 1):
        if token in ends:
            return ids[:number]
    return ids
