"""Bringing a job's logs and task events home from Nomad: bounded, and written aside first."""

import json
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import requests
import urllib3

from coordinator.cluster.nomad.api import NomadApi, NomadRefusal
from coordinator.errors import ClusterUnavailable
from coordinator.files import aside, write_whole
from coordinator.secrecy import NO_MASK, Mask

LARGEST = 10 * 2**20  # bytes of one stream that are kept: as much of its head as of its tail
STREAMS = ("stdout", "stderr")
_CHUNK = 2**18
_READ_SECONDS = 30.0
_NOT_STARTED = "not started yet"  # Nomad's words for a task that never wrote anything

Document = Mapping[str, Any]


class Logs:
    """Reads the logs of allocations. `where`: namespace and region, as query parameters."""

    def __init__(self, api: NomadApi, where: Mapping[str, str]) -> None:
        self._api, self._where = api, where

    def save(
        self, allocation: str, task: str, folder: Path, name: str, mask: Mask = NO_MASK
    ) -> None:
        """Write both streams of a task as `<name>.<stream>.0`.

        Nomad keeps a stream in files that take turns, so it may begin amid a secret.

        Raises:
            NomadRefusal: the logs are gone, or their node is.
        """
        for stream in STREAMS:
            with (
                aside(folder / f"{name}.{stream}.0") as out,
                self._open(allocation, task, stream) as pieces,
            ):
                _copy_bounded(mask.pieces(pieces, torn=True), out)

    def save_nothing(self, task: str, folder: Path) -> None:
        """The streams of a task that never ran."""
        for stream in STREAMS:
            write_whole(folder / f"{task}.{stream}.0", b"")

    def read(self, allocation: str, task: str, stream: str, offset: int) -> bytes:
        """At most a quarter of a megabyte from byte `offset` on."""
        with self._open(allocation, task, stream, offset=offset) as pieces:
            return next(pieces, b"")

    def _open(self, allocation: str, task: str, stream: str, **span: Any) -> "_Pieces":
        query = {"task": task, "type": stream, "plain": "true", "origin": "start", **span}
        path = ("client", "fs", "logs", allocation)
        try:
            reply = self._api.stream(*path, read_seconds=_READ_SECONDS, **query, **self._where)
        except NomadRefusal as error:
            if _NOT_STARTED in error.why:
                return _Pieces(None)
            raise
        return _Pieces(reply)


class _Pieces:
    """The body of a reply in pieces; of none, nothing."""

    def __init__(self, reply: Any) -> None:
        self._reply = reply

    def __enter__(self) -> Iterator[bytes]:
        return iter(()) if self._reply is None else self._pieces()

    def _pieces(self) -> Iterator[bytes]:
        try:
            yield from self._reply.iter_content(_CHUNK)
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise ClusterUnavailable("a log was cut off on its way", why=str(error)) from error

    def __exit__(self, *_: object) -> None:
        if self._reply is not None:
            self._reply.close()


def save_events(
    job: Document, allocations: Sequence[Document], folder: Path, mask: Mask = NO_MASK
) -> None:
    """Write `events.json`: what the cluster saw of the job, oldest first."""
    events = sorted(_events(job, allocations), key=lambda event: event["time"])
    write_whole(folder / "events.json", mask.data(json.dumps(events, indent=1).encode()))


def _events(job: Document, allocations: Sequence[Document]) -> Iterator[dict[str, str]]:
    yield _event(job.get("SubmitTime") or 0, "Dispatched", str(job["ID"]))
    for allocation in allocations:
        said = (allocation.get("DesiredDescription"), allocation.get("ClientDescription"))
        words = "; ".join(filter(None, said))
        node = allocation.get("NodeName") or "?"
        placed = f"allocation {allocation['ID']} on {node}: {words}"
        yield _event(allocation.get("CreateTime") or 0, "Placed", placed)
        for task, state in (allocation.get("TaskStates") or {}).items():
            for event in state.get("Events") or []:
                words = event.get("DisplayMessage") or ""
                yield _event(event["Time"], event["Type"], f"{task}: {words}")


def _event(nanoseconds: int, name: str, detail: str) -> dict[str, str]:
    time = datetime.fromtimestamp(nanoseconds / 1e9, UTC).isoformat(timespec="milliseconds")
    return {"time": time, "event": name, "detail": detail}


def _copy_bounded(pieces: Iterator[bytes], out: BinaryIO) -> None:
    """All of it, or its head and its tail with one line in place of what was between them."""
    half = LARGEST // 2
    head, tail, held, left_out = 0, deque[bytes](), 0, 0
    for piece in pieces:
        first, rest = piece[: half - head], piece[half - head :]
        head += out.write(first)
        if rest:
            tail.append(rest)
            held += len(rest)
        while len(tail) > 1 and held - len(tail[0]) >= half:
            held -= len(tail[0])
            left_out += len(tail.popleft())
    if left_out:
        out.write(b"\n[%d bytes left out]\n" % left_out)
    out.writelines(tail)
