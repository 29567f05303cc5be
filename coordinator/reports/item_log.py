"""What a worker's log says of one item of its pack, line by line.

A worker says of each item in its own lines how it ended, and of each batch of sentences which items
it held. What the model prints stands in lines of their own kind, with the items that were in hand.
All else on standard error comes from a command, or from a model in the worker's own process: there
items are worked off in their order, so it belongs to the one that was in hand, or before the worker
was ready to all of them.
"""

import json
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from coordinator.domain.log_events import BATCH, MODEL_SAID
from coordinator.reports.batch_line import batch_in_words

_ENDS = ("item done", "item failed", "item was done before")
_OWN = ("dispatch", "step")  # what tells the worker's lines from JSON that a model prints
_BEGIN = '{"dispatch": "'  # of most lines of a worker
_NOT_SHOWN = frozenset({*_OWN, "item", "level", "time", "event", "traceback"})


class ItemLog:
    """Picks the lines of one item. To be fed the lines of standard error in their order."""

    def __init__(self, item: str, pack: Sequence[str], *, only_model: bool) -> None:
        """`pack`: the ids of all items, in the order of the handoff."""
        self._item, self._only_model = item, only_model
        self._next = dict(pairwise(pack))
        self._in_hand: str | None = pack[0]
        self._ready = False
        self.ended = False  # the worker is done with the item

    def feed(self, line: str) -> Iterator[str]:
        """What is to be shown of the next line."""
        at = line.find(_BEGIN)
        if at > 0 and _worker_line(line[at:]):  # the model's last line had no end
            yield from self._take(line[:at])
            line = line[at:]
        yield from self._take(line)

    def _take(self, line: str) -> Iterator[str]:
        fields = _worker_line(line)
        if fields is None:
            if not self._ready or self._in_hand == self._item:
                yield _shown(line)
            return
        yield from self._said(fields)
        self._follow(fields)

    def _is_about(self, fields: dict[str, Any]) -> bool:
        """Whether a line names this item, or none."""
        items = fields.get("items")
        if isinstance(items, list):
            return self._item in items
        return fields.get("item") in (None, self._item)

    def _said(self, fields: dict[str, Any]) -> Iterator[str]:
        about = fields.get("item")
        if not self._is_about(fields):
            return
        if fields["event"] == MODEL_SAID:
            yield _shown(str(fields.get("line", "")))
            return
        if not self._only_model:
            yield _in_words(fields)
            yield from _traceback(fields)
        elif about is not None and fields["event"] == "item failed":
            yield from _traceback(fields) or [_shown(str(fields.get("error", "")))]

    def _follow(self, fields: dict[str, Any]) -> None:
        """Know which item is in hand after this line."""
        self._ready = self._ready or fields["event"] == "ready"
        item = fields.get("item")
        if fields["event"] in _ENDS and isinstance(item, str):
            self._ready = True
            self._in_hand = self._next.get(item)
            self.ended = self.ended or item == self._item


def _worker_line(line: str) -> dict[str, Any] | None:
    if not line.startswith("{"):
        return None
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(fields, dict) or not isinstance(fields.get("event"), str):
        return None
    return fields if any(key in fields for key in _OWN) or "level" in fields else None


def _in_words(fields: dict[str, Any]) -> str:
    """`16:02:11 item failed  kind=model_error`: a line of the worker's own."""
    moment = str(fields.get("time", ""))[11:19]
    if fields["event"] == BATCH:
        return _shown(f"{moment} {batch_in_words(fields)}".strip())
    rest = "".join(f"  {key}={value}" for key, value in fields.items() if key not in _NOT_SHOWN)
    return _shown(f"{moment} {fields['event']}{rest}".strip())


def _traceback(fields: dict[str, Any]) -> list[str]:
    lines = fields.get("traceback")
    return [_shown(str(line)) for line in lines] if isinstance(lines, list) else []


def _shown(line: str) -> str:
    """What a terminal would have left of a progress bar; its indentation stays."""
    return line.rstrip("\r\n").rpartition("\r")[2].expandtabs(4)
