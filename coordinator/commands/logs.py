"""`logs`: what was written while one item was worked on; from the cluster, or from the log tree."""

import codecs
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coordinator.bootstrap import batch_folder, make_cluster
from coordinator.clock import Clock
from coordinator.cluster import Cluster, JobId
from coordinator.commands.record import record_of
from coordinator.commands.status import open_ledger
from coordinator.commands.unknown import no_item
from coordinator.domain.paths import DispatchLogs
from coordinator.engine import mask_of
from coordinator.errors import BadInput, ClusterError, UsageError
from coordinator.ledger import Dispatch, Ledger, holder
from coordinator.reports import ItemLog
from coordinator.secrecy import Mask, MaskedStream
from coordinator.settings import Settings, among

STDOUT, STDERR = "stdout", "stderr"
_CHUNK = 2**20  # bytes that are read at a time
_LONGEST_LINE = 2**20  # characters; what has no line end is shown in pieces
_POLL_SECONDS = 0.5
_QUIET_SECONDS = 5.0  # without a driver, nothing but silence says that a job has ended


@dataclass(frozen=True)
class LogRequest:
    """Which log is wanted."""

    batch: str
    item: str
    step: str | None = None
    attempt: int | None = None
    streams: tuple[str, ...] = ()  # () = all that can be told to be the item's
    only_model: bool = False
    follow: bool = False


@dataclass(frozen=True)
class LogLine:
    """A line, not yet made safe for a terminal."""

    stream: str
    text: str


@dataclass(frozen=True)
class Chosen:
    """The attempt whose log is shown."""

    step: str
    attempt: int
    dispatch: Dispatch
    pack: tuple[str, ...]  # the items that share its job, in their order
    mask: Mask  # of what is secret in its log

    @property
    def streams(self) -> tuple[str, ...]:
        """Standard output bears no item's name: in a pack it belongs to nobody."""
        return (STDERR,) if len(self.pack) > 1 else (STDOUT, STDERR)


def choose(ledger: Ledger, request: LogRequest) -> Chosen:
    """The newest attempt that was asked for and has been sent.

    Raises:
        BadInput: there is none.
    """
    history = ledger.history(request.item)
    if not history:
        raise no_item(ledger, request.batch, request.item)
    steps = record_of(ledger).steps
    sent = [row for row in history if row["dispatch"] is not None]
    wanted = [
        row
        for row in sent
        if request.step in (None, steps[row["step"]]) and request.attempt in (None, row["number"])
    ]
    if not wanted:
        raise _none_wanted(request, sent, steps)
    row = wanted[-1]
    dispatch = ledger.dispatch(row["dispatch"])
    attempts = ledger.attempts_of(dispatch)
    pack = tuple(attempt.item.id for attempt in attempts)
    return Chosen(
        steps[row["step"]], row["number"], dispatch, pack, mask_of(ledger.path.parent, attempts)
    )


def read(
    settings: Settings, request: LogRequest, clock: Clock, on_choice: Callable[[Chosen], None]
) -> Iterator[LogLine]:
    """The lines of the item, and with `follow` those to come until its job has ended.

    Raises:
        BadInput: no such item or attempt.
        UsageError: the log is neither here nor with the cluster.
    """
    ledger = open_ledger(settings, request.batch, clock)
    try:
        chosen = choose(ledger, request)
        on_choice(chosen)
        source = _Source(settings, ledger, chosen)
        try:
            yield from _lines(request, chosen, source)
        finally:
            source.close()
    finally:
        ledger.close()


def _lines(request: LogRequest, chosen: Chosen, source: "_Source") -> Iterator[LogLine]:
    readers = [_Reader(request, chosen, name) for name in request.streams or chosen.streams]
    quiet_since = time.monotonic()
    while True:
        ended = source.has_ended()
        for reader in readers:
            for line in reader.new_lines(source, last=ended or not request.follow):
                quiet_since = time.monotonic()
                yield line
        idle = time.monotonic() - quiet_since > _QUIET_SECONDS and not source.is_driven()
        if ended or not request.follow or idle or any(r.is_through for r in readers):
            return
        time.sleep(_POLL_SECONDS)


