"""Real servers that tests talk to: S3 (versitygw), a STAC API (rustac), files over HTTP."""

import contextlib
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import boto3
import pytest
from agents import free_port

from coordinator.domain.reach import Reach
from coordinator.storage import fetching
from tests.support import require_cluster_program

START_SECONDS = 30.0
BUCKET = "test-bucket"


@dataclass(frozen=True)
class S3Server:
    """An S3 server that has been started."""

    endpoint: str
    access_key: str
    secret_key: str

    @property
    def environment(self) -> dict[str, str]:
        """What a client finds it and its keys by."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A real S3 server. Its first build takes a minute or two: give tests a longer time limit."""
    with started_s3(tmp_path_factory.mktemp("s3"), "test-key", "test-secret") as server:
        yield server


@contextlib.contextmanager
def started_s3(folder: Path, access_key: str, secret_key: str) -> Iterator[S3Server]:
    """A real S3 server with its buckets in `folder`, for whoever has these keys."""
    server = S3Server(f"http://127.0.0.1:{free_port()}", access_key, secret_key)
    command = [require_cluster_program("versitygw"), "--access", access_key, "--secret", secret_key]
    command += ["--port", server.endpoint.removeprefix("http://"), "--quiet", "posix", str(folder)]
    with started(command, server.endpoint, folder.with_suffix(".log")):
        yield server


@pytest.fixture
def s3_bucket(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of an empty bucket; endpoint and keys stand in the environment."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in server_environment(s3_server).items():
        monkeypatch.setenv(name, value)
    client = s3_client()
    with contextlib.suppress(client.exceptions.BucketAlreadyOwnedByYou):
        client.create_bucket(Bucket=BUCKET)
    yield BUCKET
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET):
        for entry in page.get("Contents", []):
            client.delete_object(Bucket=BUCKET, Key=entry["Key"])


def s3_client() -> Any:
    """A client for what the environment says now: boto3's own keeps the keys of its first use."""
    return boto3.Session().client("s3")


def server_environment(server: S3Server) -> dict[str, str]:
    """The server's environment, without any file of the machine's user."""
    nowhere = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    return server.environment | nowhere


@contextlib.contextmanager
def stac_api(folder: Path, *hrefs: Path) -> Iterator[str]:
    """The address of a real STAC API that holds these collections and items."""
    address = f"127.0.0.1:{free_port()}"
    program = Path(sys.executable).parent / "rustac"
    command = [str(program), "serve", *map(str, hrefs), "--addr", address]
    with started(command, f"http://{address}", folder / "rustac.log"):
        yield f"http://{address}"


@contextlib.contextmanager
def started(command: list[str], url: str, log: Path) -> Iterator[None]:
    """A server process while the block runs, waited for until it takes connections."""
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out)
        try:
            wait_for(lambda: answers(url) or process.poll() is not None)
            assert process.poll() is None, f"{command[0]} ended: {log.read_text()}"
            yield
        finally:
            process.terminate()
            process.wait(timeout=10)


def answers(url: str) -> bool:
    host, _, port = url.removeprefix("http://").partition(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except OSError:
        return False
    return True


def wait_for(is_true: Callable[[], bool], seconds: float = START_SECONDS) -> None:
    end = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.02)


@dataclass
class WebServer:
    """A web server in this process that notes what it is asked for."""

    url: str
    requests: list[str] = field(default_factory=list)  # as "GET /path?query"


Answer = tuple[int, dict[str, str], bytes]  # status, headers, body


@contextlib.contextmanager
def web_server(answer: Callable[[str, bytes], Answer]) -> Iterator[WebServer]:
    """Answers each request by `answer(request, body)`, the request as `GET /path?query`."""
    server = WebServer("")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # else each answer waits 40 ms for the client

        def do_GET(self) -> None:
            request = f"{self.command} {self.path}"
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            server.requests.append(request)
            status, headers, data = answer(request, body)
            self.send_response(status)
            for name, value in {"content-length": str(len(data)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(data)
            self.close_connection = headers.get("connection") == "close"

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    with serving(Handler) as server.url:
        yield server


@pytest.fixture
def loopback_allowed() -> Iterator[None]:
    """This process may ask servers on this machine, which it may not otherwise."""
    fetching.allow(Reach(networks=(ip_network("127.0.0.0/8"),)))
    yield
    fetching.allow(Reach())


@contextlib.contextmanager
def file_server(folder: Path) -> Iterator[WebServer]:
    """A static web server over a folder."""
    server = WebServer("")

    class Handler(SimpleHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # else each answer waits 40 ms for the client

        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments, directory=str(folder))  # type: ignore[arg-type]

        def log_message(self, *_: object) -> None:
            server.requests.append(f"{self.command} {self.path}")

    with serving(Handler) as server.url:
        yield server


@contextlib.contextmanager
def serving(
    handler: type[BaseHTTPRequestHandler], tls: ssl.SSLContext | None = None
) -> Iterator[str]:
    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False
        request_queue_size = 64

        def handle_error(self, *_: object) -> None:
            """A client that goes away early is no fault."""

    server = Server(("127.0.0.1", 0), handler)
    if tls:
        server.socket = tls.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
