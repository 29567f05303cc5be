"""The items as columns for the page: every text once, every number as short as it may be."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coordinator.domain.shown import for_terminal
from coordinator.reports.html.states import in_order, look_of
from coordinator.reports.rows import Row

MOST_ITEMS = 20_000
_MOST_BAD = 10_000
_MOST_SLOW = 1_000
_MOST_LOW = 1_000
_MOST_TRIES = 50  # of one item
_LONGEST = 400  # characters of one text; messages.json has them in full

_TEXTS = ("state", "kind", "source_language", "target_language", "step", "node", "reason")
_PLAIN = ("attempts", "line", "sentences", "tokens", "truncated", "memory_peak_bytes")
_SECONDS = ("wait_s", "work_s", "load_s", "model_s")


class Strings:
    """Texts by number, each kept once, with nothing in them that would not be seen."""

    def __init__(self) -> None:
        self.all: list[str] = []
        self._numbers: dict[str, int] = {}

    def number(self, text: str | None) -> int:
        """-1 for none."""
        if not text:
            return -1
        if (known := self._numbers.get(text)) is None:
            known = self._numbers[text] = len(self.all)
            self.all.append(for_terminal(text[:_LONGEST]))
        return known


@dataclass(frozen=True)
class Chosen:
    """The rows that the page has, and in words which it has not; "" = all are there."""

    rows: Sequence[Row]
    left_out: str


def choose(rows: Sequence[Row]) -> Chosen:
    """All rows, or of very many those that one looks for."""
    if len(rows) <= MOST_ITEMS:
        return Chosen(rows, "")
    bad = [row for row in rows if look_of(row["state"]).tone in ("bad", "warn")]
    slow = sorted(rows, key=lambda row: -(row["work_s"] or 0.0))[:_MOST_SLOW]
    low = sorted((r for r in rows if r["scores"]), key=_lowest)[:_MOST_LOW]
    kept = {row["item"]: row for row in (*bad[:_MOST_BAD], *slow, *low)}
    parts = f"{min(len(bad), _MOST_BAD):,} of the {len(bad):,} that went wrong, the slowest "
    parts += f"{len(slow):,} and the {len(low):,} with the lowest scores"
    return Chosen(
        sorted(kept.values(), key=lambda row: str(row["item"])),
        f"{len(rows) - len(kept):,} of {len(rows):,} items are left out here: the table has "
        f"{parts}. summary.csv has every item.",
    )


def _lowest(row: Row) -> float:
    return float(row["scores"][main_metric(row["scores"])])


def main_metric(metrics: Iterable[str]) -> str:
    """The one that is shown first."""
    known = sorted(metrics)
    return next((m for m in ("bleu", "chrf", "chrf++") if m in known), known[0] if known else "")


def columns_of(
    rows: Sequence[Row], metrics: Sequence[str], log_of: Callable[[str], str]
) -> dict[str, Any]:
    """The rows by column; plain JSON.

    Args:
        rows: of the items that are shown.
        metrics: whose scores the page has.
        log_of: folder of a dispatch -> the name of the log in it, or "".
    """
    strings = Strings()
    number = strings.number
    began = min((r["started_at"] for r in rows if r["started_at"] is not None), default=0.0)
    return {
        "began": began,
        "item": [for_terminal(row["item"]) for row in rows],
        **{name: [number(row[name]) for row in rows] for name in _TEXTS},
        **{name: [row[name] for row in rows] for name in _PLAIN},
        **{name: [_short(row[name]) for row in rows] for name in _SECONDS},
        "suspicious": [number(row["suspicious"]) for row in rows],
        "scores": [[_score(row["scores"].get(m)) for row in rows] for m in metrics],
        "tries": [_tries(row, number, log_of, began) for row in rows],
        "strings": strings.all,
    }


def _tries(
    row: Row, number: Callable[[str | None], int], log_of: Callable[[str], str], began: float
) -> list[list[Any]]:
    """step, number, state, kind, reason, node, folder, log, start, seconds, load, exit code."""
    return [
        [
            number(one["step"]),
            one["number"],
            number(one["state"]),
            number(one["kind"]),
            number(one["reason"]),
            number(one["node"]),
            number(one["folder"]),
            number(log_of(one["folder"])),
            None if one["started_at"] is None else round(one["started_at"] - began, 1),
            _duration(one),
            _short(one["load_s"]),
            one["exit_code"],
        ]
        for one in row["tries"][-_MOST_TRIES:]
    ]


def _duration(one: Mapping[str, Any]) -> float | None:
    known = one["started_at"] is not None and one["ended_at"] is not None
    return _short(one["ended_at"] - one["started_at"]) if known else None


def _short(value: float | None) -> float | None:
    """Three digits are enough to look at."""
    if value is None:
        return None
    return round(value, 2) if abs(value) < 100 else round(value, 1)


def _score(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(value, 3)


def state_counts(rows: Iterable[Row]) -> list[tuple[str, int]]:
    """(state, how many), in the order of the bar."""
    found: dict[str, int] = {}
    for row in rows:
        found[row["state"]] = found.get(row["state"], 0) + 1
    return sorted(found.items(), key=lambda pair: in_order(pair[0]))


def log_names(base: Path | None) -> Callable[[str], str]:
    """Folder of a dispatch -> the log that a link may name; "" where there is none."""
    known: dict[str, str] = {}

    def log_of(folder: str) -> str:
        if base is None:
            return ""
        if folder not in known:
            name = "worker.stderr.0"
            path = base / folder / name
            known[folder] = name if path.is_file() and not path.is_symlink() else ""
        return known[folder]

    return log_of
