"""One pass over a log stream for the line that explains how its process, or an item in it, ended.

Three things explain: the structured line of a failed item, the exception that ended the process,
and a structured error line of the whole process. A line that only mentions an error does not, nor
does an exception that was handled.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, BinaryIO

import re2

from coordinator.domain.log_events import BATCH, NOT_STORED
from coordinator.reports.tree import line_end, lines_of, numbered_blocks

MAX_MESSAGE = 1000  # characters

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z^_\\])")
TRACEBACK = "Traceback (most recent call last):"
_HEADER = TRACEBACK.encode()
_DIRECT = b"The above exception was the direct cause of the following exception:"
_DURING = b"During handling of the above exception, another exception occurred:"
_GROUP_MARGIN = b"  | "  # of an exception group's own traceback
_GROUP_PART = re.compile(rb" {4,}\||  +\+-")  # what it says of its members
_FATAL = (b"Fatal Python error:", b"terminate called after throwing")

# What stands before the traceback of an exception that ends no process.
_HARMLESS = (
    b"Exception ignored ",
    b"Exception in thread",
    b"Exception in callback",
    b"Error in atexit",
    b"--- Logging error ---",
    b"Process ForkProcess-",
    b"Process SpawnProcess-",
    b"Process ForkServerProcess-",
)
_NEVER_FETCHED = (  # such lines often have a log's prefix
    b"Task exception was never retrieved",
    b"Future exception was never retrieved",
)
_TELLING = (*_HARMLESS, *_NEVER_FETCHED, *_FATAL)
_HARMLESS_REACH = 3  # lines from such a line to its traceback
_MESSAGE_LINES = 20  # that one exception has beyond its first; a process that prints more goes on

# `mod.Name: words`, or `Name` alone; what else stands between frames is another's.
_EXCEPTION = re.compile(
    rb"[A-Za-z_\x80-\xff][\w.<>\x80-\xff]*: |(?:[\w<>]+\.)*[A-Z_]\w*:?$|(?:\w+\.)+\w+$"
)
# A process that still logs has survived the exception above.
_LOG_LINE = re.compile(
    rb"\{.*\}$|\[?\d{4}-\d\d-\d\d[T ]\d\d:\d\d|\[?\d\d:\d\d:\d\d"
    rb"|\[?(?:DEBUG|INFO|WARN|WARNING|ERROR|CRITICAL)\b[\]:\s]"
)
_STRUCTURED = (b'"item failed"', b'"error"', b'"critical"', b'"ready"')
_BLANK = b"\0 .\t\r"  # a node that goes down leaves NULs; dots are of `numbered_lines`
_WORKER_LINE = b'{"dispatch": "'  # how most of them begin
_WORK = ("ready", BATCH, "item done")  # events of a worker that goes on
_ITEM = re.compile(rb'"item": ?"([^"\\]{1,200})"')


@dataclass(frozen=True)
class Found:
    """A line of a stream: its number from 1, what it says, and of an exception the first cause."""

    line: int
    text: str
    cause: str = ""


@dataclass
class Scan:
    """What a stream has to say.

    Attributes:
        items: item -> the structured line that says why it failed ("" where it is too long).
        not_stored: item -> the line that says that its result was there and the store refused it.
        ended_by: the exception, or fatal error, that ended the process.
        error: the last structured error line that concerns no single item.
        last: the last line that is not empty.
        last_words: what the process may have ended with: an exception that ended it, or its last
            line, unless that is an exception that ended nothing.
        began: the line with which the last process in this log was ready; 0 = none was.
    """

    items: dict[str, Found] = field(default_factory=dict)
    not_stored: dict[str, Found] = field(default_factory=dict)
    ended_by: Found | None = None
    error: Found | None = None
    last: Found | None = None
    last_words: Found | None = None
    began: int = 0


def scan(stream: BinaryIO, exit_code: int | None) -> Scan:
    """Read the stream to its end in bounded memory. `exit_code` of the process, None = unknown."""
    found, crash, last = Scan(), _Crash(), (0, b"")
    for first, block in numbered_blocks(stream):
        if crash.waits and found.error is None and not _tells(block):
            last = _last_of(first, block) or last
            continue
        for number, line in enumerate(lines_of(block), start=first):
            if _is_blank(line):
                continue
            last = (number, line)
            if (at := 0 if line.startswith(b"{") else line.find(_WORKER_LINE)) >= 0:
                line = line[at:]  # behind a progress bar that had no end
                _take_structured(found, number, line)
            crash.feed(number, line)
    found.ended_by = crash.result(exit_code)
    found.last = Found(last[0], clean(last[1])) if last[0] else None
    found.last_words = found.ended_by or (found.last if crash.told != last[0] else None)
    return found


def _tells(block: bytes) -> bool:
    """Whether a line of it may explain something: most of a log does not."""
    return b"\x1b" in block or bool(_telling().Match(block))


@lru_cache(maxsize=1)
def _telling() -> Any:
    words = re2.Set.SearchSet()
    for word in (_HEADER, *_TELLING, _DIRECT, _DURING, *_STRUCTURED):
        words.Add(re2.escape(word))
    words.Compile()
    return words


def _last_of(first: int, block: bytes) -> tuple[int, bytes] | None:
    """The last line that is not empty, with its number."""
    end = line_end(block, len(block.rstrip()))  # quickly over what is plainly empty
    while end >= 0:
        start = block.rfind(b"\n", 0, end) + 1
        if not _is_blank(line := block[start:end].rstrip(b"\r")):
            return first + block.count(b"\n", 0, start), line
        end = start - 1
    return None


def _is_blank(line: bytes) -> bool:
    return not line or line.isspace() or (line[0] == 0 and not line.strip(_BLANK))


def clean(line: bytes) -> str:
    """A line as text: no colour codes, only what a carriage return left to see, not too long."""
    return shortened(_uncoloured(line).strip().rpartition("\r")[2].strip())


def plain(line: bytes) -> str:
    """A line as a terminal would show it, whole and with its indentation, without colours."""
    return _uncoloured(line).rstrip().rpartition("\r")[2].expandtabs(4)


def _uncoloured(line: bytes) -> str:
    return _ESCAPES.sub("", line.decode("utf-8", "backslashreplace"))


def shortened(text: str) -> str:
    return text if len(text) <= MAX_MESSAGE else f"{text[: MAX_MESSAGE - 2]} …"


def is_structured(line: str) -> bool:
    """Whether a cleaned line is one of the workers' own log lines."""
    return line.startswith("{")


