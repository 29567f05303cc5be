"""Averages into, out of and within languages and groups of languages."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from coordinator.metrics.aggregate import Average, average
from coordinator.metrics.languages import LanguageTable

Scores = Mapping[str, Mapping[str, float]]  # item -> metric -> score
Directions = Mapping[str, tuple[str, str]]  # item -> source and target language; "" = not known

_WAYS = ("all", "into", "out of", "within")
_KINDS = ("", "language", "family", "script", "resource")

Key = tuple[str, str, str]


@dataclass(frozen=True)
class GroupAverage:
    """One metric's average over the directions of a group.

    Attributes:
        way: `into` or `out of` the group, `within` it (from one of its languages to another), or
            `all` directions.
        by: what groups them: `language`, `family`, `script`, `resource`; "" for all.
        group: such as `fra`, or `Turkic`.
    """

    way: str
    by: str
    group: str
    metric: str
    average: Average

    def to_json(self) -> dict[str, Any]:
        return {
            "way": self.way,
            "by": self.by,
            "group": self.group,
            "metric": self.metric,
            "average": self.average.value,
            "scored": self.average.present,
            "expected": self.average.expected,
        }


def group_averages(
    scores: Scores, directions: Directions, metrics: Sequence[str], table: LanguageTable
) -> list[GroupAverage]:
    """Every group's average of every metric, over all directions that are expected.

    Args:
        scores: of the items that have any.
        directions: all that are expected.
        metrics: in the order of the result.
        table: tells the groups; languages that it does not know are a group, `unknown`. A direction
            whose languages nobody knows may be of any group: it makes all of them incomplete.
    """
    members: defaultdict[Key, list[str]] = defaultdict(list)
    for item, languages in directions.items():
        if all(languages):
            for key in groups_of(*languages, table):
                members[key].append(item)
    anywhere = [item for item, languages in directions.items() if not all(languages)]
    members["all", "", ""] = members["all", "", ""]  # there, though nothing else is
    return [
        GroupAverage(*key, metric, _average(scores, items, anywhere, metric))
        for key, items in sorted(members.items(), key=lambda entry: place_of(entry[0]))
        for metric in metrics
    ]


def matrix(scores: Scores, directions: Directions, metric: str) -> list[list[str | float | None]]:
    """Sources down, targets across, a header first; None where there is no score.

    Where several items go the same way, it is their average, and None unless all have a score.
    """
    cells: defaultdict[tuple[str, str], dict[str, float | None]] = defaultdict(dict)
    for item, languages in directions.items():
        if all(languages):
            cells[languages][item] = scores.get(item, {}).get(metric)
    sources, targets = (sorted({languages[end] for languages in cells}) for end in (0, 1))
    rows: list[list[str | float | None]] = [["source", *targets]]
    for source in sources:
        row = (average(cells.get((source, target), {})).value for target in targets)
        rows.append([source, *row])
    return rows


def groups_of(source: str, target: str, table: LanguageTable) -> Iterator[Key]:
    """Every group that a direction is of, as (way, by, group)."""
    yield "all", "", ""
    ends = [_properties(language, table) for language in (source, target)]
    for by in _KINDS[1:]:
        out_of, into = ends[0][by], ends[1][by]
        yield "into", by, into
        yield "out of", by, out_of
        if into == out_of and by != "language":
            yield "within", by, into


def place_of(key: Key) -> tuple[int, int, str]:
    """Where a group stands among all, to sort by."""
    return _WAYS.index(key[0]), _KINDS.index(key[1]), key[2]


def _average(scores: Scores, items: Sequence[str], anywhere: Sequence[str], metric: str) -> Average:
    known = {item: scores.get(item, {}).get(metric) for item in items}
    return average(known | dict.fromkeys(anywhere))


def _properties(code: str, table: LanguageTable) -> dict[str, str]:
    return {"language": code} | vars(table.find(code))
