"""One job's folder: what is written there, and what follows from it.

The folder itself is the job's lock: its shim holds it from before the start to after the last
record. So a free lock means that the records are final, and whoever holds it may start the job.

    spec.json      what was asked; the folder appears with it, whole
    started.json   by the shim, before the worker may run
    ended.json     by the shim, when nothing of the job runs any more
    stop.json      by whoever stops the job; the first reason stays
    stdout, stderr what the worker wrote
    scratch/       where the worker runs
"""

import fcntl
import hashlib
import json
import os
import re
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from coordinator.clock import timestamp
from coordinator.cluster.base import JobId, JobSpec, Resources
from coordinator.cluster.local import shim
from coordinator.cluster.local.logs import read_from
from coordinator.domain.verdicts import Ending, StopReason
from coordinator.errors import JobRefused

JOBS = "jobs"
STDOUT, STDERR = "stdout", "stderr"
_SPEC = "spec.json"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_LONGEST = 200
_DIGEST_LENGTH = 12  # hexadecimal digits of the token's digest in a job id


@dataclass(frozen=True)
class Submission:
    """What `spec.json` holds."""

    spec: JobSpec
    order: int  # jobs start in this order
    time: float  # seconds since the epoch


def job_id(spec: JobSpec, token: str) -> JobId:
    """The id of a job: it follows from name and token, so it is the same after any crash.

    Raises:
        JobRefused: the name cannot be a folder's.
    """
    if not _NAME.fullmatch(spec.name) or len(spec.name) > _LONGEST:
        raise JobRefused(
            f"a job cannot be called {spec.name!r}",
            why=f"only letters, digits and, inside, _ . - are allowed, {_LONGEST} at most",
            hint="this is a defect; please report it",
        )
    digest = hashlib.sha256(token.encode()).hexdigest()
    return JobId(f"{spec.name}-{digest[:_DIGEST_LENGTH]}")


def is_job_id(text: str) -> bool:
    """Whether `text` could be a job's id, and so a folder's name."""
    return len(text) <= _LONGEST + 1 + _DIGEST_LENGTH and _NAME.fullmatch(text) is not None


