"""Loops compiled by numba: loaded by `compiled.kernels`, never imported otherwise.

Signatures are fixed: nothing is compiled twice, and memory-mapped arrays (read-only) may come in.
"""

from typing import Any

import numpy as np
from numba import types

from coordinator.metrics.jit import INT32, INT64, compiled

INT64_TABLE = types.Array(types.int64, 2, "C", readonly=True)


@compiled(types.int64(INT32, types.int64, types.int64, types.int64))
def _find(token: Any, low: Any, high: Any, wanted: Any) -> Any:
    """Where `wanted` is in the sorted stretch token[low:high], or -1. Most are of length one."""
    while high - low > 8:
        middle = (low + high) >> 1
        if token[middle] <= wanted:
            low = middle
        else:
            high = middle
    for node in range(low, high):
        if token[node] == wanted:
            return node
    return -1


@compiled(types.Array(types.int64, 2, "C")(INT32, INT64, INT32, INT32, INT32, INT32, INT64_TABLE))
def matches(
    ids: Any, offsets: Any, token: Any, first: Any, link: Any, count: Any, bounds: Any
) -> Any:
    """NgramIndex.matches, token by token.

    `node` is the longest n-gram up to this token that the reference has, of `order` tokens. One
    more token leads to its child; where it has none, the link leads to the next shorter one.
    Single tokens are found in `single`, which holds for a token the last node made of it: one of
    another segment is out of bounds, so that nothing needs to be cleared.
    """
    orders, segments = bounds.shape[0], offsets.size - 1
    result = np.zeros((segments, orders), np.int64)
    left = count.copy()
    vocabulary = 0
    for node in range(bounds[0, segments]):
        vocabulary = max(vocabulary, token[node] + 1)
    single = np.full(vocabulary, -1, np.int32)
    for segment in range(segments):
        low, high = bounds[0, segment], bounds[0, segment + 1]
        for node in range(low, high):
            single[token[node]] = node
        node, order = -1, 0
        for at in range(offsets[segment], offsets[segment + 1]):
            wanted = ids[at]
            while order > 0:
                if order < orders:
                    child = _find(token, first[node], first[node + 1], wanted)
                    if child >= 0:
                        node = child
                        order += 1
                        break
                node = link[node]
                order -= 1
            if order == 0 and 0 <= wanted < vocabulary and low <= single[wanted] < high:
                node, order = single[wanted], 1
            each, n = node, order
            while n > 0:
                if left[each] > 0:
                    left[each] -= 1
                    result[segment, n - 1] += 1
                each = link[each]
                n -= 1
    return result
