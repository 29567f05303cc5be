"""What a check-up found, one line each."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"  # it runs, but not as well or as safely as it could
    FAIL = "FAIL"  # it will not run


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. `change`: what to do about it; "" = nothing."""

    level: Level
    about: str
    found: str
    change: str = ""


def ok(about: str, found: str) -> Finding:
    return Finding(Level.OK, about, found)


def warn(about: str, found: str, change: str) -> Finding:
    return Finding(Level.WARN, about, found, change)


def fail(about: str, found: str, change: str) -> Finding:
    return Finding(Level.FAIL, about, found, change)
