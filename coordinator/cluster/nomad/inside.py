"""The way into a job on Nomad: signals and files through its API, programs through exec."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from shutil import which
from typing import Any

from coordinator.cluster.inside import OnOutput
from coordinator.cluster.nomad.api import NomadApi, NomadRefusal
from coordinator.cluster.nomad.execution import by_cli, by_websocket
from coordinator.debugging.folder import NAME
from coordinator.errors import CredentialsError

POLICY = "job_defs/debug.policy.hcl"
_READ, _SIGNAL = "read-fs", "alloc-lifecycle"
_EXEC = "alloc-exec, and alloc-node-exec with the driver raw_exec,"


class NomadInside:
    """One running allocation. `where`: namespace and region, as query parameters."""

    def __init__(self, api: NomadApi, where: Mapping[str, str], allocation: str, task: str) -> None:
        self._api, self._where = api, where
        self._allocation, self._task = allocation, task

    def files(self) -> dict[str, int]:
        try:
            with _needs(_READ):
                listed = self._api.get("client", "fs", "ls", self._allocation, **self._at())
        except NomadRefusal as error:
            if "no such file" in error.why:
                return {}
            raise
        entries = listed if isinstance(listed, list) else []
        return dict(filter(None, map(_file, entries)))

    def read(self, name: str, offset: int, length: int) -> bytes:
        query = {**self._at(name), "offset": offset, "limit": length}
        with _needs(_READ):
            reply = self._api.call("get", "client", "fs", "readat", self._allocation, params=query)
        return reply.content[:length]

    def ask(self) -> None:
        self._signal("SIGUSR2")

    def insist(self, python: str, *, main_is_silent: bool) -> None:
        """By a program in the task; where that is not allowed, of the main process at least."""
        try:
            self.run(python, ["-m", "coordinator.workers.attach", "stacks"], lambda _: None)
        except CredentialsError:
            if main_is_silent:
                self._signal("SIGUSR1")
            raise

    def run(self, python: str, arguments: Sequence[str], on_output: OnOutput) -> int:
        command = [python, *arguments]
        address, program = self._api.address, which("nomad", path=os.environ.get("PATH"))
        with _needs(_EXEC):
            if program:
                start = [program, "alloc", "exec", "-i=true", "-t=false", f"-task={self._task}"]
                return by_cli([*start, self._allocation, *command], address, self._where, on_output)
            return by_websocket(
                self._allocation, self._task, command, address, self._where, on_output
            )

    def _signal(self, name: str) -> None:
        body = {"Signal": name, "Task": self._task}
        with _needs(_SIGNAL):
            path = ("client", "allocation", self._allocation, "signal")
            self._api.put(*path, json=body, **self._where)

    def _at(self, name: str = "") -> dict[str, Any]:
        path = "/".join(filter(None, (self._task, "local", NAME, name)))
        return {"path": path, **self._where}


@contextmanager
def _needs(right: str) -> Iterator[None]:
    """Say which right is missing, where it is that."""
    try:
        yield
    except CredentialsError as error:
        raise CredentialsError(
            error.what,
            why=f"{error.why}; it takes {right} in the namespace of the job",
            hint=f"a token with the policy {POLICY}, besides the coordinator's own",
        ) from error


def _file(entry: Any) -> tuple[str, int] | None:
    """Name and size of an entry of a listing, where it is a file."""
    if not isinstance(entry, dict) or entry.get("IsDir"):
        return None
    name, size = entry.get("Name"), entry.get("Size")
    if isinstance(name, str) and "/" not in name and isinstance(size, int):
        return name, size
    return None
