"""How the families of seq2seq models are told what to translate into what."""

import re
from dataclasses import dataclass
from typing import Any, Protocol

from coordinator.errors import ModelError
from coordinator.inference.languages import LanguageTable

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
        """Sets the tokenizer to the source language. Raises BadInput: one is not known."""
        ...


class TokenLanguages:
    """M2M100, NLLB, mBART-50: a token in front of the source, one in front of the translation."""

    def __init__(self, tokenizer: Any, codes: dict[str, int], aliases: dict[str, str]) -> None:
        self._tokenizer, self._ids = tokenizer, codes
        self._table = LanguageTable(tuple(codes), aliases)

    def choose(self, source_language: str, target_language: str) -> Direction:
        source = self._table.find(source_language)
        if self._tokenizer.src_lang != source:
            self._tokenizer.src_lang = source
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


def languages_of(model_type: str, tokenizer: Any, aliases: dict[str, str]) -> Languages:
    """The way of the model's family.

    Args:
        model_type: as in its config.json.
        tokenizer: of the folder.
        aliases: the folder's own table, the item's language code -> the tokenizer's.

    Raises:
        ModelError: the tokenizer names no languages.
    """
    if model_type == "marian":
        return MarianLanguages(tokenizer, aliases)
    codes = _language_tokens(tokenizer)
    if not codes:
        raise ModelError(
            "the model's tokenizer names no languages",
            why="it is none of M2M100, NLLB and mBART-50",
            hint="add the tokenizer_config.json that belongs to the model",
        )
    return TokenLanguages(tokenizer, codes, aliases)


def _language_tokens(tokenizer: Any) -> dict[str, int]:
    """Language code -> token id."""
    if hasattr(tokenizer, "lang_code_to_id"):  # M2M100 and mBART-50
        return dict(tokenizer.lang_code_to_id)
    vocabulary = tokenizer.get_vocab()
    return {token: number for token, number in vocabulary.items() if _NLLB_CODE.fullmatch(token)}
