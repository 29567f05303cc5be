"""Nomad's HTTP API: one way to call it, and every error told apart once.

python-nomad carries the requests. What it leaves open is settled here: TLS is verified, waits are
longer than an election (a server without a leader answers after 5 s), connections are kept for the
next call, and an error says whether another try may help.
"""

import io
import json
import os
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import requests
import urllib3
from nomad.api.base import Requester
from nomad.api.exceptions import BaseNomadException

from coordinator.errors import ClusterError, ClusterUnavailable, CredentialsError
from coordinator.secrecy import NO_SECRET, Secret

CONNECT_SECONDS, READ_SECONDS = 5.0, 15.0
WHOLE_SECONDS = 60.0  # for the body of a document: one that drips is as good as none

_CHUNK = 2**16
_SHOWN = 300  # characters of Nomad's own words in a message
# What a server says, with status 500, of a request that it will never take.
_REFUSALS = (
    "Dispatch did not provide required meta keys",
    "Dispatch request included unpermitted metadata keys",
    "Payload ",
    "parameterized job not found",
    "is stopped",
    "is not a parameterized job",
    "error occurred:",
    "errors occurred:",
    "Enforcing job modify index",
    "job not found",
    "not found",
    "Unset variable",
)
_DENIED = "Permission denied"  # with 403; with 500 where an agent passes on what a node said
_MISSING = ("not found", "No path to node", "Unknown allocation", "not started yet", "no such")
# What it says, with status 500 too, where nothing may be concluded.
_OUTAGES = ("failed to get conn", "EOF", "No cluster leader", "No path to region", "timed out")


class NomadRefusal(ClusterError):
    """A request that Nomad understood and will never take. `status`: of the HTTP reply."""

    def __init__(self, what: str, *, why: str = "", hint: str = "", status: int = 0) -> None:
        super().__init__(what, why=why, hint=hint)
        self.status = status


@dataclass(frozen=True)
class NomadAddress:
    """Where a Nomad is, and as whom it is asked. Empty = as Nomad itself takes it by default."""

    address: str = "http://127.0.0.1:4646"
    namespace: str = "default"
    region: str = ""
    token: Secret = NO_SECRET
    ca_file: str = ""  # PEM; "" = the system's authorities
    client_cert: tuple[str, str] | None = None  # certificate and key, PEM files


class NomadApi:
    """Calls one Nomad. Safe for many threads.

    Every method raises ClusterUnavailable where nothing may be concluded (a request that changes
    something may have been carried out), CredentialsError where the token is absent, expired or
    lacks a right, and NomadRefusal where no other try will help.
    """

    def __init__(self, address: NomadAddress) -> None:
        self.address = address
        self._idle: deque[Requester] = deque()  # with their open connections

    def get(self, *path: str, **params: Any) -> Any:
        """The JSON document at `path`."""
        return self.document(self.call("get", *path, params=params))

    def get_or_none(self, *path: str, **params: Any) -> dict[str, Any] | None:
        """The JSON object at `path`, or None if it is not there."""
        try:
            found = self.get(*path, **params)
        except NomadRefusal as error:
            if error.status == 404:
                return None
            raise
        if not isinstance(found, dict):
            raise self._foreign(found)
        return found

    def get_all(self, *path: str, **params: Any) -> list[dict[str, Any]]:
        """The list at `path`, of documents with an ID each."""
        return self.listed(self.call("get", *path, params=params))

    def put(self, *path: str, json: Any = None, **params: Any) -> Any:
        return self.document(self.call("put", *path, params=params, json=json))

    def post(self, *path: str, json: Any = None, **params: Any) -> Any:
        return self.document(self.call("post", *path, params=params, json=json))

    def delete(self, *path: str, **params: Any) -> Any:
        return self.document(self.call("delete", *path, params=params))

    def document(self, reply: requests.Response) -> Any:
        """The JSON of a reply, None of an empty one. Raises ClusterUnavailable: it is none."""
        try:
            return reply.json() if reply.content.strip() else None
        except (ValueError, requests.RequestException) as error:
            raise ClusterUnavailable(
                f"what answers at {self.address.address} is no Nomad, or was cut off",
                why=f"status {reply.status_code}, and no JSON",
                hint="check NOMAD_ADDR, and what stands between here and there",
            ) from error

    def listed(self, reply: requests.Response) -> list[dict[str, Any]]:
        """The list of a reply. Raises ClusterUnavailable: what answers is something else."""
        found = self.document(reply)
        if not isinstance(found, list) or not all(map(_has_id, found)):
            raise self._foreign(found)
        return found

    def _foreign(self, found: object) -> ClusterUnavailable:
        return ClusterUnavailable(
            f"what answers at {self.address.address} is no Nomad",
            why=f"Nomad would not say {json.dumps(found)[:_SHOWN]}",
            hint="check NOMAD_ADDR, and what stands between here and there",
        )

    def stream(self, *path: str, read_seconds: float, **params: Any) -> requests.Response:
        """A reply whose body is read as it comes; the caller closes it."""
        timeout = (CONNECT_SECONDS, read_seconds)
        return self.call("get", *path, params=params, stream=True, timeout=timeout)

    def call(
        self,
        method: str,
        *path: str,
        params: dict[str, Any],
        timeout: tuple[float, float] = (CONNECT_SECONDS, READ_SECONDS),
        **more: Any,
    ) -> requests.Response:
        """The reply to one request; `namespace` and `region` are in it where they are not given."""
        query = {"namespace": self.address.namespace, **params}
        try:
            with self._borrowed() as requester:
                reply: requests.Response = requester.request(  # type: ignore[no-untyped-call]
                    *path, method=method, params=query, timeout=timeout, **more
                )
        except BaseNomadException as error:
            raise self._translated(error, "/".join(path)) from error
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise self._silent(error) from error
        if reply.is_redirect:
            raise ClusterUnavailable(
                f"what answers at {self.address.address} is no Nomad",
                why=f"it redirects {'/'.join(path)}",
                hint="give Nomad's own address; the token is sent nowhere else",
            )
        return reply

    @contextmanager
    def _borrowed(self) -> Iterator[Requester]:
        """A requester for one call: sessions are not made for several at a time, and are kept."""
        try:
            requester = self._idle.pop()
        except IndexError:
            requester = _requester(self.address)
        try:
            yield requester
        finally:
            self._idle.append(requester)

    def _translated(self, error: BaseNomadException, path: str) -> Exception:
        reply = error.nomad_resp
        if not isinstance(reply, requests.Response):
            return self._silent(error)
        said = _said(reply)
        if reply.status_code == 403 or _DENIED in said:
            return CredentialsError(
                f"Nomad at {self.address.address} refuses {path}",
                why=said or "Permission denied",
                hint="check NOMAD_TOKEN; coordinator doctor names the rights that are missing",
            )
        if _refuses(reply.status_code, path, said):
            return NomadRefusal(f"Nomad refuses {path}", why=said, status=reply.status_code)
        return ClusterUnavailable(
            f"Nomad at {self.address.address} cannot answer now ({reply.status_code})",
            why=said,
            hint="nothing is lost; it is asked again",
        )

    def _silent(self, error: Exception) -> ClusterUnavailable:
        return ClusterUnavailable(
            f"Nomad at {self.address.address} does not answer",
            why=_plain(error),
            hint="check NOMAD_ADDR and the network; nothing is lost, it is asked again",
        )


