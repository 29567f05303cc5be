"""One look at what a job and its node use."""

import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from math import inf
from typing import Any, TypeVar

import psutil

from coordinator.domain.usage import COLUMNS, Row
from coordinator.workers.gpus import Gpus

T = TypeVar("T")
_MB = 1e6
# Column -> counter that it is the growth of, and how much of that is one unit.
_GROWTH = {
    "cores": ("cpu_seconds", 1.0),
    "read_mb_s": ("read", _MB),
    "written_mb_s": ("written", _MB),
    "node_cpu_percent": ("node_busy", 0.01),
    "node_read_mb_s": ("node_read", _MB),
    "node_written_mb_s": ("node_written", _MB),
    "node_received_mb_s": ("node_received", _MB),
    "node_sent_mb_s": ("node_sent", _MB),
}
_MOST = {"node_cpu_percent": 100.0}  # the kernel counts in ticks, so a short look finds more

Values = dict[str, float]


class Sampler:
    """Looks at this process, all below it, and the node. What cannot be measured is left out."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._process, self._gpus = psutil.Process(), Gpus(environment)
        self._counters, self._at = self._count({}), time.monotonic()

    def look(self) -> Row:
        """What was used since the last look."""
        now, values = time.monotonic(), Values()
        counters, seconds = self._count(values), max(now - self._at, 1e-3)
        for column, (counter, unit) in _GROWTH.items():
            if counter in counters and counter in self._counters:
                growth = counters[counter] - self._counters[counter]
                values[column] = min(max(growth, 0.0) / unit / seconds, _MOST.get(column, inf))
        self._counters, self._at = counters, now
        values |= self._of_gpus()
        return Row(time.time(), seconds, tuple(values.get(column) for column in COLUMNS))

    def _count(self, values: Values) -> Values:
        """Counters as they are now; sizes go into `values`."""
        processes = [self._process, *(_tried(self._children) or ())]
        counters = _totals(processes, values)
        counters |= _tried(_node_cpu) or {}
        counters |= _tried(_node_disk) or {}
        counters |= _tried(_node_network) or {}
        values |= _tried(_node_memory) or {}
        return counters

    def _children(self) -> list[psutil.Process]:
        return self._process.children(recursive=True)

    def _of_gpus(self) -> Values:
        found = self._gpus.look()
        return {"gpu_percent": found[0], "gpu_memory_mb": found[1]} if found else {}


def _totals(processes: list[psutil.Process], values: Values) -> Values:
    """Of a tree of processes. What those used that have ended is in their parents' counters."""
    counters = {"cpu_seconds": 0.0, "read": 0.0, "written": 0.0}
    resident = 0.0
    for process in processes:
        with suppress(psutil.Error, OSError), process.oneshot():
            times = process.cpu_times()
            own, ended = times.user + times.system, times.children_user + times.children_system
            counters["cpu_seconds"] += own + ended
            resident += process.memory_info().rss
            disk = process.io_counters()
            counters["read"] += disk.read_bytes
            counters["written"] += disk.write_bytes
    values |= {"memory_mb": resident / _MB, "processes": float(len(processes))}
    return counters


def _node_cpu() -> Values:
    """Busy seconds of all cores, divided by how many there are."""
    times = psutil.cpu_times()
    idle = times.idle + getattr(times, "iowait", 0.0)
    guests = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)  # counted twice
    return {"node_busy": (sum(times) - guests - idle) / (psutil.cpu_count() or 1)}


def _node_disk() -> Values:
    disk = psutil.disk_io_counters()
    return {"node_read": disk.read_bytes, "node_written": disk.write_bytes} if disk else {}


def _node_network() -> Values:
    network: Any = psutil.net_io_counters()  # None where there is no interface
    if network is None:
        return {}
    return {"node_received": network.bytes_recv, "node_sent": network.bytes_sent}


def _node_memory() -> Values:
    return {"node_memory_percent": psutil.virtual_memory().percent}


def _tried(measure: Callable[[], T]) -> T | None:
    """What cannot be measured here, say inside some container, stops nothing."""
    try:
        return measure()
    except (psutil.Error, OSError, RuntimeError, ValueError, NotImplementedError):
        return None
