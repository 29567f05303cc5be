"""The n-grams of references, prepared once; how many of them each hypothesis has.

The distinct n-grams of a segment are the nodes of a tree: a node is its prefix and one token more.
Nodes are numbered order by order, and within an order by parent and token, so that the children
of a node are neighbours, sorted by their token. Nothing is hashed: what is found is exact.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coordinator.metrics.compiled import kernels

Ids = NDArray[Any]  # (tokens,) integers; -1 = a token that no reference has
Offsets = NDArray[Any]  # (texts + 1,): text k is ids[offsets[k] : offsets[k + 1]]

_IDS = 1 << 24  # the walk keeps four bytes for each
_NODES = np.iinfo(np.int32).max


@dataclass(frozen=True)
class NgramIndex:
    """The n-grams, of order 1 to some highest one, that each segment's references have.

    Attributes:
        token: (nodes,) int32, the last token of the n-gram.
        first: (nodes of all orders but the highest, + 1) int32, where the node's children begin;
            they end where those of the next begin.
        link: (nodes,) int32, the node of the n-gram without its first token; -1 for one token.
        count: (nodes,) int32, how often the reference has it; of several, the one that has most.
        bounds: (orders, segments + 1) int64, where the nodes of each order and segment begin.
    """

    token: NDArray[np.int32]
    first: NDArray[np.int32]
    link: NDArray[np.int32]
    count: NDArray[np.int32]
    bounds: NDArray[np.int64]

    @classmethod
    def build(cls, ids: Ids, offsets: Offsets, *, orders: int, references: int = 1) -> "NgramIndex":
        """The index of texts given as token ids.

        Args:
            ids: of all texts.
            offsets: of all texts: the segments of the first reference, then those of the next.
            orders: the highest order.
            references: how many each segment has. An n-gram counts as often as in that reference
                that has it most often, as BLEU wants it; what needs each reference by itself
                (chrF) builds one index for each.

        Raises:
            ValueError: ids that are negative or above 2^24, or too much text to number its n-grams.
        """
        least, most = (int(ids.min()), int(ids.max())) if ids.size else (0, 0)
        if ids.size * orders > _NODES or least < 0 or most >= _IDS:
            raise ValueError(f"ids must be from 0 to {_IDS - 1}, and n-grams fewer than {_NODES}")
        return _build(ids.astype(np.int64), offsets, orders, references)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], name: str = "ngrams") -> "NgramIndex":
        """What `to_arrays` gave, also memory-mapped: nothing is copied."""
        return cls(*(np.asarray(arrays[f"{name}_{field.name}"]) for field in fields(cls)))

    def to_arrays(self, name: str = "ngrams") -> dict[str, NDArray[Any]]:
        """All of it, under names that begin with `name`."""
        return {f"{name}_{field.name}": getattr(self, field.name) for field in fields(self)}

    @property
    def orders(self) -> int:
        return len(self.bounds)

    @property
    def segments(self) -> int:
        return int(self.bounds.shape[1]) - 1

    def matches(self, ids: Ids, offsets: Offsets) -> NDArray[np.int64]:
        """How many n-grams of each hypothesis its references have, each as often as they have it.

        Args:
            ids: the hypotheses' tokens. What is no token of the references (such as -1) matches
                nothing, whatever its number.
            offsets: (segments + 1,), one text for each segment.

        Returns:
            (segments, orders), for n-grams of 1, 2 ... tokens.
        """
        if len(offsets) != self.segments + 1 or offsets[-1] > len(ids):
            raise ValueError(f"{len(offsets) - 1} texts for {self.segments} segments")
        ids = np.ascontiguousarray(ids, np.int32)
        offsets = np.ascontiguousarray(offsets, np.int64)
        loops = kernels()
        if loops is None:
            return _matches(self, ids, offsets)
        index = (self.token, self.first, self.link, self.count, self.bounds)
        matches: NDArray[np.int64] = loops.matches(ids, offsets, *index)
        return matches


def totals(offsets: Offsets, orders: int) -> NDArray[np.int64]:
    """(texts, orders): how many n-grams of 1, 2 ... tokens each text has."""
    lengths = np.diff(offsets).astype(np.int64)
    counts: NDArray[np.int64] = np.maximum(lengths[:, None] - np.arange(orders), 0)
    return counts


# ------------------------------------------------------------------------------------- building


def _build(ids: NDArray[np.int64], offsets: Offsets, orders: int, references: int) -> NgramIndex:
    lengths = np.diff(offsets)
    texts = len(lengths)
    segments = texts // references
    text = np.repeat(np.arange(texts), lengths)  # of each position
    left = np.repeat(offsets[1:], lengths) - np.arange(ids.size)  # tokens up to its text's end
    base = int(ids.max(initial=0)) + 1
    starts, at = 0, np.arange(ids.size)
    above = text % segments if segments else text  # of each position in `at`: its parent
    node_at = np.full(ids.size, -1, np.int64)  # of each position: its node of the order before
    levels: list[_Level] = []
    for order in range(1, orders + 1):
        keys, which = np.unique(above * base + ids[at + order - 1], return_inverse=True)
        link = np.full(keys.size, -1, np.int64)
        if order > 1:
            link[which] = node_at[at + 1]
        count = _most(which, text[at] // max(segments, 1), references, keys.size)
        levels.append(_Level(keys // base, keys % base, link, count))
        node_at[at] = which + starts
        starts += keys.size
        at = at[left[at] > order]
        above = node_at[at]
    return _joined(levels, segments)


@dataclass(frozen=True)
class _Level:
    """The nodes of one order, as in NgramIndex; the parent of a single token is its segment."""

    parent: NDArray[np.int64]
    token: NDArray[np.int64]
    link: NDArray[np.int64]
    count: NDArray[np.int64]


def _most(
    which: NDArray[Any], reference: NDArray[Any], references: int, nodes: int
) -> NDArray[np.int64]:
    """How often each node occurs in that reference in which it occurs most often."""
    count = np.zeros(nodes, np.int64)
    for one in range(references):
        np.maximum(count, np.bincount(which[reference == one], minlength=nodes), out=count)
    return count


def _joined(levels: list[_Level], segments: int) -> NgramIndex:
    sizes = [level.token.size for level in levels]
    starts = np.cumsum([0, *sizes])
    bounds = np.empty((len(levels), segments + 1), np.int64)
    bounds[0] = np.searchsorted(levels[0].parent, np.arange(segments + 1))
    first = np.empty(starts[-2] + 1, np.int64)
    first[-1] = starts[-1]
    for n, level in enumerate(levels[1:], 1):
        nodes = np.arange(starts[n - 1], starts[n])
        first[nodes] = starts[n] + np.searchsorted(level.parent, nodes)
    for n in range(1, len(levels)):
        bounds[n] = first[bounds[n - 1]]
    columns = ([getattr(level, name) for level in levels] for name in ("token", "link", "count"))
    token, link, count = (np.concatenate(column).astype(np.int32) for column in columns)
    return NgramIndex(token, first.astype(np.int32), link, count, bounds)


# ------------------------------------------------------------------------- matching, without numba


def _matches(index: NgramIndex, ids: NDArray[np.int32], offsets: Offsets) -> NDArray[np.int64]:
    """Order by order, all positions at once; one whose n-gram fails has no longer n-gram."""
    lengths = np.diff(offsets)
    ends = np.repeat(offsets[1:], lengths)
    segment = np.repeat(np.arange(index.segments), lengths)
    at = np.arange(offsets[0], offsets[-1])
    roots = index.bounds[0]
    nodes = _find(index.token, roots[segment], roots[segment + 1], ids[at])
    matches = np.empty((index.segments, index.orders), np.int64)
    for order in range(1, index.orders + 1):
        found = nodes >= 0
        at, nodes, ends = at[found], nodes[found], ends[found]
        matches[:, order - 1] = _clipped(index, nodes, index.bounds[order - 1])
        if order < index.orders:
            longer = at + order < ends
            at, nodes, ends = at[longer], nodes[longer], ends[longer]
            nodes = _find(index.token, index.first[nodes], index.first[nodes + 1], ids[at + order])
    return matches


def _clipped(index: NgramIndex, nodes: Ids, bounds: NDArray[np.int64]) -> NDArray[np.int64]:
    """(segments,): how often `nodes`, all of one order, occur, but no oftener than in `index`."""
    low, high = bounds[0], bounds[-1]
    counts = np.bincount(nodes - low, minlength=high - low)
    sums = np.zeros(high - low + 1, np.int64)
    np.cumsum(np.minimum(counts, index.count[low:high]), out=sums[1:])
    clipped: NDArray[np.int64] = np.diff(sums[bounds - low])
    return clipped


def _find(token: Ids, low: Ids, high: Ids, wanted: Ids) -> NDArray[np.int64]:
    """Each `wanted` in its own sorted stretch token[low:high]: where it is, or -1.

    Bisection of all at once, by steps of powers of two; `at` is the last one known to be smaller.
    """
    if not token.size:
        return np.full(low.size, -1, np.int64)
    at = low.astype(np.int64) - 1
    longest = int((high - low).max(initial=0))
    for step in (1 << bit for bit in reversed(range(longest.bit_length()))):
        ahead = at + step
        smaller = token.take(ahead, mode="clip") < wanted
        smaller &= ahead < high
        np.add(at, step, out=at, where=smaller)
    at += 1
    there = (token.take(at, mode="clip") == wanted) & (at < high)
    return np.where(there, at, -1)
