"""What the dispatches did with their time: lanes of load, work and idle on each node."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from coordinator.domain.shown import for_terminal
from coordinator.reports.rows import Row

MOST_LANES = 40
_LONGEST = 100  # characters of a node's name
_SLICES = 400  # of the time that a lane shows
LOAD, WORK, IDLE = "load", "work", "idle"

Interval = tuple[float, float]  # seconds since the epoch


@dataclass
class Job:
    """A dispatch; times are seconds since the epoch.

    Attributes:
        load: seconds until its model was there.
        begun: when its items were worked on; they overlap where it works on several at once.
    """

    step: str
    name: str
    node: str
    load: float = 0.0
    ended: float | None = None
    begun: list[Interval] = field(default_factory=list)

    @property
    def work(self) -> list[Interval]:
        return merged(self.begun)

    @property
    def alive(self) -> Interval:
        """From the start of loading to the end of the job."""
        work = self.work
        last = work[-1][1]
        end = self.ended if self.ended is not None else last
        return work[0][0] - self.load, max(end, last)

    @property
    def seconds(self) -> dict[str, float]:
        """What it did -> seconds; the parts add up to its life."""
        start, end = self.alive
        work = sum(b - a for a, b in self.work)
        return {LOAD: self.load, WORK: work, IDLE: max(0.0, end - start - self.load - work)}


@dataclass(frozen=True)
class Lane:
    """A place on a node where one job at a time ran."""

    name: str
    segments: tuple[tuple[str, float, float], ...]  # what, from, to


def jobs_of(rows: Iterable[Row]) -> list[Job]:
    """The dispatches in which an item was worked on."""
    found: dict[str, Job] = {}
    for row in rows:
        for one in row["tries"]:
            if one["started_at"] is not None:
                _add(found, one)
    return list(found.values())


def _add(found: dict[str, Job], one: Mapping[str, Any]) -> None:
    job = found.setdefault(one["folder"], Job(one["step"], one["dispatch"], one["node"] or "?"))
    job.begun.append((one["started_at"], max(one["started_at"], one["ended_at"])))
    job.load = max(job.load, one["load_s"] or 0.0)
    job.ended = one["job_ended_at"]


def merged(intervals: Iterable[Interval]) -> list[Interval]:
    """Their union, in order."""
    found: list[Interval] = []
    for start, end in sorted(intervals):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found


def lanes_of(jobs: Sequence[Job]) -> list[Lane]:
    """The lanes by node, at most MOST_LANES; each is told in so many slices of the whole time."""
    if not jobs:
        return []
    lives = [job.alive for job in jobs]
    began, until = min(a for a, _ in lives), max(b for _, b in lives)
    places = _places(jobs)
    names = sorted(places)[:MOST_LANES]
    return [
        Lane(
            f"{for_terminal(node[:_LONGEST])} {number}",
            tuple(_segments(places[node, number], began, until)),
        )
        for node, number in names
    ]


def _named(node: str, number: int) -> str:
    return f"{for_terminal(node[:_LONGEST])} {number}"


def lane_count(jobs: Sequence[Job]) -> int:
    return len(_places(jobs))


def _places(jobs: Iterable[Job]) -> dict[tuple[str, int], list[Job]]:
    """(node, number) -> its jobs: each job takes the first place of its node that is free.

    It is free again when the last item is done: that a job has ended is noticed later.
    """
    free: defaultdict[str, list[float]] = defaultdict(list)
    found: defaultdict[tuple[str, int], list[Job]] = defaultdict(list)
    for job in sorted(jobs, key=lambda job: job.alive):
        start, ends = job.alive[0], free[job.node]
        place = next((n for n, busy in enumerate(ends) if busy <= start), len(ends))
        ends[place : place + 1] = [job.work[-1][1]]
        found[job.node, place + 1].append(job)
    return found


def _segments(
    jobs: Iterable[Job], began: float, until: float
) -> Iterator[tuple[str, float, float]]:
    """Of each slice what most of it was; like neighbours are one."""
    width = max(until - began, 1e-3) / _SLICES
    slices: list[dict[str, float]] = [{} for _ in range(_SLICES)]
    for job in jobs:
        start, end = job.alive
        _fill(slices, width, IDLE, (start - began, end - began), 1e-3)
        _fill(slices, width, LOAD, (start - began, start + job.load - began))
        for a, b in job.work:
            _fill(slices, width, WORK, (a - began, b - began))
    words = [max(one, key=lambda w: one[w]) if one else "" for one in slices]
    for word, run in groupby(enumerate(words), key=lambda pair: pair[1]):
        places = [place for place, _ in run]
        if word:
            yield word, began + places[0] * width, began + (places[-1] + 1) * width


def _fill(
    slices: list[dict[str, float]], width: float, word: str, span: Interval, weight: float = 1.0
) -> None:
    """Add to each slice how much of `span` lies in it; idle only counts where nothing else is."""
    first, last = int(span[0] / width), int(span[1] / width)
    for place in range(max(first, 0), min(last, len(slices) - 1) + 1):
        inside = min(span[1], (place + 1) * width) - max(span[0], place * width)
        if inside > 0:
            slices[place][word] = slices[place].get(word, 0.0) + inside * weight
