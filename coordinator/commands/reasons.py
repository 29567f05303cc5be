"""A reason for where an item stands, and what would change it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Reason:
    """One line of an answer.

    Attributes:
        name: for programs; always the same word for the same reason.
        what: what holds, in words.
        change: what would change it: mostly a command; "" where nothing has to.
    """

    name: str
    what: str
    change: str = ""


def resume_with(batch: str) -> str:
    return f"coordinator submit --batch_name {batch} --resume"
