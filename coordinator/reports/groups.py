"""Failures grouped by what they have in common, the most frequent first."""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from coordinator.domain.states import FailureKind
from coordinator.reports.explain import Message

_PATH = re.compile(r"""(?<![\w/.])(?:[a-z][a-z0-9+]{1,9}:/|~|\.{1,2})?(?:/[^\s/'"<>:,;()]+)+/?""")
_HEX = re.compile(
    r"\b0x[0-9a-fA-F]+\b|\b(?=[0-9a-f-]*[a-f])(?=[0-9a-f-]*\d)[0-9a-f]{8}[0-9a-f-]*\b"
)
# Exit codes and signals are what tells failures apart.
_NUMBER = re.compile(r"(?<!exit code )(?<!exit )(?<!signal )(?<![\w.])[+-]?\d+(?:[.,:]\d+)*")


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


def normalised(text: str, item: str) -> str:
    """`text` without what differs between two failures of the same cause."""
    text = re.sub(rf"(?<!\w){re.escape(item)}(?!\w)", "<item>", text)
    text = _PATH.sub("<path>", text)
    text = _HEX.sub("<hex>", text)
    return _NUMBER.sub("<n>", text)


def _group(kind: FailureKind, text: str, members: list[Message]) -> ErrorGroup:
    example = members[0]
    same = all(member.message == example.message for member in members)
    error = example.message if same else text
    return ErrorGroup(kind, error, len(members), example.item, example.file, example.line)
