"""How each state is shown: a shape, a word and a colour, so that none of them is needed alone."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Look:
    """A state as it is shown. `tone` is a class of the style sheet."""

    name: str
    word: str
    shape: str
    tone: str
    is_over: bool = True  # nothing more is going to happen by itself


LOOKS = (
    Look("succeeded", "succeeded", "●", "good"),
    Look("early_exit", "early exit", "◐", "mild"),
    Look("failed", "failed", "✕", "bad"),
    Look("running", "running", "▶", "live", is_over=False),
    Look("partial", "partial", "◧", "live", is_over=False),
    Look("unfinished", "unfinished", "?", "warn", is_over=False),
    Look("still_running", "still running", "▶", "live", is_over=False),
    Look("queued", "queued", "◷", "idle", is_over=False),
    Look("not_run", "not run", "○", "idle", is_over=False),
)
_BY_NAME = {look.name: look for look in LOOKS}
_PLACES = {look.name: place for place, look in enumerate(LOOKS)}


def look_of(state: str) -> Look:
    """How to show a state, one that is not known here included."""
    return _BY_NAME.get(state) or Look(state, state.replace("_", " "), "?", "warn")


def in_order(state: str) -> int:
    """For sorting: good news first, as in the bar."""
    return _PLACES.get(state, len(LOOKS))
