"""All that a comparison of two batches found."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from coordinator.reports.compare import ComparisonRow
from coordinator.reports.comparison.changes import Change
from coordinator.reports.comparison.facts import BatchFacts, directions_of_both
from coordinator.reports.comparison.groups import GroupDifference
from coordinator.reports.comparison.legend import Legend
from coordinator.reports.directions import Directions
from coordinator.reports.significance import LEVEL, Difference, Untested


@dataclass(frozen=True)
class PairedTests:
    """All paired tests of two batches.

    Attributes:
        test: `bootstrap` or `randomization`.
        seed: of the generator; None = another one for each test.
        samples: resamples or trials of each test.
        tests: by metric, then in the order of the items.
    """

    test: str
    seed: int | None
    samples: int
    tests: tuple[Difference, ...]
    untested: tuple[Untested, ...]

    def verdicts(self, metric: str) -> Mapping[str, str]:
        """Item -> verdict."""
        return {test.item: test.verdict for test in self.tests if test.metric == metric}

    @property
    def most_items(self) -> int:
        """That were tested in one metric."""
        counts = Counter(test.metric for test in self.tests)
        return max(counts.values(), default=0)

    @property
    def fewest(self) -> int:
        """How many of these must have the least p-value that there can be, 1 / (samples + 1), for
        the correction to call any of them more than chance.
        """
        return math.floor(self.most_items / LEVEL / (self.samples + 1)) + 1

    def to_json(self) -> dict[str, Any]:
        verdicts = [{**asdict(test), "verdict": test.verdict} for test in self.tests]
        return {**asdict(self), "tests": verdicts}


@dataclass(frozen=True)
class Comparison:
    """Two batches side by side.

    Attributes:
        rows: a metric each, over the items that both have a score of.
        legend: the signatures of each metric; none = nobody knows them here.
        tests: None = not asked for, or not possible.
        groups: by metric, then by way and group.
        changes: of items that do not stand in B where they stand in A.
        other_references: items that were not scored against the same references in both.
        unknown: why nothing could be tested; "" = it could, or was not asked for.
    """

    a: BatchFacts
    b: BatchFacts
    rows: tuple[ComparisonRow, ...]
    legend: tuple[Legend, ...]
    tests: PairedTests | None
    groups: tuple[GroupDifference, ...]
    changes: tuple[Change, ...]
    other_references: tuple[str, ...] = ()
    unknown: str = ""

    @cached_property
    def common(self) -> tuple[str, ...]:
        """Items that both have scores of."""
        return tuple(sorted(self.a.scores.keys() & self.b.scores.keys()))

    @cached_property
    def only_a(self) -> tuple[str, ...]:
        return tuple(sorted(self.a.scores.keys() - self.b.scores.keys()))

    @cached_property
    def only_b(self) -> tuple[str, ...]:
        return tuple(sorted(self.b.scores.keys() - self.a.scores.keys()))

    @property
    def metrics(self) -> list[str]:
        return [row.metric for row in self.rows]

    @cached_property
    def directions(self) -> Directions:
        """Item -> source and target language, where they are known."""
        return directions_of_both(self.a, self.b)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON; every number is one, and what is not known is null."""
        document = {
            "a": self.a.batch,
            "b": self.b.batch,
            "limited_a": self.a.limited,
            "limited_b": self.b.limited,
            "rows": [{**asdict(row), "difference": row.difference} for row in self.rows],
            "signatures": [asdict(entry) for entry in self.legend],
            "groups": [group.to_json() for group in self.groups],
            "changes": [change.to_json() for change in self.changes],
            "pace_a": self.a.pace.to_json(),
            "pace_b": self.b.pace.to_json(),
            "common": list(self.common),
            "only_a": list(self.only_a),
            "only_b": list(self.only_b),
            "other_references": list(self.other_references),
            "unknown": self.unknown,
        }
        return document | ({"significance": self.tests.to_json()} if self.tests else {})
