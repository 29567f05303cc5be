"""The monitor beside a job: a thread that looks at what is used, now and then.

It never fails the job, costs at most a fiftieth of a core, and keeps at most `MAX_ROWS` rows. The
series is put in place as it grows, so that one of a job that was killed is there as well.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from coordinator.domain.handoff import Handoff
from coordinator.domain.paths import BatchKeys
from coordinator.domain.usage import Row, Series
from coordinator.storage import Storage
from coordinator.workers.logs import WorkerLog

_COST = 50  # a look is followed by so many times its own duration without one
_SAVE_COST = 20  # the same for putting the series in place
_SAVE_SECONDS = 60.0
_FRESH = 0.5  # seconds: items that end within it share a look
_PATIENCE = 1.0  # seconds: a driver that hangs holds up no item
_FAREWELL = 10.0  # seconds for the last look and save


class Looks(Protocol):
    """What a monitor asks."""

    def look(self) -> Row:
        """What was used since the last look."""
        ...


class Monitor:
    """Looks every `interval` seconds, from `start` to `close`."""

    def __init__(
        self, interval: float, sampler: Looks, save: Callable[[bytes], None], log: WorkerLog
    ) -> None:
        self._interval, self._sampler, self._save_to, self._log = interval, sampler, save, log
        self._series, self._lock = Series(), threading.Lock()
        self._stop, self._is_well = threading.Event(), True
        self._thread = threading.Thread(target=self._watch, name="monitor", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join(_FAREWELL)

    def facts(self, began: float) -> dict[str, Any]:
        """Mean and peak of each column since `began` (seconds since the epoch), for an outcome."""
        if not self._lock.acquire(timeout=_PATIENCE):
            return {}
        try:
            rows = self._series.rows
            if not rows or rows[-1].time <= time.time() - _FRESH:
                self._look()
            latest = min(began, self._series.rows[-1].time - 1e-3) if self._series.rows else began
            found = self._series.since(latest)
        finally:
            self._lock.release()
        resources = {
            column: {"mean": round(use.mean, 3), "peak": round(use.peak, 3)}
            for column, use in found.items()
        }
        return {"resources": resources} if resources else {}

    def _watch(self) -> None:
        began, next_save, pause = time.monotonic(), 0.0, self._interval
        while not self._stop.wait(pause):
            pause = self._interval + self._timed(self._locked_look) * _COST
            if time.monotonic() >= next_save:
                took = self._timed(self._save)
                elapsed = time.monotonic() - began
                next_save = time.monotonic() + max(min(elapsed, _SAVE_SECONDS), took * _SAVE_COST)
        self._locked_look()
        self._save()

    def _timed(self, work: Callable[[], None]) -> float:
        began = time.monotonic()
        work()
        return time.monotonic() - began

    def _locked_look(self) -> None:
        with self._lock:
            self._look()

    def _look(self) -> None:
        try:
            self._series.add(self._sampler.look())
        except Exception as error:
            self._complain(error)

    def _save(self) -> None:
        with self._lock:
            data = self._series.to_csv()
        try:
            self._save_to(data)
        except Exception as error:
            self._complain(error)

    def _complain(self, error: Exception) -> None:
        """Once: what is not measured is no reason to fail."""
        if self._is_well:
            self._log.warning("not measured", error=f"{type(error).__name__}: {error}")
        self._is_well = False


ItemFacts = Callable[[float], dict[str, Any]]  # of an item that began then, and ends now


@contextmanager
def monitored(handoff: Handoff, storage: Storage) -> Iterator[ItemFacts]:
    """Measure for as long as the block runs, if the batch asks for it."""
    if not handoff.monitoring_interval:
        yield lambda _began: {}
        return
    from coordinator.workers.sampler import Sampler  # psutil takes a while to import

    key = BatchKeys(handoff.batch).usage(handoff.dispatch)
    monitor = Monitor(
        handoff.monitoring_interval,
        Sampler(),
        lambda data: storage.write(key, data),
        WorkerLog(dispatch=handoff.dispatch),
    )
    monitor.start()
    try:
        yield monitor.facts
    finally:
        monitor.close()
