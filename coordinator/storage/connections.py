"""Connections that go where `fetching` lets them, for requests and urllib3."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.utils import select_proxy
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.response import HTTPResponse
from urllib3.util.connection import create_connection

from coordinator.storage import fetching


class _Checked(HTTPConnection):
    """Resolves the name itself, and connects to an address that was judged."""

    def _new_conn(self) -> socket.socket:
        try:
            addresses = fetching.judged(self.host, self.port)
        except socket.gaierror as error:
            raise NameResolutionError(self.host, self, error) from error
        return self._first_of(addresses)

    def _first_of(self, addresses: list[str]) -> socket.socket:
        fault: Exception | None = None
        for address in addresses:
            try:
                return create_connection(
                    (address, self.port),
                    self.timeout,
                    source_address=self.source_address,
                    socket_options=self.socket_options,
                )
            except TimeoutError as error:
                fault = ConnectTimeoutError(self, f"connecting to {address} took too long")
                fault.__cause__ = error
            except OSError as error:
                fault = NewConnectionError(self, str(error))
                fault.__cause__ = error
        assert fault is not None
        raise fault

    def getresponse(self) -> HTTPResponse:  # type: ignore[override]  # as urllib3 itself has it
        # Whoever waits longer between two bytes waits for a server that thinks before it answers.
        patience = max(fetching.HEADER_SECONDS, float(self.timeout or 0))
        with _cut_after(self.sock, patience):
            return super().getresponse()


class _CheckedTls(_Checked, HTTPSConnection):
    """The same with TLS; the certificate is still checked against the name."""


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Checked


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _CheckedTls


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *arguments: Any, **more: Any) -> None:
        super().init_poolmanager(*arguments, **more)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}

    def send(
        self, request: requests.PreparedRequest, *arguments: Any, **more: Any
    ) -> requests.Response:
        if select_proxy(request.url or "", more.get("proxies")):
            _refuse_before_proxy(request.url or "")
        return super().send(request, *arguments, **more)


class Session(requests.Session):
    """Asks only what may be asked. Redirects are followed by nobody here: see `http.ask`."""

    def __init__(self) -> None:
        super().__init__()
        for scheme in fetching.WEB_SCHEMES:
            self.mount(f"{scheme}://", _Adapter())

    def get_redirect_target(self, resp: requests.Response) -> None:
        """None, else requests would read the whole body of each redirect first."""


def _refuse_before_proxy(url: str) -> None:
    """A proxy connects to where it likes; what is known here to be refused is not asked of it."""
    parts = urlsplit(url)
    try:
        fetching.judged(parts.hostname or "", parts.port or 0)
    except socket.gaierror:  # names that only the proxy can resolve
        fetching.refuse_name(parts.hostname or "")


@contextmanager
def _cut_after(connection: socket.socket | None, seconds: float) -> Iterator[None]:
    """Cuts the connection if the block takes longer: each byte that drips in resets a timeout."""
    is_cut = threading.Event()
    timer = threading.Timer(seconds, _cut, [connection, is_cut])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
    if is_cut.is_set():
        raise TimeoutError  # half a head reads like a whole one


def _cut(connection: socket.socket | None, is_cut: threading.Event) -> None:
    is_cut.set()
    with suppress(OSError):
        if connection is not None:
            socket.socket.shutdown(connection, socket.SHUT_RDWR)
