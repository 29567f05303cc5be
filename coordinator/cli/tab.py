"""How far a batch is, on the terminal's tab or in the task bar: ConEmu's sequence OSC 9;4.

Some terminals take every OSC 9 for a notice to be shown: only those that are known to mean progress
by it get one.
"""

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import IO

from coordinator.cli.picture import is_asked
from coordinator.domain.states import ItemState
from coordinator.engine import Snapshot

_NORMAL, _ERROR, _PAUSED = 1, 2, 4
_NOTHING = "\x1b]9;4;0;0\x1b\\"
_PROGRAMS = {"WezTerm", "ghostty"}
_WITHOUT = ("TMUX", "STY")  # they pass no such sequence on


class Tab:
    """Says on the terminal's tab how far a batch is; silent where it is no such terminal."""

    def __init__(self, stream: IO[str], environment: Mapping[str, str] = os.environ) -> None:
        self._stream = stream
        self._shown = ""
        self._can = stream.isatty() and shows_progress(environment)

    def show(self, snapshot: Snapshot, *, is_driven: bool = True) -> None:
        if self._can:
            self._write(sequence(snapshot, is_driven=is_driven))

    def close(self) -> None:
        """The tab is as it was; nothing to do where nothing was shown."""
        if self._shown:
            self._write(_NOTHING)

    def _write(self, text: str) -> None:
        if text == self._shown:
            return
        with suppress(OSError, ValueError):  # a terminal that was closed stops nothing
            self._stream.write(text)
            self._stream.flush()
        self._shown = text


def sequence(snapshot: Snapshot, *, is_driven: bool = True) -> str:
    """The share of items that are over: red where some failed, yellow where nothing can go on."""
    total = sum(snapshot.tally.items.values())
    share = 100 * snapshot.finished // total if total else 100
    state = _ERROR if snapshot.tally.items.get(ItemState.FAILED) else _NORMAL
    waits = is_asked(snapshot) or snapshot.stuck or snapshot.credentials or snapshot.trouble
    if waits or not is_driven:
        state = _PAUSED
    return f"\x1b]9;4;{state};{share}\x1b\\"


def shows_progress(environment: Mapping[str, str]) -> bool:
    """Whether the terminal is known to show progress: by what it says of itself."""
    if environment.get("TERM") == "dumb" or any(environment.get(name) for name in _WITHOUT):
        return False
    return bool(
        environment.get("WT_SESSION")
        or environment.get("ConEmuANSI") == "ON"
        or environment.get("TERM_PROGRAM") in _PROGRAMS
        or _has_progress_feature(environment.get("TERM_FEATURES", ""))
    )


def _has_progress_feature(features: str) -> bool:
    """Whether iTerm2's list of features, such as `T3LrMSc7UUw9Ts3BFGsSyHNoSxF`, has P in it."""
    return "P" in re.findall("[A-Z][a-z]*", features)
