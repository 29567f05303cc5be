"""Exec over a WebSocket: what a server, or something that only looks like one, may answer."""

import base64
import hashlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from coordinator.cluster.nomad.api import NomadAddress
from coordinator.cluster.nomad.execution import by_websocket
from coordinator.errors import ClusterError, ClusterUnavailable, CredentialsError
from coordinator.secrecy import Secret

_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455
TEXT, CLOSE = 1, 8


def frame(opcode: int, data: bytes) -> bytes:
    assert len(data) < 126
    return bytes([0x80 | opcode, len(data)]) + data


def said(message: object) -> bytes:
    return frame(TEXT, json.dumps(message).encode())


def output(text: bytes) -> bytes:
    return said({"stdout": {"data": base64.b64encode(text).decode()}})


@contextmanager
def answering(status: bytes, frames: bytes) -> Iterator[tuple[NomadAddress, list[bytes]]]:
    """A server that takes one connection, answers so, and hangs up; and what it was asked."""
    asked: list[bytes] = []

    def serve() -> None:
        with door.accept()[0] as line:
            request = b""
            while b"\r\n\r\n" not in request:
                request += line.recv(4096)
            asked.append(request)
            key = request.lower().partition(b"sec-websocket-key: ")[2]
            key = request[len(request) - len(key) :].partition(b"\r\n")[0]
            accept = base64.b64encode(hashlib.sha1(key + _MAGIC).digest())
            line.sendall(
                b"HTTP/1.1 " + status + b"\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Content-Length: 0\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n" + frames
            )

    with socket.create_server(("127.0.0.1", 0)) as door:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        port = door.getsockname()[1]
        yield NomadAddress(f"http://127.0.0.1:{port}", token=Secret("a-token")), asked
        thread.join(10)


def run(address: NomadAddress, on_output: Callable[[bytes], None] = lambda _: None) -> int:
    where = {"namespace": "default"}
    return by_websocket("an-allocation", "work", ["echo", "a b"], address, where, on_output)


UPGRADED = b"101 Switching Protocols"


def test_output_comes_as_it_is_and_the_exit_code_at_the_end() -> None:
    pieces: list[bytes] = []
    frames = output(b"one\n") + said({}) + output(b"two") + said({"exited": True, "result": {}})
    with answering(UPGRADED, frames) as (address, asked):
        assert run(address, pieces.append) == 0
    assert pieces == [b"one\n", b"two"]
    head = asked[0].decode()
    assert head.startswith("GET /v1/client/allocation/an-allocation/exec?command=%5B%22echo%22")
    assert "task=work" in head and "namespace=default" in head
    assert "X-Nomad-Token: a-token" in head and "a-token" not in head.splitlines()[0]


def test_an_exit_code_is_passed_on() -> None:
    with answering(UPGRADED, said({"exited": True, "result": {"exit_code": 73}})) as (address, _):
        assert run(address) == 73


@pytest.mark.parametrize(
    "frames",
    [
        b"",
        frame(TEXT, b"no JSON"),
        frame(TEXT, b"[1]"),
        said({"stdout": 3}),
        said({"stdout": {"data": "no base64!"}}),
        said({"stdout": {"data": 7}}),
        said({"exited": True, "result": {"exit_code": "x"}}),
        b"\xff\xff\xff\xff",
    ],
)
def test_what_is_no_answer_of_nomad_s_is_a_lost_connection(frames: bytes) -> None:
    with answering(UPGRADED, frames) as (address, _), pytest.raises(ClusterUnavailable) as told:
        run(address)
    assert "a-token" not in str(told.value)


@pytest.mark.parametrize(
    ("status", "frames"),
    [
        (b"403 Forbidden", b""),
        (UPGRADED, frame(CLOSE, (4403).to_bytes(2, "big") + b"Permission denied")),
        (UPGRADED, frame(CLOSE, (4500).to_bytes(2, "big") + b"rpc error: Permission denied")),
    ],
)
def test_a_right_that_is_missing_is_told_apart(status: bytes, frames: bytes) -> None:
    with answering(status, frames) as (address, _), pytest.raises(CredentialsError):
        run(address)


def test_nomad_s_own_last_word_is_the_reason() -> None:
    frames = frame(CLOSE, (4404).to_bytes(2, "big") + b"Unknown allocation")
    with answering(UPGRADED, frames) as (address, _), pytest.raises(ClusterError) as told:
        run(address)
    assert told.value.why == "Unknown allocation"


def test_nobody_there_is_a_lost_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1]
    with pytest.raises(ClusterUnavailable):
        run(NomadAddress(f"http://127.0.0.1:{port}"))
