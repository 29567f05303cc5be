"""From lines to token ids: equal ids exactly where sacrebleu's tokens are equal strings."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Tokens:
    """The token ids of many lines.

    Attributes:
        ids: (tokens,) int32; -1 = a token that no reference has.
        offsets: (lines + 1,) int64: line k is ids[offsets[k] : offsets[k + 1]].
    """

    ids: NDArray[np.int32]
    offsets: NDArray[np.int64]

    @classmethod
    def of(cls, lines: Sequence[NDArray[Any]]) -> "Tokens":
        """The ids of each line, put in a row."""
        offsets = np.zeros(len(lines) + 1, np.int64)
        np.cumsum(np.fromiter(map(len, lines), np.int64, len(lines)), out=offsets[1:])
        ids = np.concatenate(lines) if lines else np.empty(0, np.int32)
        return cls(ids.astype(np.int32, copy=False), offsets)


class Vocabulary(dict[str, int]):
    """The tokens of some references that have no number of their own. An unknown one is -1."""

    @classmethod
    def of(cls, tokens: Iterable[str], first: int) -> "Vocabulary":
        """`tokens` in their order, numbered from `first`."""
        return cls(zip(tokens, range(first, 1 << 31), strict=False))

    def __missing__(self, token: str) -> int:
        return -1


class GrowingVocabulary(Vocabulary):
    """Takes in every token that it is asked for, while references are read."""

    def __init__(self, first: int) -> None:
        super().__init__()
        self._first = first

    def __missing__(self, token: str) -> int:
        self[token] = number = self._first + len(self)
        return number


class Tokenizer(ABC):
    """Cuts lines as one of sacrebleu's tokenizers does.

    Attributes:
        name: what the signature calls it.
        sha256: of its file, or "" where it has none.
        first: the first number that a vocabulary may give; those below are the tokenizer's own.
    """

    name: str
    sha256 = ""
    first = 0

    @property
    @abstractmethod
    def recipe(self) -> str:
        """What the ids of a text depend on beside the text."""

    @abstractmethod
    def encode(self, lines: Sequence[str], vocabulary: Vocabulary) -> Tokens:
        """The tokens of each line, as numbers of the tokenizer or of the vocabulary."""


class WordTokenizer(Tokenizer):
    """Any tokenizer that gives strings.

    Args:
        name: for the signature.
        recipe: with the versions of what cuts.
        cut: a line -> its tokens, between white space.
    """

    def __init__(self, name: str, recipe: str, cut: Callable[[str], str], sha256: str = "") -> None:
        self.name, self.sha256 = name, sha256
        self._recipe, self._cut = recipe, cut

    @property
    def recipe(self) -> str:
        return self._recipe

    def encode(self, lines: Sequence[str], vocabulary: Vocabulary) -> Tokens:
        number = vocabulary.__getitem__
        rows = ([number(token) for token in self._cut(line).split()] for line in lines)
        return Tokens.of([np.array(row, np.int32) for row in rows])
