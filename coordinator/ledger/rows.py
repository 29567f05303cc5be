"""Rows of the ledger as nouns; a sqlite3.Row stops here."""

import json
import sqlite3
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from coordinator.domain.handoff import FileRecord
from coordinator.domain.items import WorkItem
from coordinator.domain.states import DONE_ITEMS, AttemptState, FailureKind, ItemState


@dataclass(frozen=True)
class Dispatch:
    """One job sent, or about to be sent, to the cluster."""

    id: int
    step: int
    name: str
    token: str = field(repr=False)
    state: AttemptState | None  # None = ended
    job_id: str | None
    stop_reason: str
    memory_step: int
    size: int  # attempts in it
    claimed_at: float
    submitted_at: float | None
    ended_at: float | None
    node: str = ""  # where it was first seen to run

    @classmethod
    def of(cls, row: sqlite3.Row) -> "Dispatch":
        """A row, of a ledger of any format: one of format 1 has no nodes."""
        state = row["state"]
        return cls(
            row["id"],
            row["step"],
            row["name"],
            row["token"],
            None if state == "ended" else AttemptState(state),
            row["job_id"],
            row["stop_reason"],
            row["memory_step"],
            row["size"],
            row["claimed_at"],
            row["submitted_at"],
            row["ended_at"],
            row["node"] if "node" in row.keys() else "",  # noqa: SIM118
        )

    @classmethod
    def claimed(
        cls,
        *,
        number: int,
        step: int,
        name: str,
        token: str,
        memory_step: int,
        size: int,
        now: float,
    ) -> "Dispatch":
        """One that the cluster has not heard of yet."""
        return cls(
            id=number,
            step=step,
            name=name,
            token=token,
            state=AttemptState.CLAIMED,
            job_id=None,
            stop_reason="",
            memory_step=memory_step,
            size=size,
            claimed_at=now,
            submitted_at=None,
            ended_at=None,
        )


@lru_cache(4096)  # one item's attempts are read many times between claim and end
def _item(document: str) -> WorkItem:
    return WorkItem.from_json(json.loads(document))


@dataclass(frozen=True)
class Attempt:
    """One try of one step for one item."""

    id: int
    item: WorkItem
    seq: int
    step: int
    number: int
    round: int
    state: AttemptState
    sort_key: str
    memory_step: int
    fresh: bool

    @classmethod
    def of(cls, row: sqlite3.Row) -> "Attempt":
        return cls(
            id=row["id"],
            item=_item(row["document"]),
            seq=row["item"],
            step=row["step"],
            number=row["number"],
            round=row["round"],
            state=AttemptState(row["state"]),
            sort_key=row["sort_key"],
            memory_step=row["memory_step"],
            fresh=bool(row["fresh"]),
        )


@dataclass(frozen=True)
class Retry:
    """What follows an attempt: another one of the same step."""

    wait_seconds: float = 0.0
    memory_step: int = 0


@dataclass(frozen=True)
class NextStep:
    """What follows an attempt: the first of the next step."""

    sort_key: str = ""


@dataclass(frozen=True)
class Finish:
    """What follows an attempt: the end of its item."""

    state: ItemState
    kind: FailureKind | None = None


Sequel = Retry | NextStep | Finish


@dataclass(frozen=True)
class AttemptEnd:
    """The end of one attempt and what follows from it."""

    attempt: Attempt
    state: AttemptState
    sequel: Sequel
    kind: FailureKind | None = None
    reason: str = ""
    files: tuple[FileRecord, ...] = ()


@dataclass(frozen=True)
class ItemRow:
    """An item and its newest attempt."""

    id: str
    seq: int
    state: ItemState
    step: int
    kind: FailureKind | None
    attempts: int
    reason: str
    dispatch: str | None
    round: int = 1

    @classmethod
    def of(cls, row: sqlite3.Row) -> "ItemRow":
        return cls(
            id=row["id"],
            seq=row["seq"],
            state=ItemState(row["state"]),
            step=row["step"],
            kind=FailureKind(row["kind"]) if row["kind"] else None,
            attempts=row["number"] or 0,
            reason=row["reason"] or "",
            dispatch=row["dispatch_name"],
            round=row["round"],
        )


@dataclass(frozen=True)
class ItemCost:
    """What an item costs, in tokens, and where it stands."""

    cost: int
    step: int
    is_left: bool  # whether it is still to be worked on, at `step` and after it


@dataclass(frozen=True)
class Tally:
    """Counts of everything, at one moment."""

    items: dict[ItemState, int]
    standing: dict[tuple[int, ItemState], int]  # (step, state) -> items
    failed_at: dict[int, int]  # step -> failed items
    failed_kinds: dict[str, int]
    attempts: dict[tuple[int, AttemptState], int]  # (step, state) -> attempts
    costs: dict[tuple[int, AttemptState], int] = field(default_factory=dict)  # the same -> tokens

    @property
    def in_flight(self) -> int:
        return self.items.get(ItemState.IN_FLIGHT, 0)

    @property
    def total(self) -> int:
        return sum(self.items.values())

    def past(self, step: int) -> int:
        """How many items have done `step`, and are not to do it again."""
        return sum(
            count
            for (at, state), count in self.standing.items()
            if at > step or (at == step and state in DONE_ITEMS)
        )

    def of_step(self, step: int, *states: AttemptState) -> int:
        return sum(self.attempts.get((step, state), 0) for state in states)

    def cost_of_step(self, step: int, *states: AttemptState) -> int:
        """What the items of these attempts cost, in tokens."""
        return sum(self.costs.get((step, state), 0) for state in states)


@dataclass(frozen=True)
class Event:
    """One line of the batch's history."""

    id: int
    at: float
    action: str
    dispatch: int | None
    attempt: int | None
    old: str | None
    new: str | None
    why: str

    @classmethod
    def of(cls, row: sqlite3.Row) -> "Event":
        return cls(**{name: row[name] for name in row.keys()})  # noqa: SIM118


def tally_of(items: list[sqlite3.Row], attempts: list[sqlite3.Row]) -> Tally:
    counts: dict[ItemState, int] = {}
    standing: dict[tuple[int, ItemState], int] = {}
    failed_at: dict[int, int] = {}
    kinds: dict[str, int] = {}
    for row in items:
        state = ItemState(row["state"])
        counts[state] = counts.get(state, 0) + row["n"]
        at = (row["step"], state)
        standing[at] = standing.get(at, 0) + row["n"]
        if state is ItemState.FAILED:
            failed_at[row["step"]] = failed_at.get(row["step"], 0) + row["n"]
            kinds[row["kind"]] = kinds.get(row["kind"], 0) + row["n"]
    tries: dict[tuple[int, AttemptState], int] = {
        (row["step"], AttemptState(row["state"])): row["n"] for row in attempts
    }
    costs = {key: _cost(row) for key, row in zip(tries, attempts, strict=True)}
    return Tally(counts, standing, failed_at, kinds, tries, costs)


def _cost(row: sqlite3.Row) -> int:
    """Before format 3, each item counts 1."""
    cost: int = row["cost" if "cost" in row.keys() else "n"]  # noqa: SIM118
    return cost


def files_json(files: tuple[FileRecord, ...]) -> str:
    return json.dumps([file.model_dump() for file in files])


def files_of(text: str) -> tuple[FileRecord, ...]:
    documents: list[dict[str, Any]] = json.loads(text)
    return tuple(FileRecord(**document) for document in documents)
