"""Questions over HTTP: time limits, another try where one may help, and answers in plain words."""

import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, BinaryIO
from urllib.parse import urljoin, urlsplit

import requests
import urllib3

from coordinator.errors import BadInput, SourceUnreachable
from coordinator.storage import fetching
from coordinator.storage.again import again
from coordinator.storage.connections import Session
from coordinator.storage.hrefs import shown
from coordinator.storage.streams import capped, guarded

# It repeats the address; the last two are those of `connections`.
_CONNECTION = re.compile(r"^(?:HTTPS?Connection(?:Pool)?|_Checked(?:Tls)?|_(?:Tls)?Pool)\(.*?\): ")

_local = threading.local()  # a session keeps connections open, but is not made for many threads


class _Busy(Exception):
    """An answer that another try may change."""

    def __init__(self, response: requests.Response) -> None:
        super().__init__(f"HTTP {response.status_code}")


_WORTH_A_RETRY = (requests.ConnectionError, requests.Timeout, _Busy)
_AS_GET = (301, 302, 303)  # redirects after which everybody asks by GET, whatever it was before


def ask(
    href: str, *, method: str = "GET", body: Mapping[str, Any] | None = None
) -> requests.Response:
    """The answer of a web server, its body not yet read. `body` is sent as JSON.

    Raises:
        BadInput: there is no such thing, or the address cannot be meant or may not be asked.
        SourceUnreachable: no answer, a refusal, or an overloaded server, after several tries.
    """
    try:
        response = _send(method, href, body)
    except _WORTH_A_RETRY as error:
        raise _unreachable(href, error) from error
    except (requests.RequestException, ValueError) as error:  # ValueError: no URL
        raise BadInput(
            f"{shown(href)} cannot be asked for",
            why=_plain(error),
            hint="check the address",
        ) from error
    if response.status_code >= 400:
        response.close()
        raise _refusal(href, response.status_code)
    return response


@again(on=_WORTH_A_RETRY)
def _send(method: str, href: str, body: Mapping[str, Any] | None) -> requests.Response:
    """Redirects are followed here: requests would read the whole body of each of them."""
    for _ in range(1 + fetching.MAX_REDIRECTS):
        response = _send_one(method, href, body)
        if not response.is_redirect:
            return response
        response.close()
        href = urljoin(href, _location(response))
        fetching.refuse_scheme(shown(href), urlsplit(href).scheme)
        if response.status_code in _AS_GET:
            method, body = "GET", None
    raise requests.TooManyRedirects(f"more than {fetching.MAX_REDIRECTS} redirects")


def _send_one(method: str, href: str, body: Mapping[str, Any] | None) -> requests.Response:
    response = _session().request(
        method,
        href,
        json=body,
        stream=True,
        allow_redirects=False,
        timeout=(fetching.CONNECT_SECONDS, fetching.READ_SECONDS),
    )
    if response.status_code == 429 or response.status_code >= 500:
        response.close()
        raise _Busy(response)
    return response


def _location(response: requests.Response) -> str:
    return response.headers["location"].encode("latin-1", "replace").decode("utf-8", "replace")


def _session() -> requests.Session:
    if not hasattr(_local, "session"):
        _local.session = Session()
    session: requests.Session = _local.session
    return session


def body_of(response: requests.Response, href: str, max_bytes: int) -> BinaryIO:
    """A stream of the body.

    Reading it raises BadInput where it is too large, SourceUnreachable where it breaks off or
    hardly moves.
    """
    read = capped(_paced(response), href, max_bytes)
    return guarded(read, response.close, lambda: _reading(href))


def _paced(response: requests.Response) -> Callable[[int], bytes]:
    """Reads what has come, as long as enough comes: one byte a minute would never end."""
    waited, total = 0.0, 0

    def read(size: int) -> bytes:
        nonlocal waited, total
        began = time.monotonic()
        data = bytes(response.raw.read1(size, decode_content=True))
        waited, total = waited + time.monotonic() - began, total + len(data)
        if waited > fetching.PATIENCE_SECONDS + total / fetching.LEAST_PACE:
            raise requests.Timeout(f"{total:,} bytes in {waited:.0f} s")
        return data

    return read


@contextmanager
def _reading(href: str) -> Iterator[None]:
    """Translates what goes wrong while an answer's body is read."""
    try:
        yield
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
        raise _unreachable(href, error) from error


def _unreachable(href: str, error: Exception) -> SourceUnreachable:
    return SourceUnreachable(
        f"{shown(href)} does not answer",
        why=_plain(error),
        hint="check the address, the network and the server, then try again",
    )


def _refusal(href: str, status: int) -> BadInput | SourceUnreachable:
    if status in (401, 403, 407):
        return SourceUnreachable(
            f"{shown(href)} refuses access",
            why=f"HTTP {status}",
            hint="check the rights; a signed address may have expired",
        )
    why = "it is not there" if status in (404, 410) else "the server refuses the question"
    return BadInput(
        f"{shown(href)} cannot be read", why=f"{why} (HTTP {status})", hint="check the address"
    )


def _plain(error: Exception) -> str:
    if isinstance(error, requests.ConnectTimeout | requests.ReadTimeout):
        limits = fetching.CONNECT_SECONDS, fetching.READ_SECONDS
        return "no answer within {:.0f} s to connect, {:.0f} s to read".format(*limits)
    return innermost(error)


def innermost(error: Exception) -> str:
    """The reason that requests and urllib3 wrapped into others, in plain words."""
    cause: object = error
    while isinstance(cause, Exception) and (inner := _inner(cause)) is not None:
        cause = inner
    return shown(_CONNECTION.sub("", str(cause)) or type(cause).__name__)


def _inner(error: Exception) -> Exception | None:
    reason = getattr(error, "reason", None)
    if isinstance(reason, Exception):
        return reason
    found = error.args[0] if error.args else None
    return found if isinstance(found, Exception) else None
