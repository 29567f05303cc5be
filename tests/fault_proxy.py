"""A proxy before a real HTTP server, which answers in its place when a test says so."""

import contextlib
import http.client
import io
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any, BinaryIO

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.servers import Answer, S3Server, serving


@dataclass
class Passing:
    """One request that reached the proxy."""

    method: str
    path: str  # with its query
    headers: dict[str, str]


@dataclass
class FaultProxy:
    """Where it listens, what came, and what it does instead of passing a request on."""

    url: str = ""
    fault: Callable[[Passing], Answer | None] = lambda _request: None  # None = pass it on
    cut: Callable[[Passing], bool] = lambda _request: False  # whether its answer is lost on the way
    # A body without a length, as it comes; None = an answer like any other.
    pour: Callable[[Passing], Iterable[bytes] | None] = lambda _request: None
    seconds_a_byte: Callable[[Passing], float] = lambda _request: 0.0  # head and body
    seen: list[Passing] = field(default_factory=list)


class Dripping(io.BufferedIOBase):
    """Writes one byte at a time, for as long as there is a pause after each."""

    def __init__(self, to: BinaryIO, pause: Callable[[], float]) -> None:
        self._to, self._pause = to, pause

    def write(self, data: Any) -> int:
        for byte in bytes(data):
            self._to.write(bytes((byte,)))
            time.sleep(self._pause())
        return len(data)

    def flush(self) -> None:
        self._to.flush()


def refusal(code: str, status: int = 400) -> Answer:
    """What S3 answers to a request that it refuses."""
    body = f"<Error><Code>{code}</Code><Message>because</Message></Error>".encode()
    return status, {"content-type": "application/xml"}, body


def signed_by(server: S3Server) -> Callable[[Passing, bytes], dict[str, str]]:
    """Signs a request anew with the server's own keys, whoever had signed it.

    The server knows no keys with a session token; so a test can give out such keys itself.
    """

    def sign(request: Passing, body: bytes) -> dict[str, str]:
        drop = ("authorization", "x-amz-security-token", "x-amz-date", "x-amz-content-sha256")
        kept = {k: v for k, v in request.headers.items() if k.lower() not in (*drop, "host")}
        asked = AWSRequest(request.method, server.endpoint + request.path, kept, body)
        keys = Credentials(server.access_key, server.secret_key)
        S3SigV4Auth(keys, "s3", "us-east-1").add_auth(asked)
        return dict(asked.headers.items())

    return sign


@contextlib.contextmanager
def fault_proxy(
    upstream: str,
    sign: Callable[[Passing, bytes], dict[str, str]] = lambda request, _body: request.headers,
) -> Iterator[FaultProxy]:
    """A proxy before `upstream` (`http://host:port`). Signatures hold: it keeps the host header."""
    proxy = FaultProxy()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            request = Passing(self.command, self.path, dict(self.headers.items()))
            proxy.seen.append(request)
            if (pieces := proxy.pour(request)) is not None:
                self.pour(pieces)
                return
            status, headers, data = proxy.fault(request) or self.passed_on(request, body)
            if proxy.cut(request):
                self.close_connection = True
                return
            direct = self.wfile
            if proxy.seconds_a_byte(request):
                self.wfile = Dripping(direct, lambda: proxy.seconds_a_byte(request))
            with contextlib.suppress(OSError):
                self.answer(status, headers, data)
            self.wfile = direct

        def answer(self, status: int, headers: dict[str, str], data: bytes) -> None:
            self.send_response(status)
            for name, value in {"content-length": str(len(data)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        do_POST = do_PUT = do_DELETE = do_HEAD = do_GET

        def pour(self, pieces: Iterable[bytes]) -> None:
            self.close_connection = True
            self.send_response(200)
            self.send_header("connection", "close")
            self.end_headers()
            with contextlib.suppress(OSError):
                for piece in pieces:
                    self.wfile.write(piece)

        def passed_on(self, request: Passing, body: bytes) -> Answer:
            connection = http.client.HTTPConnection(upstream.removeprefix("http://"), timeout=60)
            try:
                headers = sign(request, body)
                connection.request(request.method, request.path, body, headers)
                answer = connection.getresponse()
                drop = {"transfer-encoding", "connection", "keep-alive"}
                kept = {k.lower(): v for k, v in answer.getheaders() if k.lower() not in drop}
                return answer.status, kept, answer.read()
            finally:
                connection.close()

        def log_message(self, *_: object) -> None:
            pass

    with serving(Handler) as proxy.url:
        yield proxy