class JobFolder:
    """The folder of one job; it lies in `aside` on its way in and out."""

    def __init__(self, folder: Path, job: JobId) -> None:
        self.id = job
        self.path = folder / JOBS / job
        self._aside = folder / "aside" / job

    # coming and going

    def create(self, submission: Submission) -> None:
        """Put the folder there, whole; nothing happens if it is there already."""
        document = json.dumps({**asdict(submission), "format": 1}, indent=1)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            aside = self._new_aside()
            (aside / shim.SCRATCH).mkdir(parents=True)
            (aside / _SPEC).write_text(document)
            aside.rename(self.path)
        except OSError:
            if not self.path.is_dir():  # if it is, another coordinator was quicker
                raise
        self._clear()

    def remove(self) -> None:
        """Take the folder away at once, then its content; a repeat ends what a crash left."""
        while self.path.is_dir():
            with suppress(FileNotFoundError):  # somebody else takes it away, or clears up aside
                self.path.rename(self._new_aside())
        self._clear()

    def _new_aside(self) -> Path:
        self._aside.mkdir(parents=True, exist_ok=True)
        return self._aside / f"{os.getpid()}-{time.monotonic_ns()}"

    def _clear(self) -> None:
        """Remove what this coming or going, or one that was cut short, has left aside."""
        if self._aside.is_dir():
            shutil.rmtree(self._aside, ignore_errors=True)

    def is_there(self) -> bool:
        return self.path.is_dir()

    # the lock

    def is_running(self) -> bool:
        """Whether the job's shim lives, or somebody is about to start it."""
        with lock(self.path, fcntl.LOCK_SH) as descriptor:
            return descriptor is None

    def may_start(self) -> bool:
        """Whether the job was neither started nor stopped. To be asked with the lock in hand."""
        names = (shim.STARTED, shim.ENDED, shim.STOP)
        return not any((self.path / name).exists() for name in names)

    # the records

    def submission(self) -> Submission | None:
        """What was asked, or None if the record is damaged."""
        document = self._read(_SPEC)
        try:
            fields = dict(document["spec"])
            resources = Resources(**fields.pop("resources"))
            spec = JobSpec(**fields, resources=resources)
            return Submission(spec, int(document["order"]), float(document["time"]))
        except (KeyError, TypeError, ValueError):
            return None

    def running_seconds(self) -> float:
        started = self._read(shim.STARTED)
        return max(0.0, shim.steady() - started["steady"]) if started else 0.0

    def ending(self) -> Ending | None:
        """How a job with a free lock ended, or None if it has not been started.

        A job that was started and has no record of its end has lost its shim: what is left of it is
        killed first.
        """
        stop = self._stop_reason()
        if ended := self._read(shim.ENDED):
            return _as_recorded(ended, stop)
        if started := self._read(shim.STARTED):
            return Ending(gone=True, stop=stop, detail=self._clear_away(started))
        return Ending(stop=stop) if stop else None

    def events(self) -> Iterator[dict[str, Any]]:
        """What happened to the job, in order: `time` (ISO 8601), `event`, `detail`."""
        if submission := self.submission():
            yield _event(submission.time, "submitted")
        if started := self._read(shim.STARTED):
            yield _event(started["time"], "started", f"process {started['worker']}")
        if stop := self._read(shim.STOP):
            yield _event(stop["time"], "stop asked for", stop["reason"])
        if ended := self._read(shim.ENDED):
            yield _event(ended["time"], "ended", _in_words(ended))

    def last_words(self) -> str:
        """The last line on the standard error stream."""
        stream = self.path / STDERR
        try:
            end = stream.lstat().st_size
        except OSError:
            return ""
        lines = read_from(stream, max(0, end - 2000)).decode(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    # stopping

    def ask_to_stop(self, reason: StopReason) -> None:
        """Record the first reason. The shim looks for it once more before it lets the worker go."""
        if self._read(shim.STOP):
            return
        aside = self.path / f"{shim.STOP}.part"
        aside.write_text(json.dumps({"reason": reason, "time": time.time()}))
        aside.replace(self.path / shim.STOP)

    def pass_on_stop(self) -> None:
        """Tell the shim of a stop that was asked for; it may be told twice."""
        started = self._read(shim.STARTED)
        if started and self._read(shim.STOP) and _is_alive(started, "shim"):
            os.kill(started["shim"], signal.SIGTERM)

    def _stop_reason(self) -> StopReason:
        return StopReason(self._read(shim.STOP).get("reason", ""))

    def _clear_away(self, started: dict[str, Any]) -> str:
        if started["boot"] != shim.boot():
            return "this machine was restarted while the job ran"
        group = started["worker"] if _is_alive(started, "worker") else 0
        shim.end_processes(group, str(self.path))
        return "the process that watched over the job was killed"

    def _read(self, name: str) -> dict[str, Any]:
        """A record, or {} where it is missing or was cut short by a power failure."""
        try:
            document = json.loads((self.path / name).read_bytes())
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return {}
        return document if isinstance(document, dict) else {}


@contextmanager
def lock(path: Path, kind: int = fcntl.LOCK_EX) -> Iterator[int | None]:
    """A descriptor that holds the lock of a file or folder, or None where others hold it.

    The lock outlives the block in a process that has inherited the descriptor.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
        else:
            yield descriptor
    finally:
        os.close(descriptor)


def _is_alive(started: dict[str, Any], which: str) -> bool:
    if started["boot"] != shim.boot():
        return False
    return shim.start_of(int(started[which])) == int(started[f"{which}_start"])


def _as_recorded(ended: dict[str, Any], stop: StopReason) -> Ending:
    number = int(ended.get("signal", 0))
    code = 128 + number if number else ended.get("exit_code")  # as shells and Nomad count
    detail = _in_words(ended) if "errno" in ended else ""
    return Ending(exit_code=code, signal=number, stop=stop, detail=detail)


def _in_words(ended: dict[str, Any]) -> str:
    if "errno" in ended:
        return f"the command cannot be started: {os.strerror(ended['errno'])}"
    if "signal" in ended:
        return f"signal {ended['signal']}"
    return f"exit code {ended['exit_code']}" if "exit_code" in ended else "before it began"


def _event(moment: float, event: str, detail: str = "") -> dict[str, Any]:
    return {"time": timestamp(moment), "event": event, "detail": detail}