def _take_structured(found: Scan, number: int, line: bytes) -> None:
    if found.error is not None or b'"ready"' in line:
        _take_work(found, number, line)
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
    elif isinstance(item, str) and fields.get("event") == NOT_STORED:
        found.items[item] = found.not_stored[item] = said
    elif item is None:
        found.error = said


def _take_work(found: Scan, number: int, line: bytes) -> None:
    """A process that begins, or goes on, has survived the error line above."""
    event = (_fields(line) or {}).get("event")
    if event in _WORK:
        found.error = None
    if event == "ready":
        found.began = number


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
        self.told = 0  # the last line that was an exception, whatever it ended
        self._survived = False
        self._fatal = False

    @property
    def waits(self) -> bool:
        """Whether nothing but a telling line can change what it will say."""
        return self._fatal or not (self._in_frames or (self._final and not self._survived))

    def feed(self, number: int, line: bytes) -> None:
        """Take the next line that is not empty."""
        if self._fatal:
            return
        plain = _ESCAPES_IN_BYTES.sub(b"", line) if b"\x1b" in line else line
        if b"\r" in plain:
            plain = plain.rpartition(b"\r")[2]
        if plain.endswith(_HEADER) and not _GROUP_PART.match(plain):
            self._begin(number)
        elif self._in_frames:
            self._follow(number, plain)
        elif self._final is not None or self._harmless or _is_telling(plain):
            self._after(number, plain)

    def result(self, exit_code: int | None) -> Found | None:
        """The exception that ended the process, if one did."""
        if self._final is None or self._in_frames or self._survived:
            return None
        # Only an uncaught exception (exit code 1) has a message that may go on over more lines.
        if self._tail > (_MESSAGE_LINES if exit_code in (1, None) else 0):
            return None
        if self._cause in ("", self._final.text):  # a child's, raised again as it was
            return self._final
        text = shortened(f"{self._final.text} (caused by {self._cause})")
        return Found(self._final.line, text, self._cause)

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
        if _LOG_LINE.match(line) or not _EXCEPTION.match(line):
            return  # somebody else's, who writes to the same log
        self._in_frames, self.told = False, number
        if not self._harmless:
            self._final, self._tail, self._survived = Found(number, clean(line)), 0, False

    def _after(self, number: int, line: bytes) -> None:
        if line.startswith(_FATAL):
            self._final, self._tail, self._survived = Found(number, clean(line)), 0, False
            self._cause, self._fatal = "", True
        elif _is_telling(line):
            self._harmless, self._harmless_until = True, number + _HARMLESS_REACH
        elif line in (_DIRECT, _DURING):
            self._link = line
        elif _LOG_LINE.match(line):
            self._survived = True
        elif not self._harmless and not _GROUP_PART.match(line):
            self._tail += 1
            if self._tail == 1 and self._final and self._final.text.endswith(":"):
                said = shortened(f"{self._final.text} {clean(line)}")  # it began with a line end
                self._final = Found(self._final.line, said)


_ESCAPES_IN_BYTES = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?)")


def _is_telling(line: bytes) -> bool:
    return line.startswith(_TELLING) or line.endswith(_NEVER_FETCHED)
