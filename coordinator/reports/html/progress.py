"""How a batch went on over time, from the times of its attempts alone."""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from coordinator.reports.html.states import look_of
from coordinator.reports.rows import Row

_BINS = 120  # points of a curve
_BARS = 60
_EARLY = 30  # items: before so many are done (or a tenth of them) no end is estimated


@dataclass(frozen=True)
class Span:
    """When an item was in flight, in seconds since the epoch; `end` None = it still is."""

    start: float
    end: float | None
    tokens: int


@dataclass(frozen=True)
class Progress:
    """Curves over time; all times are seconds since the epoch.

    Attributes:
        in_flight: (time, most items that were started and not finished around it).
        finished: (from, to, items that ended, their tokens).
        estimates: (time, when the batch would have ended at the pace so far).
    """

    began: float
    until: float
    in_flight: tuple[tuple[float, int], ...]
    finished: tuple[tuple[float, float, int, int], ...]
    estimates: tuple[tuple[float, float], ...]


def progress_of(rows: Sequence[Row], now: float) -> Progress | None:
    """None where nothing has begun."""
    spans = [span for row in rows if (span := _span(row)) is not None]
    if not spans:
        return None
    began = min(span.start for span in spans)
    ends = sorted(span.end for span in spans if span.end is not None)
    is_over = len(ends) == len(spans)
    until = max(ends[-1] if is_over else now, began + 1.0)
    return Progress(
        began,
        until,
        tuple(_in_flight(spans, began, until)),
        tuple(_finished(spans, began, until)),
        tuple(_estimates(ends, len(rows), began, until)),
    )


def _span(row: Row) -> Span | None:
    tries: Sequence[Mapping[str, float | None]] = row["tries"]
    starts = [at for t in tries if (at := _known(t, "claimed_at", "started_at")) is not None]
    if not starts:
        return None
    ends = [at for t in tries if (at := _known(t, "ended_at", "job_ended_at")) is not None]
    over = look_of(row["state"]).is_over and bool(ends)
    start = min(starts)
    return Span(start, max(start, *ends) if over else None, row["tokens"] or 0)


def _known(one: Mapping[str, float | None], *names: str) -> float | None:
    """The first of these times that is known."""
    return next((at for name in names if (at := one[name]) is not None), None)


def _in_flight(spans: Sequence[Span], began: float, until: float) -> Iterator[tuple[float, int]]:
    """In each of so many slices of time, the most that were in flight at once."""
    changes = sorted(
        [(span.start, 1) for span in spans]
        + [(span.end, -1) for span in spans if span.end is not None]
    )
    width, level, place = (until - began) / _BINS, 0, 0
    for number in range(_BINS + 1):
        most, end = level, began + number * width
        while place < len(changes) and changes[place][0] <= end:
            level += changes[place][1]
            most = max(most, level)
            place += 1
        yield round(end, 1), most


def _finished(
    spans: Sequence[Span], began: float, until: float
) -> Iterator[tuple[float, float, int, int]]:
    width = (until - began) / _BARS
    items, tokens = [0] * _BARS, [0] * _BARS
    for span in spans:
        if span.end is not None:
            place = min(int((span.end - began) / width), _BARS - 1)
            items[place] += 1
            tokens[place] += span.tokens
    for number in range(_BARS):
        start = began + number * width
        yield round(start, 1), round(start + width, 1), items[number], tokens[number]


def _estimates(
    ends: Sequence[float], items: int, began: float, until: float
) -> Iterator[tuple[float, float]]:
    """At a time t with d of n items done: t + (n - d) / (d / (t - began))."""
    least = max(1, min(_EARLY, items // 10))
    for number in range(1, _BARS + 1):
        at = began + number * (until - began) / _BARS
        done = bisect_right(ends, at)
        if least <= done and at > began:
            yield round(at, 1), round(at + (items - done) * (at - began) / done, 1)
            if done == items:
                return
