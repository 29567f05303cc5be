"""Greedy writing, many sentences at a time, in which a sentence that has ended costs nothing more.

The source is read once; keys and values of all that was read and written are kept. Rows that have
ended leave the batch, and their part of the caches with them, so that what is still computed is
what is still wanted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import GenerationConfig
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer, EncoderDecoderCache
from transformers.modeling_outputs import BaseModelOutput

from coordinator.inference.generation import end_tokens, processors

_ROOM = 32  # tokens for which a cache keeps room ahead, at least
_SPARE = 8  # rows leave once they are one in so many: moving the caches costs about a step


@dataclass(frozen=True)
class Source:
    """A sentence to translate.

    Attributes:
        ids: its tokens, special ones included.
        start: tokens that its translation is made to start with, as many for each row of a batch.
    """

    ids: Sequence[int]
    start: Sequence[int]


class GreedyWriter:
    """Writes what `generate` would, one sentence at a time, but for float rounding."""

    def __init__(self, network: Any, settings: GenerationConfig) -> None:
        """`settings` are greedy and understood (see `generation`)."""
        self._network, self._settings = network, settings
        device = network.device
        self._processors = processors(settings, device)
        self._ends = torch.tensor(end_tokens(settings), device=device, dtype=torch.long)
        self.computed = 0  # tokens by the decoder since the start, those of ended rows included

    def write(self, sources: Sequence[Source]) -> list[list[int]]:
        """The tokens after `start`, the one that ends a translation included, for each source."""
        if not sources:
            return []
        batch = _Batch(self._network, sources, self._settings)
        written: list[list[int]] = [[] for _ in sources]
        while batch.places:
            self.computed += batch.width
            self._step(batch)
            batch.collect(self._has_ended(batch), written)
        return written

    def exhaust(self, rows: int, longest: int) -> int:
        """Write as much as may be for so many sources of `longest` tokens; tokens a row.

        No batch of as many tokens takes more memory than this but one of many short sources.
        """
        source = Source([int(self._settings.decoder_start_token_id)] * longest, [])
        batch = _Batch(self._network, [source] * rows, self._settings)
        while not batch.is_full:
            self._step(batch)
        return int(batch.tokens.shape[1])

    def _step(self, batch: "_Batch") -> None:
        scores = batch.scores()
        if self._processors:
            scores = self._processors(batch.tokens, scores.float())
        batch.append(scores.argmax(-1))

    def _has_ended(self, batch: "_Batch") -> list[bool]:
        if batch.is_full:
            return [True] * batch.width
        ended: list[bool] = torch.isin(batch.last, self._ends).tolist()
        return ended


class _Batch:
    """Rows that are being written. Some have ended and wait until it pays to put them out.

    Attributes:
        places: where the rows that are being written stand among the sources: row -> place.
    """

    def __init__(self, network: Any, sources: Sequence[Source], settings: GenerationConfig) -> None:
        self._network, device = network, network.device
        ids, mask = _padded([source.ids for source in sources], settings.pad_token_id, device)
        self._states = network.get_encoder()(ids, attention_mask=mask).last_hidden_state
        self._lengths = mask.sum(1)
        self._mask = _additive(mask, self._states.dtype)
        own = Cache(layer_class_to_replicate=_RoomyLayer)
        self._cache: Any = EncoderDecoderCache(own, DynamicCache())
        first = int(settings.decoder_start_token_id)
        start = [[first, *source.start] for source in sources]
        self._begun, self._written = len(start[0]), len(start[0])
        self._most = 1 + int(settings.max_new_tokens)
        self._tokens = torch.zeros((len(start), self._most), dtype=torch.long, device=device)
        self._tokens[:, : self._begun] = torch.tensor(start, device=device)
        self._fed = 0
        self.places: dict[int, int] = {row: row for row in range(len(sources))}

    @property
    def width(self) -> int:
        """Rows that are computed, ended ones included."""
        return len(self._tokens)

    @property
    def tokens(self) -> Any:
        """All that is written so far, the decoder's first token included: (rows, tokens)."""
        return self._tokens[:, : self._written]

    @property
    def last(self) -> torch.Tensor:
        return self._tokens[:, self._written - 1]

    @property
    def is_full(self) -> bool:
        return self._written == self._most

    def scores(self) -> torch.Tensor:
        """Of the next token: (rows, words of the vocabulary)."""
        output = self._network(
            encoder_outputs=BaseModelOutput(last_hidden_state=self._states),
            attention_mask=self._mask,
            decoder_input_ids=self._tokens[:, self._fed : self._written],
            past_key_values=self._cache,
            use_cache=True,
        )
        self._fed = self._written
        scores: torch.Tensor = output.logits[:, -1]
        return scores

    def append(self, tokens: torch.Tensor) -> None:
        self._tokens[:, self._written] = tokens
        self._written += 1

    def collect(self, ended: Sequence[bool], into: list[list[int]]) -> None:
        """Take over what the rows that have ended wrote, and put them out when they are many."""
        rows = [row for row in self.places if ended[row]]
        for row in rows:
            into[self.places.pop(row)] = self.tokens[row, self._begun :].tolist()
        if self.places and (self.width - len(self.places)) * _SPARE >= self.width:
            self._keep(list(self.places))

    def _keep(self, rows: list[int]) -> None:
        kept = torch.tensor(rows, device=self._tokens.device)
        self._tokens, self._lengths = self._tokens[kept], self._lengths[kept]
        # Only the kept rows' cross keys are read from now on, so their states need not be moved.
        longest = int(self._lengths.max())
        self._states = self._states[: len(rows), :longest]
        self._mask = None if self._mask is None else self._mask[kept][..., :longest]
        for layer in self._cache.self_attention_cache.layers:
            layer.batch_select_indices(kept)
        for layer in self._cache.cross_attention_cache.layers:
            layer.keys = layer.keys[:, :, :longest].index_select(0, kept)
            layer.values = layer.values[:, :, :longest].index_select(0, kept)
        self.places = {new: self.places[old] for new, old in enumerate(rows)}


