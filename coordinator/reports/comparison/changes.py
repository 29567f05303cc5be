"""Which items stand elsewhere in the second batch than in the first."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from coordinator.reports.history import ItemReport

ABSENT = "absent"  # not on the batch's run list


@dataclass(frozen=True, order=True)
class State:
    """Where an item stands. `kind`: why it failed; "" unless it did."""

    name: str
    kind: str = ""

    def __str__(self) -> str:
        return f"{self.name} ({self.kind})" if self.kind else self.name


@dataclass(frozen=True)
class Change:
    """Items that went the same way from the first batch to the second, sorted."""

    before: State
    after: State
    items: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "before": self.before.name,
            "before_kind": self.before.kind,
            "after": self.after.name,
            "after_kind": self.after.kind,
            "count": len(self.items),
            "items": list(self.items),
        }


def states_of(reports: Iterable[ItemReport]) -> dict[str, State]:
    """Item -> where it stands."""
    return {r.item: State(str(r.standing), str(r.kind or "")) for r in reports}


def changes_of(before: Mapping[str, State], after: Mapping[str, State]) -> tuple[Change, ...]:
    """All items whose state is not the same in both, the most frequent change first."""
    found: defaultdict[tuple[State, State], list[str]] = defaultdict(list)
    for item in sorted(before.keys() | after.keys()):
        pair = before.get(item, State(ABSENT)), after.get(item, State(ABSENT))
        if pair[0] != pair[1]:
            found[pair].append(item)
    ordered = sorted(found.items(), key=lambda entry: (-len(entry[1]), entry[0]))
    return tuple(Change(*pair, tuple(items)) for pair, items in ordered)