class _Source:
    """The bytes of a dispatch's streams: the cluster's until it has ended, then the log tree's."""

    def __init__(self, settings: Settings, ledger: Ledger, chosen: Chosen) -> None:
        self._settings, self._ledger, self._dispatch = settings, ledger, chosen.dispatch
        self._record = record_of(ledger)
        self._logs = self._record.logs.dispatch(chosen.step, chosen.dispatch.name)
        self._known_cluster: Cluster | None = None  # until it is needed: it may be far away

    def close(self) -> None:
        if self._known_cluster is not None:
            self._known_cluster.close()

    def is_driven(self) -> bool:
        return holder(batch_folder(self._settings, self._record.batch)) is not None

    def has_ended(self) -> bool:
        """Whether the dispatch is home, by the ledger."""
        self._dispatch = self._ledger.dispatch(self._dispatch.id)
        return self.is_home

    @property
    def is_home(self) -> bool:
        """Whether what is read from now on is what came home, if anything did."""
        return self._dispatch.state is None

    def read(self, stream: str, offset: int) -> bytes:
        path = _stream_file(self._logs, stream) if self.is_home else None
        if path is not None:
            with path.open("rb") as file:
                file.seek(offset)
                return file.read(_CHUNK)
        return self._from_cluster(stream, offset)

    def _from_cluster(self, stream: str, offset: int) -> bytes:
        if self._dispatch.job_id is None:
            return b""
        try:
            return self._cluster().read_log(JobId(self._dispatch.job_id), stream, offset)
        except ClusterError as error:
            raise UsageError(
                f"the log of {self._dispatch.name} cannot be read",
                why=str(error),
                hint=f"what came home of it lies in {self._logs.folder}",
            ) from error

    def _cluster(self) -> Cluster:
        if self._known_cluster is None:
            self._known_cluster = make_cluster(self._settings, self._record.venue)
        return self._known_cluster


def _stream_file(logs: DispatchLogs, stream: str) -> Path | None:
    """A stream that came home; a plain file only."""
    usual = logs.stream("worker", stream)
    with suppress(OSError):
        found = [usual, *sorted(logs.folder.glob(f"*.{stream}.0"))]
        return next((p for p in found if p.is_file() and not p.is_symlink()), None)
    return None


class _Reader:
    """One stream, in lines of the item."""

    def __init__(self, request: LogRequest, chosen: Chosen, stream: str) -> None:
        self._stream, self._offset = stream, 0
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        self._mask, self._masked = chosen.mask, MaskedStream(chosen.mask)
        self._rest, self._is_home = "", False
        shared = stream == STDERR
        log = ItemLog(request.item, chosen.pack, only_model=request.only_model)
        self._log = log if shared else None
        self._in_pack = len(chosen.pack) > 1

    @property
    def is_through(self) -> bool:
        """Whether nothing of the item can follow, though its pack goes on."""
        return self._in_pack and self._log is not None and self._log.ended

    def new_lines(self, source: _Source, *, last: bool) -> Iterator[LogLine]:
        """What was written since; with `last`, also a line without an end."""
        if source.is_home and not self._is_home:  # from here on it was masked as it came home
            yield from self._shown(self._lines(self._masked.close()))
            self._is_home, self._masked = True, MaskedStream(self._mask)
        while data := source.read(self._stream, self._offset):
            self._offset += len(data)
            yield from self._shown(self._lines(self._masked.feed(data)))
        if last:
            yield from self._shown(self._lines(self._masked.close()))
        if last and self._rest:
            lines, self._rest = [self._rest], ""
            yield from self._shown(lines)

    def _lines(self, data: bytes) -> list[str]:
        *lines, self._rest = (self._rest + self._decoder.decode(data)).split("\n")
        if len(self._rest) > _LONGEST_LINE:
            lines, self._rest = [*lines, self._rest], ""
        return lines

    def _shown(self, lines: list[str]) -> Iterator[LogLine]:
        for line in lines:
            for text in self._log.feed(line) if self._log else (line.rpartition("\r")[2],):
                yield LogLine(self._stream, text)


def _none_wanted(
    request: LogRequest, sent: list[dict[str, Any]], steps: tuple[str, ...]
) -> BadInput:
    """What to say of an item that was not sent at all, or not as it is asked for."""
    if request.step is not None and request.step not in steps:
        hint = among(request.step, steps, "step", len(steps))
        return BadInput(f"{request.batch} has no step {request.step!r}", hint=hint)
    if not sent:
        return BadInput(
            f"{request.item} was not sent to the cluster yet",
            why="so nothing was written, and nothing runs",
            hint=f"coordinator why {request.batch} {request.item} says what it waits for",
        )
    attempts = (f"{steps[row['step']]} {row['number']} ({row['state']})" for row in sent)
    return BadInput(
        f"{request.item} has no such attempt",
        why=f"those that were sent: {', '.join(attempts)}",
        hint=f"coordinator status {request.batch} {request.item} lists all its attempts",
    )
