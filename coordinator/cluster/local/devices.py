"""The graphics cards of this machine, shared out among the slots."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

VARIABLE = "CUDA_VISIBLE_DEVICES"


def devices(environment: Mapping[str, str], dev: Path = Path("/dev")) -> list[str]:
    """The names of the cards that may be used, as CUDA takes them."""
    if VARIABLE in environment:
        return [name.strip() for name in environment[VARIABLE].split(",") if name.strip()]
    cards = [file for file in dev.glob("nvidia*") if re.fullmatch(r"nvidia\d+", file.name)]
    return [str(number) for number in range(len(cards))]


def share(cards: Sequence[str], slot: int, wanted: int) -> list[str]:
    """The cards of one slot; slots have some in common only where there are too few for all."""
    wanted = min(wanted, len(cards))
    return [cards[(slot * wanted + k) % len(cards)] for k in range(wanted)]
