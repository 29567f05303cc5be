"""What the page is made from: the report, and what only the batch's ledger knows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from coordinator.reports.resources import Usage
from coordinator.reports.rows import Row
from coordinator.reports.summary import Summary


@dataclass(frozen=True)
class Moment:
    """Something that happened to the batch as a whole, at `at` seconds since the epoch."""

    at: float
    action: str
    why: str = ""


@dataclass(frozen=True)
class History:
    """What the ledger adds to the logs.

    Attributes:
        moments: in order of time.
        languages: item -> source and target language.
        driven_by: who drives the batch now; None = nobody on this machine.
    """

    moments: tuple[Moment, ...] = ()
    languages: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    driven_by: str | None = None


@dataclass(frozen=True)
class PageWish:
    """That a page is wanted, with what the logs do not know. `now`: seconds since the epoch."""

    now: float
    history: History | None = None


@dataclass(frozen=True)
class Inputs:
    """Everything that the page shows.

    Attributes:
        rows: one for each item of the run list.
        record: `batch.json` as far as it can be read; it is shown, and not trusted.
        signatures: metric -> how exactly it was computed; several where they differ.
        log_dir: the folder of the logs; None where no link can lead there.
        report_dir: where the page is going to lie.
        now: seconds since the epoch.
    """

    summary: Summary
    rows: Sequence[Row]
    record: Mapping[str, Any]
    usages: Sequence[Usage]
    signatures: Mapping[str, tuple[str, ...]]
    log_dir: Path | None
    report_dir: Path
    now: float
    history: History | None = None
