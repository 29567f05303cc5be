"""One pass over a log stream for the line that explains how its process, or an item in it, ended.

Three things explain: the structured line of a failed item, the exception that ended the process,
and a structured error line of the whole process. A line that only mentions an error does not, nor
does an exception that was handled.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from coordinator.reports.tree import numbered_lines

MAX_MESSAGE = 1000  # characters

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z^_\\])")
_HEADER = b"Traceback (most recent call last):"
_DIRECT = b"The above exception was the direct cause of the following exception:"
_DURING = b"During handling of the above exception, another exception occurred:"
_GROUP_MARGIN = b"  | "  # of an exception group's own traceback
_FATAL = b"Fatal Python error:"

# What stands before the traceback of an exception that ends no process.
_HARMLESS = (
    b"Exception ignored in",
    b"Exception in thread",
    b"Exception in callback",
    b"Error in atexit",
    b"--- Logging error ---",
    b"Task exception was never retrieved",
    b"Future exception was never retrieved",
)
_TELLING = (*_HARMLESS, _FATAL)
_HARMLESS_REACH = 3  # lines from such a line to its traceback

# A process that still logs has survived the exception above.
_LOG_LINE = re.compile(
    rb"\{.*\}$|\[?\d{4}-\d\d-\d\d[T ]\d\d:\d\d|\[?\d\d:\d\d:\d\d"
    rb"|\[?(?:DEBUG|INFO|WARN|WARNING|ERROR|CRITICAL)\b[\]:\s]"
)
_ITEM = re.compile(rb'"item": ?"([^"\\]{1,200})"')


@dataclass(frozen=True)
class Found:
    """A line of a stream: its number from 1 and what it says."""

    line: int
    text: str


@dataclass
class Scan:
    """What a stream has to say.

    Attributes:
        items: item -> the structured line that says why it failed ("" where it is too long).
        ended_by: the exception, or fatal error, that ended the process.
        error: the last structured error line that concerns no single item.
        last: the last line that is not empty.
    """

    items: dict[str, Found] = field(default_factory=dict)
    ended_by: Found | None = None
    error: Found | None = None
    last: Found | None = None


def scan(stream: BinaryIO, exit_code: int | None) -> Scan:
    """Read the stream to its end in bounded memory. `exit_code` of the process, None = unknown."""
    found, crash, last = Scan(), _Crash(), (0, b"")
    for number, line in numbered_lines(stream):
        if not line or line.isspace():
            continue
        last = (number, line)
        if line.startswith(b"{"):
            _take_structured(found, number, line)
        crash.feed(number, line)
    found.ended_by = crash.result(exit_code)
    found.last = Found(last[0], clean(last[1])) if last[0] else None
    return found


def clean(line: bytes) -> str:
    """A line as text: no colour codes, only what a carriage return left to see, not too long."""
    text = _ESCAPES.sub("", line.decode("utf-8", "backslashreplace"))
    return shortened(text.strip().rpartition("\r")[2].strip())


def shortened(text: str) -> str:
    return text if len(text) <= MAX_MESSAGE else f"{text[: MAX_MESSAGE - 2]} …"


def is_structured(line: str) -> bool:
    """Whether a cleaned line is one of the workers' own log lines."""
    return line.startswith("{")


def _take_structured(found: Scan, number: int, line: bytes) -> None:
    is_item = b'"item failed"' in line
    if not is_item and b'"error"' not in line and b'"critical"' not in line:
        return
    fields = _fields(line)
    if fields is None:
        _take_cut(found, number, line, is_item)
        return
    if fields.get("level") not in ("error", "critical"):
        return
    item, said = fields.get("item"), Found(number, _said(fields))
    if isinstance(item, str) and fields.get("event") == "item failed":
        found.items[item] = said
    elif item is None:
        found.error = said


def _take_cut(found: Scan, number: int, line: bytes, is_item: bool) -> None:
    """A failed item's line that is too long to be whole, its traceback for instance."""
    if is_item and (name := _ITEM.search(line)):
        found.items[name[1].decode("utf-8", "replace")] = Found(number, "")


def _fields(line: bytes) -> dict[str, Any] | None:
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return fields if isinstance(fields, dict) else None


def _said(fields: dict[str, Any]) -> str:
    error = fields.get("error") or fields.get("event") or ""
    return first_line(str(error))


def first_line(text: str) -> str:
    """The first line of a message that says something, cleaned."""
    lines: Iterable[str] = (clean(part.encode("utf-8", "replace")) for part in text.split("\n"))
    return next((line for line in lines if line), "")


class _Crash:
    """Follows Python tracebacks and keeps the exception that may have ended the process."""

    def __init__(self) -> None:
        self._final: Found | None = None
        self._cause = ""  # the first exception of a chain of direct causes
        self._in_frames = False
        self._harmless = False  # this traceback, or the one last seen, ended no process
        self._harmless_until = 0
        self._link = b""
        self._tail = 0  # plain lines after the exception
        self._survived = False
        self._fatal = False

    def feed(self, number: int, line: bytes) -> None:
        """Take the next line that is not empty."""
        if self._fatal:
            return
        plain = _ESCAPES_IN_BYTES.sub(b"", line) if b"\x1b" in line else line
        if plain.endswith(_HEADER):
            self._begin(number)
        elif self._in_frames:
            self._follow(number, plain)
        elif self._final is not None or self._harmless or plain.startswith(_TELLING):
            self._after(number, plain)

    def result(self, exit_code: int | None) -> Found | None:
        """The exception that ended the process, if one did."""
        if self._final is None or self._in_frames or self._survived:
            return None
        # Only an uncaught exception (exit code 1) has a message that may go on over more lines.
        if self._tail and exit_code not in (1, None):
            return None
        if not self._cause:
            return self._final
        text = shortened(f"{self._final.text} (caused by {self._cause})")
        return Found(self._final.line, text)

    def _begin(self, number: int) -> None:
        self._harmless = number <= self._harmless_until or (self._harmless and bool(self._link))
        self._in_frames = True
        link, self._link = self._link, b""
        if self._harmless:
            return
        self._cause = (self._cause or self._final.text) if self._final and link == _DIRECT else ""

    def _follow(self, number: int, line: bytes) -> None:
        line = line.removeprefix(_GROUP_MARGIN)
        if line[:1] in b" \t" or line.startswith(b"[Previous line repeated"):
            return
        self._in_frames = False
        if not self._harmless:
            self._final, self._tail, self._survived = Found(number, clean(line)), 0, False

    def _after(self, number: int, line: bytes) -> None:
        if line.startswith(_FATAL):
            self._final, self._tail, self._survived = Found(number, clean(line)), 0, False
            self._cause, self._fatal = "", True
        elif line.startswith(_HARMLESS):
            self._harmless, self._harmless_until = True, number + _HARMLESS_REACH
        elif line in (_DIRECT, _DURING):
            self._link = line
        elif _LOG_LINE.match(line):
            self._survived = True
        elif not self._harmless:
            self._tail += 1


_ESCAPES_IN_BYTES = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?)")
