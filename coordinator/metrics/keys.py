"""How many n-grams two texts share, counted over integers that hold a whole n-gram each.

A key is an n-gram of the highest order, at one place of a segment, from the high bits to the low
ones: `segment | token ... token | side`. Where keys are sorted, equal n-grams of every lower order
lie together too: one sort serves all orders, and a run of equal ones ends where two neighbours
differ in the bits of that order. No hash is involved: the counts are exact.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coordinator.metrics.compiled import kernels

Ints = NDArray[np.integer[Any]]

UNKNOWN = 0  # the id of a token that the reference has not: it matches nothing
_END = 1  # follows the reference's last token; no hypothesis has it, so it matches nothing either
FIRST_ID = 2  # of the reference's own tokens

_BITS = 64
_SEGMENTS = 128  # in one block: its keys stay in the processor's cache
_CELLS = 1 << 22  # of the table from tokens to a segment's own numbers, at most


@dataclass(frozen=True)
class Tokens:
    """A text cut into tokens.

    Attributes:
        ids: of all tokens of all segments, one after the other: `UNKNOWN`, or from `FIRST_ID` on.
        lengths: how many of them each segment has.
    """

    ids: Ints
    lengths: Ints

    @property
    def starts(self) -> Ints:
        """Where each segment begins in `ids`, and where the last one ends."""
        return np.concatenate([[0], np.cumsum(self.lengths, dtype=np.int64)])


def prepare_ngrams(tokens: Tokens, order: int) -> dict[str, NDArray[Any]]:
    """The n-grams of a reference as `matching_ngrams` compares with them.

    Returns:
        `blocks`: rows of first segment, end, bits of a token; `keys`: one per token, sorted block
        by block; `starts`: see `Tokens`; `own`, `own_starts`: which ids each segment has, if the
        ids themselves are too wide for a key (else both are empty).
    """
    starts, size = tokens.starts, int(tokens.ids.max(initial=_END)) + 1
    own, own_starts = _own_ids(tokens, size, order)
    distinct = (
        np.diff(own_starts) if len(own_starts) else np.full(len(tokens.lengths), size - FIRST_ID)
    )
    blocks = np.array(_blocks(distinct, size, order), dtype=np.int64).reshape(-1, 3)
    arrays = {"starts": starts, "own": own, "own_starts": own_starts, "blocks": blocks}
    arrays["size"] = np.array([size])
    keys = [_reference_keys(arrays, block, tokens, order) for block in blocks.tolist()]
    return arrays | {"keys": np.concatenate([np.empty(0, np.uint64), *keys])}


def matching_ngrams(
    arrays: Mapping[str, NDArray[Any]], tokens: Tokens, order: int
) -> NDArray[np.int64]:
    """How many n-grams of each segment its reference has too, each as often as it has it.

    Args:
        arrays: what `prepare_ngrams` returned, with the same `order`.
        tokens: as many segments as the reference has.
        order: the highest order.

    Returns:
        shape (segments, order): of order 1, 2, ...
    """
    found = np.zeros((len(tokens.lengths), order), dtype=np.int64)
    ids, starts = np.ascontiguousarray(tokens.ids, np.int32), tokens.starts
    loops = kernels("key_kernels")
    if loops:
        names = ("keys", "starts", "own", "own_starts", "blocks")
        loops.matches(ids, starts, *(arrays[name] for name in names), found)
    for block in arrays["blocks"].tolist():
        if _too_wide(block[2], order):
            found[block[0]] = _counted(arrays, block, ids, starts, order)
        elif not loops:
            found[block[0] : block[1]] = _compared(arrays, block, ids, starts, order)
    return found


def _compared(
    arrays: Mapping[str, NDArray[Any]], block: list[int], ids: Ints, starts: Ints, order: int
) -> Ints:
    """Shape (segments of the block, order)."""
    low, high, width = block
    inner, their = (at[low : high + 1] - at[low] for at in (starts, arrays["starts"]))
    ours = _keys(_block_ids(arrays, block, ids, starts), inner, width, order, UNKNOWN)
    ours.sort(kind="stable")
    both = np.concatenate([_block_keys(arrays, block), ours])
    both.sort(kind="stable")  # two sorted runs: merged in one pass
    return _matches(both, (inner + their)[1:], width, order)


def _counted(
    arrays: Mapping[str, NDArray[Any]], block: list[int], ids: Ints, starts: Ints, order: int
) -> list[int]:
    """The same for one segment with so many different tokens that no key can hold an n-gram."""
    both = _block_ids(arrays, block, ids, starts), _block_keys(arrays, block)
    found = []
    for n in range(1, order + 1):
        sides = ([side.tolist()[i:] for i in range(n)] for side in both)
        ours, theirs = (Counter(zip(*side, strict=False)) for side in sides)
        found.append(sum((ours & theirs).values()))
    return found


def _block_keys(arrays: Mapping[str, NDArray[Any]], block: list[int]) -> NDArray[np.uint64]:
    low, high, _ = block
    keys: NDArray[np.uint64] = arrays["keys"][arrays["starts"][low] : arrays["starts"][high]]
    return keys


def _matches(keys: NDArray[np.uint64], ends: Ints, width: int, order: int) -> Ints:
    """Shape (segments, order). `keys` are both sides', sorted; each segment's end before `ends`."""
    found = np.zeros((len(ends), order), dtype=np.int64)
    change = np.full(len(keys) + 1, ~np.uint64(0))  # before each key, and after the last one
    np.bitwise_xor(keys[1:], keys[:-1], out=change[1:-1])
    ours = np.zeros(len(keys) + 1, dtype=np.int32)  # so many up to here
    np.cumsum(keys & np.uint64(1), out=ours[1:], dtype=np.int32)
    at = np.arange(len(keys) + 1, dtype=np.int32)
    for n in range(order, 0, -1):
        kept = np.flatnonzero(change >= np.uint64(1 << (1 + (order - n) * width)))
        change, at, ours = change[kept], at[kept], ours[kept]
        count = ours[1:] - ours[:-1]
        shared = np.minimum(count, at[1:] - at[:-1] - count)
        until = np.zeros(len(at), dtype=np.int64)
        np.cumsum(shared, out=until[1:])
        sums = until[np.searchsorted(at, ends)]
        found[:, n - 1] = np.diff(sums, prepend=0)
    return found


def _keys(ids: Ints, starts: Ints, width: int, order: int, end: int) -> NDArray[np.uint64]:
    """One for each token; what would reach over the segment's end is filled up with `end`."""
    tokens = ids.astype(np.uint64)
    grams, held = tokens, 1
    while held < order:
        step = min(held, order - held)  # of a doubled n-gram, as much as is still wanted
        tail = _shifted(grams >> np.uint64((held - step) * width), held)
        grams = (grams << np.uint64(step * width)) | tail
        held += step
    ends, lengths = starts[1:], np.diff(starts)
    for present in range(1, order):
        at = (ends - present)[lengths >= present]
        missing = np.uint64((order - present) * width)
        fill = sum(end << (i * width) for i in range(order - present))
        grams[at] = (grams[at] >> missing << missing) | np.uint64(fill)
    segments = np.arange(len(lengths), dtype=np.uint64) << np.uint64(order * width)
    side = np.uint64(end == UNKNOWN)
    return (np.repeat(segments, lengths) | grams) << np.uint64(1) | side


