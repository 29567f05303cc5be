"""A worker's log: one JSON object a line on standard error.

What the model prints is in it too, where it comes through the worker: as `line` of an event of its
own, so that it cannot be taken for the worker's, whatever it looks like.
It is written here: loading a logging library would take as long as all else of a worker's start.
"""

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from coordinator.domain.log_events import MODEL_SAID
from coordinator.workers.discretion import told


class WorkerLog:
    """Writes lines that all hold the fields it was made with."""

    def __init__(self, **fields: Any) -> None:
        self._fields = fields

    def info(self, event: str, **fields: Any) -> None:
        self._write("info", event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        self._write("warning", event, fields)

    def error(self, event: str, **fields: Any) -> None:
        self._write("error", event, fields)

    def model(self, line: str, items: Sequence[str] = ()) -> None:
        """A line that the model printed while it had these items in hand; () = not known which."""
        about = {"items": list(items)} if items else {}
        self._write("info", MODEL_SAID, {**about, "line": line})

    def _write(self, level: str, event: str, fields: dict[str, Any]) -> None:
        time = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        entry = {**self._fields, **fields, "event": event, "level": level, "time": time}
        line = json.dumps(entry, ensure_ascii=False, default=repr)
        sys.stderr.write(told(line) + "\n")
        sys.stderr.flush()
