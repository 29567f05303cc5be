"""How many tokens a batch may hold: found by trying."""

from collections.abc import Callable

FULL = 0.8  # share of the memory that a batch may leave in use: translations differ in length
MOST = 1 << 16  # tokens; larger batches are no quicker, and keep more items in hand


def largest_budget(
    used: Callable[[int], float], least: int, most: int = MOST, full: float = FULL
) -> int | None:
    """The largest of `least`, twice `least` and so on that leaves enough memory free.

    Args:
        used: tries a batch of so many tokens; the share of the memory that was in use then.
            MemoryError: there was not enough.
        least: tokens, 1 or more, to begin with.
        most: tokens.
        full: the largest share that is let pass.

    Returns:
        Tokens; None: not even `least` fits.
    """
    good, tokens = None, least
    while tokens <= most and _fits(used, tokens, full):
        good, tokens = tokens, 2 * tokens
    return good


def _fits(used: Callable[[int], float], tokens: int, full: float) -> bool:
    try:
        return used(tokens) <= full
    except MemoryError:
        return False
