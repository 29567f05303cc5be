"""A worker's log: one JSON object a line on standard error.

It is written here: loading a logging library would take as long as all else of a worker's start.
"""

import json
import sys
from datetime import UTC, datetime
from typing import Any

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

    def _write(self, level: str, event: str, fields: dict[str, Any]) -> None:
        time = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        entry = {**self._fields, **fields, "event": event, "level": level, "time": time}
        line = json.dumps(entry, ensure_ascii=False, default=repr)
        sys.stderr.write(told(line) + "\n")
        sys.stderr.flush()
