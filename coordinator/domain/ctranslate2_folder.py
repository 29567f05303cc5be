"""What a folder of CTranslate2 must hold to translate, checked cheaply: no weights are loaded.

Beside the model's own files lie the tokenizer's and `family.json`, which says how the model is told
what to translate into what. tools/to_ctranslate2.py writes them all.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from coordinator.domain.ctranslate2_file import BadModelFile, Shapes, read_shapes
from coordinator.errors import ModelError, Problem

MODEL = "model.bin"
CONFIG = "config.json"
FAMILY = "family.json"
SIDES = ("source", "target")
CONVERT = "convert the model again with tools/to_ctranslate2.py"

FamilyName = Literal["m2m100", "nllb", "mbart50", "marian"]
TOKENIZERS: dict[FamilyName, str] = {
    "m2m100": "sentencepiece.bpe.model",
    "nllb": "tokenizer.json",
    "mbart50": "tokenizer.json",
    "marian": "source.spm",
}
_EMBEDDINGS = {"source": "encoder/embeddings_0/weight", "target": "decoder/embeddings/weight"}
_MAX_JSON = 64 << 20  # bytes; a vocabulary of 256,000 tokens has 6 MB
_SHOWN = 40  # characters of what the file says
_LEAST_TOKENS, _MOST_TOKENS = 8, 1 << 16  # of one sentence

_Token = Annotated[str, Field(min_length=1)]  # what is nothing would be found between all letters


class Family(BaseModel):
    """How a model is told what to do, and what its tokenizer leaves to the program.

    Attributes:
        family: decides which tokenizer reads the text, and where languages are named.
        languages: language code -> the token that names it; empty for a Marian of one direction.
        source, target: the language of a Marian model's side, where it has but one.
        special_tokens: cut out of the text before it is tokenized, and left out of translations.
        end: the token that ends a sentence.
        language_last: the source language is named after the sentence and its end, not before.
        tidy: spaces before punctuation are taken out of translations.
        longest_source: tokens that the model can read, the special ones included.
        most_new_tokens: that it may write, the target language's included.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    family: FamilyName
    languages: dict[str, str] = Field(default={}, max_length=10_000)
    source: str | None = None
    target: str | None = None
    special_tokens: list[_Token] = Field(min_length=1, max_length=10_000)
    end: str = "</s>"
    language_last: bool = False
    tidy: bool = False
    longest_source: int = Field(ge=_LEAST_TOKENS, le=_MOST_TOKENS)
    most_new_tokens: int = Field(ge=1, le=_MOST_TOKENS)

    @property
    def tokenizer(self) -> str:
        """The name of the tokenizer's file."""
        return TOKENIZERS[self.family]


class _Bad(Exception):
    """What is wrong with a file, in one line."""


def read_family(folder: Path) -> Family:
    """The folder's `family.json`. Raises ModelError: it cannot be used."""
    path = folder / FAMILY
    try:
        return _family(path)
    except _Bad as problem:
        raise ModelError(f"{path} cannot be used", why=str(problem), hint=CONVERT) from None


def ctranslate2_problems(folder: Path, real: int | None) -> Iterator[Problem]:
    """All that is wrong with the folder; `real`: as `read_shapes` says."""
    shapes: Shapes = {}
    try:
        shapes = read_shapes(folder / MODEL, real)
    except BadModelFile as problem:
        yield Problem(str(folder / MODEL), str(problem), CONVERT)
    vocabularies: dict[str, list[str]] = {}
    for side in SIDES:
        path = vocabulary_file(folder, side)
        try:
            vocabularies[side] = _vocabulary(path)
            _check_size(vocabularies[side], shapes.get(_EMBEDDINGS[side]))
        except _Bad as problem:
            yield Problem(str(path), str(problem), CONVERT)
    yield from _other_problems(folder, vocabularies)


def vocabulary_file(folder: Path, side: str) -> Path:
    """That of one side, or of both."""
    own = folder / f"{side}_vocabulary.json"
    return own if own.exists() else folder / "shared_vocabulary.json"


def _other_problems(folder: Path, vocabularies: dict[str, list[str]]) -> Iterator[Problem]:
    try:
        if not isinstance(_json(folder / CONFIG), dict):
            yield Problem(str(folder / CONFIG), "it is not a JSON object", CONVERT)
        family = _family(folder / FAMILY)
    except _Bad as problem:
        yield Problem(str(folder), str(problem), CONVERT)
        return
    if not (folder / family.tokenizer).is_file():
        yield Problem(str(folder / family.tokenizer), "the tokenizer's file is missing", CONVERT)
    named = {*family.languages.values(), family.end}
    for side, tokens in vocabularies.items():
        if unknown := sorted(named.difference(tokens)):
            reason = f"{len(unknown)} of the tokens that it names are not in the {side} vocabulary"
            yield Problem(str(folder / FAMILY), f"{reason}: {unknown[0][:_SHOWN]!r}", CONVERT)


def _family(path: Path) -> Family:
    try:
        return Family.model_validate(_json(path))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        # Below the field stand keys of the file's own, which may hold anything.
        field, *below = (*first["loc"], "")
        inside = f" {str(below[0])[:_SHOWN]!r}" if len(below) > 1 else ""
        raise _Bad(f"{path.name}: {str(field)[:_SHOWN]!r}{inside}: {first['msg']}") from None


def _vocabulary(path: Path) -> list[str]:
    tokens = _json(path)
    if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
        raise _Bad("it is not a JSON list of tokens")
    if len(set(tokens)) < len(tokens):
        raise _Bad("it names a token twice")
    return tokens


def _check_size(tokens: list[str], shape: tuple[int, ...] | None) -> None:
    if shape is not None and shape[:1] != (len(tokens),):
        rows = shape[0] if shape else 0
        raise _Bad(f"it has {len(tokens)} tokens, the model {rows}")


def _json(path: Path) -> Any:
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise _Bad(f"{path.name} is not a file")
    try:
        with path.open("rb") as file:
            return json.loads(file.read(_MAX_JSON))
    except FileNotFoundError:
        raise _Bad(f"{path.name} is missing") from None
    except (ValueError, RecursionError):  # not JSON, not UTF-8, or nested without end
        raise _Bad(f"{path.name} is not JSON") from None
