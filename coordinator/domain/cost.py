"""What an item costs, in tokens: those that a model will read and those that it will write.

It is an estimate, made before anything runs. Packs are cut by it, so what matters is how the items
compare; how long a token takes is measured as packs end.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

MOST = 10**12  # tokens of an item: the sum over all items fits the ledger's integers
_CHARACTERS = 3.3  # of a token; over 101 languages and a vocabulary of 256 k, within 12 % for most
_WIDE = 2.5  # what a Chinese character, a kana or a Hangul syllable counts for, in characters
_FIRST_WIDE = "\u2e80"
_OF_SENTENCE = 41  # tokens


def tokens_in(lines: Iterable[str]) -> int:
    """About how many tokens these sentences are."""
    characters = sum(len(line) + (_WIDE - 1) * _wide(line) for line in lines)
    return round(characters / _CHARACTERS)


def cost_of(properties: Mapping[str, Any], counted: Sequence[int], part: float = 1.0) -> int:
    """An item's cost, 1 or more: 1 where nothing is known of it.

    Args:
        properties: of the item. `mt:tokens` is believed; `mt:sentences` is used where nothing was
            counted.
        counted: tokens of those of its texts that were read: the source, and maybe its reference,
            which is about as long as the translation will be.
        part: of its sentences that is worked on.
    """
    return max(1, round(min(MOST, _whole_cost(properties, counted)) * part))


def _whole_cost(properties: Mapping[str, Any], counted: Sequence[int]) -> int:
    if told := _count(properties.get("mt:tokens")):
        return told
    if counted:
        return 2 * sum(counted) // len(counted)
    return 2 * _OF_SENTENCE * _count(properties.get("mt:sentences"))


def _wide(line: str) -> int:
    return 0 if line.isascii() else sum(character >= _FIRST_WIDE for character in line)


def _count(value: object) -> int:
    """A property as a count, or 0: properties come from outside."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
