"""`status --watch --exit any,failed,1`: when a watch ends, and with which exit code."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from coordinator.commands.watching import Seen
from coordinator.domain.states import DONE_ITEMS, FINISHED_ITEMS, ItemState
from coordinator.errors import UsageError

_QUANTIFIERS = ("any", "all", "none")
_OF_ITEMS: dict[str, frozenset[ItemState]] = {
    "done": FINISHED_ITEMS,
    "finished": FINISHED_ITEMS,
    "succeeded": DONE_ITEMS,
    "failed": frozenset({ItemState.FAILED}),
    "stopped": frozenset({ItemState.STOPPED}),
    "skipped": frozenset({ItemState.SKIPPED}),
    "running": frozenset({ItemState.IN_FLIGHT}),
    "waiting": frozenset({ItemState.WAITING}),
}
# Of the batch as a whole: all of its items are so, or none.
_OF_BATCH: dict[str, Callable[[Seen], bool]] = {
    "paused": lambda seen: bool(seen.snapshot.paused or seen.snapshot.trouble),
    "undriven": lambda seen: not seen.driven_by and not seen.is_finished,
}
_STATES = (*_OF_ITEMS, *_OF_BATCH)


@dataclass(frozen=True)
class Exit:
    """One condition."""

    quantifier: str
    state: str
    code: int

    def holds(self, seen: Seen) -> bool:
        """Whether it is so now. Of a batch without items, all and none are."""
        if self.state in _OF_BATCH:
            return _OF_BATCH[self.state](seen) == (self.quantifier != "none")
        snapshot = seen.snapshot
        counts = {**snapshot.tally.items, ItemState.SKIPPED: snapshot.skipped}
        inside = sum(counts.get(state, 0) for state in _OF_ITEMS[self.state])
        if self.quantifier == "all":
            return inside == sum(counts.values())
        return (inside > 0) == (self.quantifier == "any")


def exits_in(texts: Sequence[str]) -> tuple[Exit, ...]:
    """`QUANTIFIER,STATE,CODE` as conditions, in the order in which they are looked at.

    Raises:
        UsageError: one of them cannot be meant, with the words that can.
    """
    return tuple(map(_exit, texts))


def _exit(text: str) -> Exit:
    parts = [part.strip().lower() for part in text.split(",")]
    if len(parts) != 3:
        raise _refused(text, "it takes three parts: QUANTIFIER,STATE,CODE", "any,failed,1")
    quantifier, state, code = parts
    if quantifier not in _QUANTIFIERS:
        raise _refused(text, f"{quantifier!r} is no quantifier", ", ".join(_QUANTIFIERS))
    if state not in _STATES:
        raise _refused(text, f"{state!r} is no state", ", ".join(_STATES))
    if not (code.isascii() and code.isdigit() and int(code) <= 255):
        raise _refused(text, f"{code!r} is no exit code", "0 to 255")
    return Exit(quantifier, state, int(code))


def _refused(text: str, why: str, known: str) -> UsageError:
    return UsageError(f"--exit {text} cannot be used", why=why, hint=f"one of: {known}")