class _InTime(requests.Session):
    """Reads bodies as a whole within a time limit; a timeout alone ends none that drips."""

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        as_it_comes = options.pop("stream", False)
        reply = super().send(request, stream=True, **options)
        if not as_it_comes:
            reply.raw = io.BytesIO(_whole(reply))  # decoded, and it gives its connection back
        return reply


def _whole(reply: requests.Response) -> bytes:
    """All of a body. Raises ReadTimeout where it does not come to its end in time."""
    deadline, pieces = time.monotonic() + WHOLE_SECONDS, []
    while piece := reply.raw.read1(_CHUNK, decode_content=True):
        pieces.append(piece)
        if time.monotonic() > deadline:
            reply.close()
            raise requests.ReadTimeout(f"not all of the answer came within {WHOLE_SECONDS:.0f} s")
    return b"".join(pieces)


class _AnyPath(Requester):
    """Reaches every path below /v1, not only those of one endpoint."""

    def _endpoint_builder(self, *path: str) -> str:
        return "/".join((self.version, *filter(None, path)))


def _requester(address: NomadAddress) -> Requester:
    return _AnyPath(
        address=address.address.rstrip("/"),
        token=address.token.reveal() or None,
        region=address.region or None,
        verify=address.ca_file or os.environ.get("REQUESTS_CA_BUNDLE") or True,  # type: ignore[arg-type]
        cert=address.client_cert or (),
        session=_session(address.address),
    )


def _session(address: str) -> requests.Session:
    """Proxies are looked up once, not at every request; what .netrc holds is never sent."""
    session = _InTime()
    session.proxies.update(requests.utils.get_environ_proxies(address))
    session.trust_env = False
    session.max_redirects = 0  # the token is for this address alone
    return session


def _refuses(status: int, path: str, said: str) -> bool:
    """Whether Nomad itself will never take the request.

    A 404 in other words than Nomad's is of something between, such as a proxy without a backend. A
    500 is told by its words, which an agent that passes a request on wraps in `rpc error: `.
    """
    if status == 404:
        return any(text in said for text in _MISSING) and "page not found" not in said
    if status != 500 or any(text in said for text in _OUTAGES):
        return status in (400, 405, 409, 413)
    return path.startswith("client/fs/") or any(text in said for text in _REFUSALS)


def _has_id(entry: object) -> bool:
    return isinstance(entry, dict) and isinstance(entry.get("ID"), str)


def _said(reply: requests.Response) -> str:
    try:
        return " ".join(reply.text.split())[:_SHOWN]
    except requests.RequestException:
        return ""  # cut off


def _plain(error: Exception) -> str:
    """The innermost reason, in one line: requests and urllib3 wrap it several times."""
    inner: BaseException = error
    while isinstance(deeper := _within(inner), BaseException):
        inner = deeper
    return f"{type(inner).__name__}: {inner}"[:_SHOWN]


def _within(error: BaseException) -> object:
    first = error.args[0] if error.args else None
    return getattr(error, "nomad_resp", None) or getattr(error, "reason", None) or first
