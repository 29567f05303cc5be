"""The words of a text as numbers: one for each different word, and 0 for those it has not.

Words are found by a hash and then compared code point by code point, so that no two words are ever
taken for one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coordinator.metrics.compiled import kernels
from coordinator.metrics.keys import FIRST_ID, UNKNOWN

Ints = NDArray[np.integer[Any]]

_SEEDS = 64


@dataclass(frozen=True)
class Words:
    """Words as parts of an array of code points, none of them empty."""

    codes: NDArray[np.uint32]
    first: Ints
    end: Ints

    @property
    def lengths(self) -> Ints:
        return self.end - self.first

    def hashes(self, seed: int) -> NDArray[np.uint64]:
        """Equal for equal words: a sum over their code points, each mixed with its place.

        (A polynomial would be quicker, but some words have the same one for every base.)
        """
        inner, places = _spread(self.first, self.lengths)
        one, two = multipliers(seed)
        mixed = self.codes[places] * one
        mixed += inner.astype(np.uint32) * two
        mixed ^= mixed >> np.uint64(32)
        mixed *= one
        until = np.zeros(len(mixed) + 1, dtype=np.uint64)
        np.cumsum(mixed, out=until[1:])
        ends = np.cumsum(self.lengths)
        sums = until[ends] - until[ends - self.lengths]
        hashes: NDArray[np.uint64] = (sums ^ (sums >> np.uint64(32))) * two
        return hashes

    def same(self, mine: Ints, other: "Words", theirs: Ints) -> NDArray[np.bool_]:
        """Whether my words `mine` are the words `theirs` of `other`, pair by pair."""
        alike: NDArray[np.bool_] = self.lengths[mine] == other.lengths[theirs]
        mine, theirs = mine[alike], theirs[alike]
        lengths = self.lengths[mine]
        places, others = (
            _spread(first, lengths)[1] for first in (self.first[mine], other.first[theirs])
        )
        differs = self.codes[places] != other.codes[others]
        if differs.any():
            wrong = np.repeat(np.flatnonzero(alike), lengths)[differs]
            alike[wrong] = False
        return alike


def multipliers(seed: int) -> tuple[np.uint64, np.uint64]:
    """Two odd numbers."""
    one, two = 0x9E3779B97F4A7C15, 0xD6E8FEB86659FD93
    return np.uint64((one + 2 * seed) % 2**64), np.uint64((two + 2 * seed) % 2**64)


def _spread(first: Ints, lengths: Ints) -> tuple[Ints, Ints]:
    """Of each code point of the words: its place in the word, and in the text."""
    starts = np.cumsum(lengths) - lengths
    everywhere = np.arange(lengths.sum())
    inner = everywhere - np.repeat(starts, lengths)
    return inner, np.repeat(first, lengths) + inner


def prepare_vocabulary(words: Words) -> dict[str, NDArray[Any]]:
    """The different words as `word_ids` looks them up."""
    for seed in range(_SEEDS):  # another one where two words have one hash: hardly ever
        arrays = _with_seed(words, seed)
        if (word_ids(arrays, words) != UNKNOWN).all():
            return arrays
    raise AssertionError(f"no hash of {_SEEDS} tells these words apart")


def word_ids(arrays: Mapping[str, NDArray[Any]], words: Words) -> NDArray[np.int32]:
    """For each word the id it has in the vocabulary, or `UNKNOWN`."""
    ids = np.full(len(words.first), UNKNOWN, dtype=np.int32)
    loops = kernels("key_kernels")
    if loops:
        names = ("hashes", "buckets", "codes", "bounds", "how")
        found = (arrays[name] for name in names)
        mix = multipliers(int(arrays["how"][0]))
        loops.word_ids(words.codes, words.first, words.end, *found, *mix, ids)
    else:
        _look_up(arrays, words, ids)
    return ids


def _look_up(arrays: Mapping[str, NDArray[Any]], words: Words, ids: NDArray[np.int32]) -> None:
    known, (seed, shift, depth) = arrays["hashes"], arrays["how"].tolist()
    hashes = words.hashes(seed)
    at = arrays["buckets"][hashes >> np.uint64(shift)]
    for _ in range(depth):
        at = at + (known[at] < hashes)
    hits = np.flatnonzero(known[at] == hashes)
    bounds = arrays["bounds"]
    hits = hits[words.same(hits, Words(arrays["codes"], bounds[:-1], bounds[1:]), at[hits])]
    ids[hits] = at[hits] + FIRST_ID


def _with_seed(words: Words, seed: int) -> dict[str, NDArray[Any]]:
    """A hash's high bits tell the bucket, where at most `depth` smaller hashes stand before it."""
    hashes, chosen = np.unique(words.hashes(seed), return_index=True)
    bits = len(hashes).bit_length() + 2
    edges = np.arange(1 << bits, dtype=np.uint64) << np.uint64(64 - bits)
    buckets = np.searchsorted(hashes, edges)
    depth = int(np.diff(buckets, append=len(hashes)).max())
    lengths = words.lengths[chosen]
    bounds = np.concatenate([[0], np.cumsum(lengths)])
    _, places = _spread(words.first[chosen], lengths)
    return {
        "hashes": np.append(hashes, ~np.uint64(0)),
        "buckets": buckets,
        "codes": words.codes[places],
        "bounds": np.append(bounds, bounds[-1]),
        "how": np.array([seed, 64 - bits, depth]),
    }
