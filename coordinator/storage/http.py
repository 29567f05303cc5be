"""Questions over HTTP: time limits, another try where one may help, and answers in plain words."""

import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import requests
import urllib3

from coordinator.errors import BadInput, SourceUnreachable
from coordinator.storage.again import again
from coordinator.storage.hrefs import shown

CONNECT_SECONDS = 10.0
READ_SECONDS = 60.0  # between two bytes

_CONNECTION = re.compile(r"^HTTPS?Connection(?:Pool)?\(.*?\): ")  # it repeats the address

_local = threading.local()  # a session keeps connections open, but is not made for many threads


class _Busy(Exception):
    """An answer that another try may change."""

    def __init__(self, response: requests.Response) -> None:
        super().__init__(f"HTTP {response.status_code}")


_WORTH_A_RETRY = (requests.ConnectionError, requests.Timeout, _Busy)


def ask(
    href: str, *, method: str = "GET", body: Mapping[str, Any] | None = None
) -> requests.Response:
    """The answer of a web server, its body not yet read. `body` is sent as JSON.

    Raises:
        BadInput: there is no such thing, or the address cannot be meant.
        SourceUnreachable: no answer, a refusal, or an overloaded server, after several tries.
    """
    try:
        response = _send(method, href, body)
    except _WORTH_A_RETRY as error:
        raise _unreachable(href, error) from error
    except (requests.RequestException, UnicodeError) as error:
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
    response = _session().request(
        method, href, json=body, stream=True, timeout=(CONNECT_SECONDS, READ_SECONDS)
    )
    if response.status_code == 429 or response.status_code >= 500:
        response.close()
        raise _Busy(response)
    return response


def _session() -> requests.Session:
    if not hasattr(_local, "session"):
        _local.session = requests.Session()
    session: requests.Session = _local.session
    return session


@contextmanager
def reading(href: str) -> Iterator[None]:
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
    """The innermost reason: requests and urllib3 wrap theirs several times."""
    if isinstance(error, requests.Timeout):
        return f"no answer within {CONNECT_SECONDS:.0f} s to connect, {READ_SECONDS:.0f} s to read"
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
