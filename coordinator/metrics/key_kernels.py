"""The loops of `keys` and `vocabulary`, compiled by numba: loaded by `compiled.kernels`.

Signatures are fixed: nothing is compiled twice, and memory-mapped arrays (read-only) may come in.
"""

from typing import Any

import numpy as np
from numba import types

from coordinator.metrics.jit import INT32, INT64, compiled

CODES = types.Array(types.uint32, 1, "C", readonly=True)
HASHES = types.Array(types.uint64, 1, "C", readonly=True)
TABLE = types.Array(types.int64, 2, "C", readonly=True)
NUMBERS = types.Array(types.int64, 1, "C")
INT32_OUT = types.Array(types.int32, 1, "C")
KEYS = types.Array(types.uint64, 1, "C")
COUNTS = types.Array(types.int64, 2, "C")

_FEW, _MANY = 32, 1000  # keys: buckets are worth it, and insertion is no longer
_BUCKET_BITS = 8
_BITS = 64
_FIRST_ID = 2  # as in `keys`


@compiled(types.void(KEYS, NUMBERS, types.int64, types.int64))
def _fill(keys: Any, numbers: Any, width: Any, order: Any) -> None:
    """The keys of a segment's tokens, without its number: each is the next one, moved on."""
    key, top = np.uint64(0), np.uint64((order - 1) * width)
    for at in range(keys.size - 1, -1, -1):
        key = (key >> np.uint64(width)) | (np.uint64(numbers[at]) << top)
        keys[at] = key


@compiled(types.void(KEYS, KEYS, NUMBERS, types.int64))
def _into_buckets(keys: Any, spare: Any, ends: Any, shift: Any) -> None:
    ends[:] = 0
    for at in range(keys.size):
        spare[at] = keys[at]
        ends[keys[at] >> np.uint64(shift)] += 1
    total = 0
    for bucket in range(ends.size):
        total, ends[bucket] = total + ends[bucket], total
    for at in range(keys.size):
        bucket = spare[at] >> np.uint64(shift)
        keys[ends[bucket]] = spare[at]
        ends[bucket] += 1


@compiled(types.void(KEYS, KEYS, NUMBERS, types.int64))
def _sort(keys: Any, spare: Any, ends: Any, bits: Any) -> None:
    """Sort keys of so many bits: into buckets by the high ones, and then by insertion."""
    if keys.size > _MANY:
        keys.sort()
        return
    if keys.size > _FEW:
        _into_buckets(keys, spare, ends, max(0, bits - _BUCKET_BITS))
    for at in range(1, keys.size):
        key, to = keys[at], at
        while to > 0 and keys[to - 1] > key:
            keys[to] = keys[to - 1]
            to -= 1
        keys[to] = key


@compiled(types.void(KEYS, HASHES, types.int64, types.int64, NUMBERS, NUMBERS))
def _merge(ours: Any, theirs: Any, width: Any, order: Any, open_: Any, shared: Any) -> None:
    """Walk both sorted sides; where an n-gram ends, its counts go over to its prefix."""
    shared[:] = 0
    mask = np.uint64((1 << (order * width)) - 1)
    mine, their = open_[: order + 1], open_[order + 1 :]
    open_[:] = 0
    at, to, last = 0, 0, np.uint64(0)
    none = ~np.uint64(0)
    while at < ours.size or to < theirs.size:
        our = ours[at] if at < ours.size else none
        other = (theirs[to] >> np.uint64(1)) & mask if to < theirs.size else none
        key = min(our, other)
        change, n = key ^ last, order
        while change:
            shared[n] += min(mine[n], their[n])
            mine[n - 1] += mine[n]
            their[n - 1] += their[n]
            mine[n] = their[n] = 0
            n -= 1
            change >>= np.uint64(width)
        mine[order] += our == key
        at += our == key
        their[order] += other == key
        to += other == key
        last = key
    for n in range(order, 0, -1):
        shared[n] += min(mine[n], their[n])
        mine[n - 1] += mine[n]
        their[n - 1] += their[n]


