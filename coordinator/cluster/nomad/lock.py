"""One driver a batch between hosts: a lock on a Nomad Variable below `coordinator/batches/`.

Whoever holds it renews it. A holder that falls silent is replaced after 2 x TTL + delay; until that
time is over it may think for itself: what it has not renewed for a TTL it no longer relies on.
Nomad has no fencing: that difference is the safety margin.
"""

import getpass
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from coordinator.clock import timestamp
from coordinator.cluster.base import StillHeld
from coordinator.cluster.nomad.api import NomadApi, NomadRefusal
from coordinator.cluster.nomad.parents import lock_path
from coordinator.domain.shown import for_terminal
from coordinator.errors import AccessRefused, BatchBusy, ClusterUnavailable, CredentialsError
from coordinator.files import write_whole

TTL_SECONDS, DELAY_SECONDS = 20, 10
SILENCE_SECONDS = 2 * TTL_SECONDS + DELAY_SECONDS  # after which a silent holder is replaced

_TERMS = {"TTL": f"{TTL_SECONDS}s", "LockDelay": f"{DELAY_SECONDS}s"}
_SHOWN = 100


class BatchLock:
    """The lock of one batch."""

    def __init__(self, api: NomadApi, batch: str, where: Mapping[str, str], kept: Path) -> None:
        """The lock, not taken yet.

        Args:
            api: the Nomad that runs the batch's jobs.
            batch: its name.
            where: namespace and region, as query parameters.
            kept: the file that remembers the lock's ID. Whoever holds the file lock beside it knows
                that an earlier holder from this folder is gone, and takes its lock over at once.
        """
        self._api, self._batch, self._where, self._kept = api, batch, dict(where), kept
        self._path = lock_path(batch)
        self._id, self._renewed_at = "", -1e9
        self._items: dict[str, str] = {}  # who we are, for whoever finds it taken
        self._over = threading.Event()

    @contextmanager
    def held(self, on_lost: Callable[[str], None]) -> Iterator[StillHeld]:
        """Hold it while the block runs. `on_lost` is told why, by another thread, if it is lost.

        Raises:
            BatchBusy: another holds it; who, and how long to wait if that one has died.
            ClusterUnavailable, CredentialsError: nothing may be concluded.
        """
        self._take()
        renewer = threading.Thread(target=self._keep, args=(on_lost,), daemon=True)
        renewer.start()
        try:
            yield self.is_held
        finally:
            self._over.set()
            renewer.join()
            self._release()

    def is_held(self) -> bool:
        """Whether it is certainly ours still. Time in which the machine slept counts."""
        return bool(self._id) and _awake_or_not() - self._renewed_at < TTL_SECONDS

    # taking and letting go

    def _take(self) -> None:
        self._over.clear()
        self._items = _holder()
        asked_at = _awake_or_not()
        self._id = self._taken_over() or self._acquired()
        self._renewed_at = asked_at
        write_whole(self._kept, json.dumps({"id": self._id}).encode(), mode=0o600)

    def _taken_over(self) -> str:
        """The ID of the lock that an earlier process of this folder has left, "" = there is none.

        To acquire by its ID is to renew it, with our name in it.
        """
        known = ""
        with suppress(FileNotFoundError, ValueError, KeyError):
            known = str(json.loads(self._kept.read_bytes())["id"])
        if not known:
            return ""
        with suppress(NomadRefusal):
            return self._asked("lock-acquire", {"ID": known, **_TERMS}, self._items)
        return ""

    def _acquired(self) -> str:
        try:
            return self._asked("lock-acquire", _TERMS, self._items)
        except NomadRefusal as error:
            raise self._busy() from error
        except CredentialsError as error:
            raise AccessRefused(
                f"the lock of batch {self._batch} cannot be taken",
                why=error.why,
                hint=f"the token needs read, write and destroy on variables at {self._path};"
                " see job_defs/coordinator-policy.hcl",
            ) from error

    def _busy(self) -> BatchBusy:
        found = self._api.get_or_none("var", self._path, **self._where) or {}
        told = {key: for_terminal(str(v))[:_SHOWN] for key, v in (found.get("Items") or {}).items()}
        who = f"by {told.get('holder', 'somebody')}, process {told.get('pid', '?')}"
        return BatchBusy(
            f"batch {self._batch} is being driven already",
            why=f"{who}, since {told.get('since', '?')}",
            hint=f"leave it to that one; if it has died, try again in {SILENCE_SECONDS} s",
        )

    def _asked(self, action: str, lock: Mapping[str, str], items: Mapping[str, str]) -> str:
        """Carry out one action on the lock; its ID."""
        namespace = self._where.get("namespace", "default")
        body: dict[str, Any] = {"Path": self._path, "Namespace": namespace, "Lock": dict(lock)}
        if items:
            body["Items"] = dict(items)
        reply = self._api.put("var", self._path, json=body, **{action: ""}, **self._where)
        return str(((reply or {}).get("Lock") or {}).get("ID", ""))

    def _release(self) -> None:
        """Let go; where that does not get through, time does it."""
        lock, self._id = self._id, ""
        if not lock:
            return
        with suppress(NomadRefusal, ClusterUnavailable, CredentialsError):
            self._asked("lock-release", {"ID": lock}, {})
            self._kept.unlink(missing_ok=True)
            self._api.delete("var", self._path, **self._where)  # refused if another holds it by now

    # keeping

    def _keep(self, on_lost: Callable[[str], None]) -> None:
        """Renew until it is over. An outage is waited out, as a tick does: it proves no loss."""
        while not self._over.wait(TTL_SECONDS / 3):
            asked_at = _awake_or_not()
            try:
                self._asked("lock-renew", {"ID": self._id}, {})
            except NomadRefusal as error:
                if self._taken_again():
                    continue
                self._id = ""
                on_lost(f"the lock of batch {self._batch} is lost: {error.why or error.what}")
                return
            except (ClusterUnavailable, CredentialsError):
                continue
            self._renewed_at = asked_at

    def _taken_again(self) -> bool:
        """Take a lock that ran out amid an outage, if nobody else had it meanwhile."""
        asked_at = _awake_or_not()
        try:
            found = self._api.get_or_none("var", self._path, **self._where) or {}
            if found.get("Items") != self._items or found.get("Lock"):
                return False
            self._id = self._asked("lock-acquire", _TERMS, self._items)
        except (NomadRefusal, ClusterUnavailable, CredentialsError):
            return False
        self._renewed_at = asked_at
        write_whole(self._kept, json.dumps({"id": self._id}).encode(), mode=0o600)
        return True


def _holder() -> dict[str, str]:
    """Who we are, for whoever finds the lock taken."""
    return {
        "holder": f"{_user()}@{socket.gethostname()}",
        "pid": str(os.getpid()),
        "since": timestamp(time.time()),
    }


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as in a container
        return str(os.getuid())


def _awake_or_not() -> float:
    """Seconds that only grow, those included in which the machine was suspended."""
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime(clock)
