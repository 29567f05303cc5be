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
        first, last: when the first and the last of them ended, in seconds since the epoch; None
            where no time is known.
    """

    kind: FailureKind
    error: str
    count: int
    item: str
    file: str
    line: int | None
    first: float | None = None
    last: float | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def by_error(messages: Iterable[Message]) -> dict[tuple[FailureKind, str], list[Message]]:
    """Kind and normalised text -> the messages that are the same error."""
    found: defaultdict[tuple[FailureKind, str], list[Message]] = defaultdict(list)
    for message in messages:
        found[message.kind, normalised(message.message, message.item)].append(message)
    return dict(found)


def grouped(messages: Iterable[Message]) -> tuple[ErrorGroup, ...]:
    """Groups of messages, by count; among equals by kind and text, so that the order is fixed."""
    groups = [_group(kind, text, members) for (kind, text), members in by_error(messages).items()]
    return tuple(sorted(groups, key=lambda g: (-g.count, g.kind, g.error)))


def _group(kind: FailureKind, text: str, members: list[Message]) -> ErrorGroup:
    example = members[0]
    same = all(member.message == example.message for member in members)
    error = example.message if same else text
    times = [member.at for member in members if member.at is not None]
    return ErrorGroup(
        kind,
        error,
        len(members),
        example.item,
        example.file,
        example.line,
        min(times, default=None),
        max(times, default=None),
    )