@compiled(types.void(NUMBERS, INT64, types.int64))
def _renumber(number: Any, own: Any, first: Any) -> None:
    """Give a segment's own tokens the numbers from `first` on; with 0, take them away again."""
    for at in range(own.size):
        number[own[at]] = first + at if first else 0


@compiled(types.void(INT32, INT64, HASHES, INT64, INT64, INT64, TABLE, COUNTS))
def matches(
    ids: Any, starts: Any, keys: Any, their_starts: Any, own: Any, own_starts: Any, blocks: Any,
    found: Any,
) -> None:  # fmt: skip
    """Fill `found`, shape (segments, order): `matching_ngrams` but for blocks that are too wide."""
    order, longest, most = found.shape[1], 0, 0
    for segment in range(starts.size - 1):
        longest = max(longest, starts[segment + 1] - starts[segment])
    for token in ids:
        most = max(most, token)
    for token in own:
        most = max(most, token)
    number = np.arange(most + 1) if own_starts.size == 0 else np.zeros(most + 1, np.int64)
    numbers, ours = np.empty(longest, np.int64), np.empty(longest, np.uint64)
    spare, open_ = np.empty(longest, np.uint64), np.empty(2 * order + 2, np.int64)
    shared, ends = np.empty(order + 1, np.int64), np.empty(1 << _BUCKET_BITS, np.int64)
    for block in range(blocks.shape[0]):
        width = blocks[block, 2]
        if order * width + 1 > _BITS:
            continue
        for segment in range(blocks[block, 0], blocks[block, 1]):
            low, size = starts[segment], starts[segment + 1] - starts[segment]
            mine = own[own_starts[segment] : own_starts[segment + 1]] if own_starts.size else own
            _renumber(number, mine, _FIRST_ID)
            for at in range(size):
                numbers[at] = number[ids[low + at]]
            _renumber(number, mine, 0)
            _fill(ours[:size], numbers, width, order)
            _sort(ours[:size], spare, ends, order * width)
            theirs = keys[their_starts[segment] : their_starts[segment + 1]]
            _merge(ours[:size], theirs, width, order, open_, shared)
            found[segment] = shared[1:]


@compiled(types.uint64(CODES, types.uint64, types.uint64))
def _hash(codes: Any, one: Any, two: Any) -> Any:
    total = np.uint64(0)
    for at in range(codes.size):
        mixed = np.uint64(codes[at]) * one + np.uint64(at) * two
        total += (mixed ^ (mixed >> np.uint64(32))) * one
    return (total ^ (total >> np.uint64(32))) * two


@compiled(types.boolean(CODES, CODES))
def _same(codes: Any, others: Any) -> Any:
    at = 0
    while at < min(codes.size, others.size) and codes[at] == others[at]:
        at += 1
    return at == codes.size == others.size


@compiled(
    types.void(
        CODES,
        INT64,
        INT64,
        HASHES,
        INT64,
        CODES,
        INT64,
        INT64,
        types.uint64,
        types.uint64,
        INT32_OUT,
    )
)
def word_ids(
    codes: Any, first: Any, end: Any, hashes: Any, buckets: Any, their_codes: Any, bounds: Any,
    how: Any, one: Any, two: Any, ids: Any,
) -> None:  # fmt: skip
    """Fill `ids`: see `vocabulary.word_ids`."""
    shift = np.uint64(how[1])
    for word in range(first.size):
        value = _hash(codes[first[word] : end[word]], one, two)
        at = buckets[value >> shift]
        while hashes[at] < value:
            at += 1
        theirs = their_codes[bounds[at] : bounds[at + 1]]
        if hashes[at] == value and _same(codes[first[word] : end[word]], theirs):
            ids[word] = at + _FIRST_ID