class _RoomyLayer(DynamicLayer):  # type: ignore[no-untyped-call]
    """Keys and values of one layer, written into room that is kept for them.

    The library's own layer copies all of them for every token that is added.
    """

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Both of shape (rows, heads, new tokens, size of a head); gives back all there are."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            self._all_keys, self._all_values = key_states[:, :, :0], value_states[:, :, :0]
            self._used = 0
        before, after = self._used, self._used + key_states.shape[2]
        if after > self._all_keys.shape[2]:
            self._all_keys = _with_room(self._all_keys[:, :, :before], after)
            self._all_values = _with_room(self._all_values[:, :, :before], after)
        self._all_keys[:, :, before:after] = key_states
        self._all_values[:, :, before:after] = value_states
        return self._show(after)

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        self._all_keys = self._all_keys.index_select(0, indices)
        self._all_values = self._all_values.index_select(0, indices)
        self._show(self._used)

    def _show(self, used: int) -> tuple[torch.Tensor, torch.Tensor]:
        """What of the room is used: where the library looks for keys and values."""
        self._used = used
        keys, values = self._all_keys[:, :, :used], self._all_values[:, :, :used]
        self.keys, self.values = keys, values
        return keys, values


def _with_room(states: torch.Tensor, needed: int) -> torch.Tensor:
    rows, heads, used, size = states.shape
    roomy = states.new_empty((rows, heads, needed + max(_ROOM, needed // 2), size))
    roomy[:, :, :used] = states
    return roomy


def _padded(
    rows: Sequence[Sequence[int]], filler: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Tokens and a mask that is 1 where there are some, both (rows, longest row)."""
    width = max(map(len, rows))
    ids = torch.tensor([[*row, *[filler] * (width - len(row))] for row in rows], device=device)
    lengths = torch.tensor([len(row) for row in rows], device=device)
    return ids, (torch.arange(width, device=device) < lengths[:, None]).long()


def _additive(mask: torch.Tensor, dtype: torch.dtype) -> torch.Tensor | None:
    """What attention adds to its scores: (rows, 1, 1, source tokens); None without padding.

    The library would make it anew for each token that is written.
    """
    if bool(mask.all()):
        return None
    hidden = torch.zeros(mask.shape, dtype=dtype, device=mask.device)
    return hidden.masked_fill_(mask == 0, torch.finfo(dtype).min)[:, None, None, :]