def _shifted(values: NDArray[np.uint64], by: int) -> NDArray[np.uint64]:
    moved = np.zeros_like(values)
    moved[: max(0, len(values) - by)] = values[by:]
    return moved


def _reference_keys(
    arrays: Mapping[str, NDArray[Any]], block: list[int], tokens: Tokens, order: int
) -> NDArray[np.uint64]:
    low, high, width = block
    starts = arrays["starts"]
    ids = _block_ids(arrays, block, tokens.ids, starts)
    if _too_wide(width, order):
        return ids.astype(np.uint64)
    return np.sort(_keys(ids, starts[low : high + 1] - starts[low], width, order, _END))


def _too_wide(width: int, order: int) -> bool:
    return order * width + 1 > _BITS


def _own_ids(tokens: Tokens, size: int, order: int) -> tuple[Ints, Ints]:
    """The different ids of each segment, sorted, and where each segment's begin; or nothing."""
    if order * _width(size) + 1 + (_SEGMENTS - 1).bit_length() <= _BITS:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    segments = np.repeat(np.arange(len(tokens.lengths)), tokens.lengths)
    pairs = np.unique(segments * size + tokens.ids)
    bounds = np.arange(len(tokens.lengths) + 1) * size
    return pairs % size, np.searchsorted(pairs, bounds)


def _block_ids(
    arrays: Mapping[str, NDArray[Any]], block: list[int], ids: Ints, starts: Ints
) -> Ints:
    """The tokens of a block, by their own numbers in their segment if the ids are too wide."""
    (low, high, _), at = block, arrays["own_starts"]
    ids = ids[starts[low] : starts[high]]
    if not len(at):
        return ids
    size = int(arrays["size"][0])
    own, first = arrays["own"][at[low] : at[high]], at[low:high] - at[low]
    counts = np.diff(at[low : high + 1])
    rows = np.arange(high - low) * size
    table = np.zeros((high - low) * size, dtype=np.int32)
    table[np.repeat(rows, counts) + own] = np.arange(len(own)) - np.repeat(first, counts) + FIRST_ID
    numbers: Ints = table[np.repeat(rows, np.diff(starts[low : high + 1])) + ids]
    return numbers


def _blocks(distinct: Ints, size: int, order: int) -> list[tuple[int, int, int]]:
    """Runs of segments whose keys fit; a segment alone may be too wide even so."""
    found, waiting = [], [(low, low + _SEGMENTS) for low in range(0, len(distinct), _SEGMENTS)]
    while waiting:
        low, high = waiting.pop()
        high = min(high, len(distinct))
        width = _width(int(distinct[low:high].max()) + FIRST_ID)
        bits = order * width + 1 + (high - low - 1).bit_length()
        if high - low == 1 or (bits <= _BITS and (high - low) * size <= _CELLS):
            found.append((low, high, width))
        else:
            middle = (low + high) // 2
            waiting += [(low, middle), (middle, high)]
    return sorted(found)


def _width(size: int) -> int:
    """Bits for every id below `size`."""
    return (size - 1).bit_length()
