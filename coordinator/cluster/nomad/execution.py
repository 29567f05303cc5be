"""A program run in a task, with standard input and output: Nomad's exec.

It is a WebSocket of JSON messages (nomad: command/agent/alloc_endpoint.go, plugins/drivers/proto),
which python-nomad lacks: the `nomad` program does it where there is one.
"""

import base64
import json
import os
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode, urlsplit

from coordinator.cluster.inside import OnOutput
from coordinator.cluster.nomad.api import CONNECT_SECONDS, NomadAddress
from coordinator.debugging.streams import pass_out
from coordinator.domain.shown import for_terminal
from coordinator.errors import ClusterError, ClusterUnavailable, CredentialsError

_CHUNK = 2**16
_HEARTBEAT = 10.0  # seconds: Nomad ends what is silent for longer
_SILENCE = 60.0  # seconds after which the other side counts as gone
_LONGEST = 2**22  # bytes of a message
_SHOWN = 300  # characters of somebody else's words in a message
_DENIED = "Permission denied"
_DATA, _CLOSE = (1, 2), 8  # opcodes: of a message, and of the last word


def by_cli(
    command: Sequence[str], address: NomadAddress, where: Mapping[str, str], on_output: OnOutput
) -> int:
    """Run `command`, a call of the nomad program; its exit code is the program's in the task."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("NOMAD_")}
    environment |= _variables(address, where)
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, env=environment)
        code = pass_out(process, on_output)
        errors.seek(0)
        said = errors.read(_CHUNK).decode(errors="replace")
    if code == 1 and _DENIED in said:
        what = f"Nomad at {address.address} refuses to run a program in the task"
        raise CredentialsError(what, why=" ".join(said.split())[:_SHOWN])
    _say(said.encode())
    return code


def _say(data: bytes) -> None:
    """What the program writes to standard error, made safe."""
    for line in data.decode(errors="replace").splitlines():
        sys.stderr.write(f"{for_terminal(line)}\n")


def _variables(address: NomadAddress, where: Mapping[str, str]) -> dict[str, str]:
    cert, key = address.client_cert or ("", "")
    found = {
        "NOMAD_ADDR": address.address,
        "NOMAD_TOKEN": address.token.reveal(),
        "NOMAD_NAMESPACE": where.get("namespace", ""),
        "NOMAD_REGION": where.get("region", ""),
        "NOMAD_CACERT": address.ca_file,
        "NOMAD_CLIENT_CERT": cert,
        "NOMAD_CLIENT_KEY": key,
    }
    return {name: value for name, value in found.items() if value}


def by_websocket(
    allocation: str,
    task: str,
    command: Sequence[str],
    address: NomadAddress,
    where: Mapping[str, str],
    on_output: OnOutput,
) -> int:
    """The same without that program.

    Raises:
        CredentialsError: the token lacks a right.
        ClusterUnavailable: the connection is lost.
    """
    query = {"command": json.dumps(list(command)), "task": task, "tty": "false", **where}
    path = f"/v1/client/allocation/{allocation}/exec?{urlencode(query)}"
    socket = _connected(address, path)
    try:
        return _Exec(socket, on_output).run()
    finally:
        with suppress(Exception):
            socket.close(timeout=1)


def _connected(address: NomadAddress, path: str) -> Any:
    import websocket  # takes a while to import

    url = urlsplit(address.address)
    scheme = "wss" if url.scheme == "https" else "ws"
    token = address.token.reveal()
    try:
        return websocket.create_connection(
            f"{scheme}://{url.netloc}{url.path.rstrip('/')}{path}",
            header={"X-Nomad-Token": token} if token else {},
            timeout=CONNECT_SECONDS,
            sslopt=_tls(address),
            redirect_limit=0,
            enable_multithread=True,
        )
    except websocket.WebSocketBadStatusException as error:
        said = bytes(error.resp_body or b"").decode(errors="replace").strip()[:_SHOWN]
        raise _refused(address, said or str(error)[:_SHOWN], error.status_code) from error
    except (websocket.WebSocketException, OSError) as error:
        raise _lost(address.address, f"{type(error).__name__}: {error}"[:_SHOWN]) from error


def _tls(address: NomadAddress) -> dict[str, Any]:
    found: dict[str, Any] = {"cert_reqs": ssl.CERT_REQUIRED}
    if ca_file := address.ca_file or os.environ.get("REQUESTS_CA_BUNDLE"):
        found["ca_certs"] = ca_file
    if address.client_cert:
        found["certfile"], found["keyfile"] = address.client_cert
    return found


class _Exec:
    """One program in a task, over one socket."""

    def __init__(self, socket: Any, on_output: OnOutput) -> None:
        self._socket, self._on_output = socket, on_output
        self._heard = time.monotonic()
        self._told: dict[str, Callable[[bytes], object]] = {
            "stdout": on_output,
            "stderr": _say,
        }

    def run(self) -> int:
        import websocket

        self._socket.settimeout(_HEARTBEAT)
        threading.Thread(target=self._pass_in, daemon=True).start()
        while time.monotonic() - self._heard < _SILENCE:
            try:
                frame = self._socket.recv_frame()
            except websocket.WebSocketTimeoutException:
                self._send({})
                continue
            except (websocket.WebSocketException, OSError) as error:
                raise _lost("the task", str(error)[:_SHOWN]) from error
            self._heard = time.monotonic()
            if frame.opcode == _CLOSE:
                raise _closed(frame.data)
            code = self._heed(frame.data) if frame.opcode in _DATA else None
            if code is not None:
                return code
        raise _lost("the task", f"nothing was heard for {_SILENCE:.0f} s")

    def _heed(self, data: bytes) -> int | None:
        """The exit code, once it is told."""
        try:
            message = json.loads(data if len(data) <= _LONGEST else b"")
            for name, write in self._told.items():
                if said := (message.get(name) or {}).get("data"):
                    write(base64.b64decode(said))
            if message.get("exited"):
                return int((message.get("result") or {}).get("exit_code") or 0)
        except (ValueError, TypeError, AttributeError) as error:
            raise _lost("the task", f"what came is no message of Nomad's: {error}") from error
        return None

    def _pass_in(self) -> None:
        with suppress(Exception):  # the socket has gone: `run` says so
            while data := os.read(0, _CHUNK):
                self._send({"stdin": {"data": base64.b64encode(data).decode()}})
            self._send({"stdin": {"close": True}})

    def _send(self, message: dict[str, Any]) -> None:
        self._socket.send(json.dumps(message))


def _closed(data: bytes) -> ClusterError | CredentialsError:
    """What Nomad says last where it ends an exec: a status as 4000 and more, and words."""
    code, said = int.from_bytes(data[:2], "big"), data[2:].decode(errors="replace")[:_SHOWN]
    if code == 4403 or _DENIED in said:
        return CredentialsError("Nomad refuses to run a program in the task", why=said)
    return ClusterError("Nomad ended what was run in the task", why=said or f"code {code}")


def _refused(address: NomadAddress, said: str, status: int) -> ClusterError | CredentialsError:
    if status == 403 or _DENIED in said:
        what = f"Nomad at {address.address} refuses to run a program in the task"
        return CredentialsError(what, why=said)
    return ClusterError(f"Nomad at {address.address} runs no program in the task", why=said)


def _lost(who: str, why: str) -> ClusterUnavailable:
    return ClusterUnavailable(
        f"the connection to {who} is lost", why=why, hint="the job goes on; try it again"
    )
