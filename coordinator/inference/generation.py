"""What a model folder's generation config asks for, for greedy writing and for beam search."""

import copy
from typing import Any

from transformers import GenerationConfig
from transformers.generation.logits_process import (
    ForcedEOSTokenLogitsProcessor,
    LogitsProcessorList,
    MinLengthLogitsProcessor,
    NoBadWordsLogitsProcessor,
    NoRepeatNGramLogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
    SuppressTokensLogitsProcessor,
)

MOST_NEW_TOKENS = 256  # per sentence, where the model's folder says nothing

_PLAIN: dict[str, Any] = {
    "do_sample": False, "temperature": None, "top_k": None, "top_p": None, "max_length": None,
}  # fmt: skip
_GREEDY: dict[str, Any] = {
    **_PLAIN, "num_beams": 1, "early_stopping": False, "length_penalty": 1.0,
}  # fmt: skip
# What `processors` does itself, and what does not touch the scores of a greedy search.
_UNDERSTOOD = frozenset(_GREEDY) | {
    "bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id",
    "forced_bos_token_id", "forced_eos_token_id", "bad_words_ids", "suppress_tokens",
    "no_repeat_ngram_size", "repetition_penalty", "min_length", "max_new_tokens",
    "use_cache", "renormalize_logits", "num_return_sequences", "transformers_version",
    "_from_model_config", "output_attentions", "output_hidden_states", "output_scores",
    "return_dict_in_generate",
}  # fmt: skip


def greedy_settings(given: GenerationConfig, positions: int) -> GenerationConfig:
    """The folder's settings (special tokens, banned words, length) without search or chance.

    Args:
        given: of the folder.
        positions: the most tokens that the decoder has places for.
    """
    return _changed(given, _GREEDY, positions)


def beam_settings(given: GenerationConfig, positions: int, beams: int) -> GenerationConfig:
    """The folder's settings, its length penalty among them, with `beams` beams and no chance."""
    return _changed(given, {**_PLAIN, "num_beams": beams}, positions)


def _changed(given: GenerationConfig, by: dict[str, Any], positions: int) -> GenerationConfig:
    settings = copy.deepcopy(given)
    settings.max_new_tokens = most_new_tokens(given, positions)
    settings.forced_bos_token_id = None  # the direction's, not the folder's
    for name, value in by.items():
        setattr(settings, name, value)
    return settings


def most_new_tokens(given: GenerationConfig, positions: int) -> int:
    """Of a translation, as the folder has it; `positions`: what the decoder has places for."""
    return min(int(given.max_new_tokens or given.max_length or MOST_NEW_TOKENS), positions)


def is_understood(settings: GenerationConfig) -> bool:
    """Whether `processors` does all that greedy settings ask for."""
    return set(settings.to_diff_dict()) <= _UNDERSTOOD


def processors(settings: GenerationConfig, device: str) -> LogitsProcessorList:
    """What changes the scores of the next token, as `generate` would set it up, in its order.

    Each looks at one row at a time, so rows may leave a batch between two calls.
    """
    ends = end_tokens(settings)
    found: list[Any] = []
    if settings.repetition_penalty not in (None, 1.0):
        found.append(RepetitionPenaltyLogitsProcessor(settings.repetition_penalty))
    if settings.no_repeat_ngram_size:
        found.append(NoRepeatNGramLogitsProcessor(settings.no_repeat_ngram_size))
    if settings.bad_words_ids is not None:
        found.append(NoBadWordsLogitsProcessor(settings.bad_words_ids, ends))
    if settings.min_length:
        found.append(MinLengthLogitsProcessor(settings.min_length, ends, device))
    if settings.forced_eos_token_id is not None:
        longest = 1 + settings.max_new_tokens  # the token that starts the decoder counts
        forced = settings.forced_eos_token_id
        found.append(ForcedEOSTokenLogitsProcessor(longest, forced, device))
    if settings.suppress_tokens is not None:
        found.append(SuppressTokensLogitsProcessor(settings.suppress_tokens, device))
    return LogitsProcessorList(found)


def end_tokens(settings: GenerationConfig) -> list[int]:
    """The tokens that end a translation; one, as a rule."""
    ends = settings.eos_token_id
    return list(ends) if isinstance(ends, list) else [] if ends is None else [ends]
