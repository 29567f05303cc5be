"""How many items share a dispatch, and how many dispatches are worth having out."""

import math


def pack_size(ready: int, *, lanes: int | None, largest: int) -> int:
    """Items for the next pack: guided self-scheduling (Polychronopoulos and Kuck, 1987).

    A pack takes a share of what is left, 1 / (2 x lanes), so packs shrink towards the end and the
    lanes end together; but never below half the largest, since each dispatch loads its model anew.
    """
    share = math.ceil(ready / (2 * lanes)) if lanes else largest
    return max(1, largest // 2, min(largest, share))


def most_out(lanes: int | None) -> float:
    """Dispatches that may be out: the lanes and a short queue, so that no lane waits for a tick.

    Work that is ready waits here rather than there, and so comes to share packs.
    """
    return math.inf if lanes is None else lanes + max(1, lanes // 4)
