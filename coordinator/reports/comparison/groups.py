"""Differences by language and groups of languages: into, out of and within each."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from coordinator.metrics import LanguageTable
from coordinator.metrics.groups import Key, groups_of, place_of
from coordinator.reports.directions import Directions

Pairs = Mapping[str, tuple[float, float]]  # item -> its score in A and in B


@dataclass(frozen=True)
class GroupDifference:
    """One metric over the items of a group that both batches have a score of.

    Attributes:
        way: `into` or `out of` the group, or `within` it.
        by: `language`, `family`, `script` or `resource`.
        group: such as `fra`, or `Turkic`.
        a, b: means.
        better, worse: items on which B is, and it is more than chance.
    """

    way: str
    by: str
    group: str
    metric: str
    items: int
    a: float
    b: float
    better: int
    worse: int

    @property
    def difference(self) -> float:
        """Mean of B minus mean of A; for TER, less is better."""
        return self.b - self.a

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "difference": self.difference}


def group_differences(
    metric: str,
    pairs: Pairs,
    directions: Directions,
    verdicts: Mapping[str, str],
    table: LanguageTable,
) -> list[GroupDifference]:
    """Every group's means of one metric; items whose languages nobody knows are of none.

    Args:
        metric: its name.
        pairs: of the items that both have a score of.
        directions: item -> its languages.
        verdicts: item -> `better`, `worse` or `unclear`, of those that were tested.
        table: tells the groups; languages that it does not know are a group, `unknown`.
    """
    members: defaultdict[Key, list[str]] = defaultdict(list)
    for item in pairs:
        for key in _groups(directions.get(item, ("", "")), table):
            members[key].append(item)
    return [
        _difference(key, metric, items, pairs, verdicts)
        for key, items in sorted(members.items(), key=lambda entry: place_of(entry[0]))
    ]


def _groups(languages: tuple[str, str], table: LanguageTable) -> Iterator[Key]:
    """All but the one that all are of."""
    if all(languages):
        yield from (key for key in groups_of(*languages, table) if key[1])


def _difference(
    key: Key, metric: str, items: Sequence[str], pairs: Pairs, verdicts: Mapping[str, str]
) -> GroupDifference:
    counts = Counter(verdicts.get(item, "") for item in items)
    a, b = (_mean(pairs[item][end] for item in items) for end in (0, 1))
    return GroupDifference(*key, metric, len(items), a, b, counts["better"], counts["worse"])


def _mean(values: Iterable[float]) -> float:
    """Of one value or more."""
    found = list(values)
    return math.fsum(found) / len(found)
