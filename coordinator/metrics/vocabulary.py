"""The words of a text as numbers: one for each different word, and 0 for those it has not.

Words are found by a hash and then compared code point by code point, so that no two words are ever
taken for one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coordinator.metrics.compiled import kernels
from coordinator.metrics.keys import FIRST_ID, UNKNOWN

Ints = NDArray[np.integer[Any]]

MIX = 0x9E3779B97F4A7C15  # odd, so that it has an inverse modulo 2**64


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
        """Equal for equal words, wherever they stand: a polynomial in the code points."""
        base = int(_base(seed))
        powers = _powers(base, len(self.codes))
        sums = np.zeros(len(self.codes) + 1, dtype=np.uint64)
        np.cumsum((self.codes.astype(np.uint64) + np.uint64(1)) * powers, out=sums[1:])
        back = _powers(pow(base, -1, 2**64), len(self.codes))
        hashes = (sums[self.end] - sums[self.first]) * back[self.first]
        return (hashes ^ (hashes >> np.uint64(32))) * np.uint64(MIX)

    def same(self, mine: Ints, other: "Words", theirs: Ints) -> NDArray[np.bool_]:
        """Whether my words `mine` are the words `theirs` of `other`, pair by pair."""
        alike: NDArray[np.bool_] = self.lengths[mine] == other.lengths[theirs]
        mine, theirs = mine[alike], theirs[alike]
        lengths = self.lengths[mine]
        starts = np.cumsum(lengths) - lengths
        inner = np.arange(lengths.sum()) - np.repeat(starts, lengths)
        ours = self.codes[inner + np.repeat(self.first[mine], lengths)]
        differs = ours != other.codes[inner + np.repeat(other.first[theirs], lengths)]
        if differs.any():
            wrong = np.repeat(np.arange(len(mine)), lengths)[differs]
            alike[np.flatnonzero(alike)[wrong]] = False
        return alike


def prepare_vocabulary(words: Words) -> dict[str, NDArray[Any]]:
    """The different words as `word_ids` looks them up."""
    for seed in count():  # another one where two words have one hash: hardly ever
        arrays = _with_seed(words, seed)
        if (word_ids(arrays, words) != UNKNOWN).all():
            return arrays
    raise AssertionError


def word_ids(arrays: Mapping[str, NDArray[Any]], words: Words) -> NDArray[np.int32]:
    """For each word the id it has in the vocabulary, or `UNKNOWN`."""
    ids = np.full(len(words.first), UNKNOWN, dtype=np.int32)
    loops = kernels("key_kernels")
    if loops:
        names = ("hashes", "buckets", "codes", "bounds", "how")
        found = (arrays[name] for name in names)
        loops.word_ids(words.codes, words.first, words.end, *found, _base(arrays["how"][0]), ids)
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
    places = np.repeat(words.first[chosen] - bounds[:-1], lengths) + np.arange(bounds[-1])
    return {
        "hashes": np.append(hashes, ~np.uint64(0)),
        "buckets": buckets,
        "codes": words.codes[places],
        "bounds": np.append(bounds, bounds[-1]),
        "how": np.array([seed, 64 - bits, depth]),
    }


def _base(seed: int) -> np.uint64:
    return np.uint64((MIX + 2 * int(seed)) % 2**64)


_kept: dict[int, NDArray[np.uint64]] = {}
_KEPT = 1 << 20


def _powers(base: int, size: int) -> NDArray[np.uint64]:
    """1, base, base**2, ... modulo 2**64; the first ones are kept, since every text needs them."""
    powers = _kept.get(base)
    if powers is None or len(powers) < size:
        factors = np.full(max(size, 1 << 16), base, dtype=np.uint64)
        factors[0] = 1
        powers = np.multiply.accumulate(factors)
        _kept[base] = powers[:_KEPT]
    return powers[:size]
