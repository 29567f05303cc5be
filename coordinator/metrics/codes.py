"""Whole texts as arrays of code points, cut into characters and words as Python's `str` does it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.integer[Any]]

_PUNCTUATION = np.zeros(129, dtype=np.bool_)  # as in sacrebleu's CHRF._PUNCTS; the last is False
_PUNCTUATION[[ord(mark) for mark in "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"]] = True

# `str.split` cuts where `str.isspace` holds, and U+3000 is the last such code point.
_SPACE = np.array([chr(code).isspace() for code in range(0x3002)])


@dataclass(frozen=True)
class Text:
    """Lines as code points.

    Attributes:
        codes: of all lines, each line followed by a line feed of its own.
        ends: where each line ends in `codes`, that is the place of its line feed.
    """

    codes: NDArray[np.uint32]
    ends: Ints

    @classmethod
    def of(cls, lines: Sequence[str]) -> "Text":
        joined = "".join([line + "\n" for line in lines]).encode("utf-32-le", "surrogatepass")
        lengths = np.fromiter(map(len, lines), np.int64, len(lines))
        return cls(np.frombuffer(joined, np.dtype("<u4")), np.cumsum(lengths + 1) - 1)

    @cached_property
    def is_space(self) -> NDArray[np.bool_]:
        """Of each code point; the line feeds between the lines are white space too."""
        return _SPACE.take(self.codes, mode="clip")

    def characters(self, whitespace: bool) -> tuple[NDArray[np.uint32], Ints]:
        """The code points of all lines, and how many each line has.

        Args:
            whitespace: keep white space; else it is left out, as by `"".join(line.split())`.
        """
        if whitespace:
            lengths = np.diff(self.ends, prepend=-1) - 1
            return np.delete(self.codes, self.ends), lengths
        kept = np.flatnonzero(~self.is_space)
        return self.codes[kept], np.diff(np.searchsorted(kept, self.ends), prepend=0)

    def words(self) -> tuple[Ints, Ints, Ints]:
        """What sacrebleu's `CHRF._remove_punctuation` makes of each line.

        A mark of punctuation is cut off the end of a word, or else off its beginning.

        Returns:
            where each word begins and ends in `codes`, and how many words each line has.
        """
        edges = np.flatnonzero(np.diff(self.is_space, prepend=True))
        first, end = edges[::2], edges[1::2]
        longer = end - first > 1
        behind = longer & _PUNCTUATION.take(self.codes[end - 1], mode="clip")
        before = longer & ~behind & _PUNCTUATION.take(self.codes[first], mode="clip")
        cut = np.where(behind, end - 1, np.where(before, first + 1, end))
        there = np.stack([np.ones_like(longer), behind | before], axis=1)
        lines = np.searchsorted(first, self.ends)
        counts = np.concatenate([[0], np.cumsum(1 + there[:, 1])])
        firsts, ends = np.stack([first, cut], axis=1)[there], np.stack([cut, end], axis=1)[there]
        return firsts, ends, np.diff(counts[lines], prepend=0)
