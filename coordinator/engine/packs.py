"""How many items share a dispatch, and how many dispatches are worth having out."""

import math


def pack_size(ready: int, *, lanes: int | None, largest: int) -> int:
    """Items for the next pack: guided self-scheduling (Polychronopoulos and Kuck, 1987).

    A pack takes a share of what is left, 1 / (2 x lanes), so packs shrink towards the end and the
    lanes end together. Each dispatch loads its model anew, so a pack is never below half the
    largest, unless that left a lane without work.
    """
    if not lanes:
        return largest
    share = math.ceil(ready / (2 * lanes))
    floor = min(largest // 2, math.ceil(ready / lanes))
    return max(1, floor, min(largest, share))


def most_out(lanes: int | None) -> float:
    """Dispatches that may be out: the lanes and a short queue, so that no lane waits for a tick.

    Work that is ready waits here rather than there, and so comes to share packs.
    """
    return math.inf if lanes is None else lanes + max(1, lanes // 4)
