"""Failures grouped by what they have in common, the most frequent first."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from coordinator.domain.alike import normalised
from coordinator.domain.states import FailureKind
from coordinator.reports.explain import Message


@dataclass(frozen=True)
class ErrorGroup:
    """Failures of one kind that differ in numbers, ids and paths only.

    Attributes:
        error: the message; with `<n>`, `<path>` and so on where the messages differ.
        item, file, line: an example.
    """

    kind: FailureKind
    error: str
    count: int
    item: str
    file: str
    line: int | None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def grouped(messages: Iterable[Message]) -> tuple[ErrorGroup, ...]:
    """Groups of messages, by count; among equals by kind and text, so that the order is fixed."""
    found: defaultdict[tuple[FailureKind, str], list[Message]] = defaultdict(list)
    for message in messages:
        found[message.kind, normalised(message.message, message.item)].append(message)
    groups = [_group(kind, text, members) for (kind, text), members in found.items()]
    return tuple(sorted(groups, key=lambda g: (-g.count, g.kind, g.error)))


def _group(kind: FailureKind, text: str, members: list[Message]) -> ErrorGroup:
    example = members[0]
    same = all(member.message == example.message for member in members)
    error = example.message if same else text
    return ErrorGroup(kind, error, len(members), example.item, example.file, example.line)
