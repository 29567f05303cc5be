"""What may be fetched, from where, and how much of it. The only place that decides.

A name is judged by the addresses that it resolves to, and the connection goes to an address that
was judged: a name that means something else the next moment gains nothing by it. Each redirect is
a connection of its own, so it is judged as well.

The rules hold for the whole process: a caller that knows nothing of them cannot loosen them.
"""

import ipaddress
import socket
from collections.abc import Iterator

from coordinator.domain.reach import Reach
from coordinator.domain.shown import for_terminal
from coordinator.errors import BadInput

WEB_SCHEMES = frozenset({"http", "https"})
REMOTE_SCHEMES = WEB_SCHEMES | {"s3"}

MAX_FILE_BYTES = 1 << 30  # no text file or catalog comes near: more is a mistake or an attack
MAX_ANSWER_BYTES = 256 << 20  # of one page of an API
MAX_LINE_BYTES = 16 << 20  # of a file with one item a line
MAX_DEPTH = 32  # catalogs below one another
MAX_PAGES = 50_000  # of one question
MAX_IDLE_PAGES = 10  # in a row that bring nothing new, after which the server is not believed
MAX_REDIRECTS = 10

CONNECT_SECONDS = 10.0
READ_SECONDS = 60.0  # between two bytes
HEADER_SECONDS = 120.0  # until an answer begins
PATIENCE_SECONDS = 60.0  # after which a body must have come at LEAST_PACE on average
LEAST_PACE = 1000  # bytes a second

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # an IPv4 address in its last four bytes

_reach = Reach()


def allow(reach: Reach) -> None:
    """From now on this process may ask whatever `reach` says, and nothing else."""
    global _reach
    _reach = reach


def allowed() -> Reach:
    """What this process may ask, for another that is to have the same rules."""
    return _reach


def refuse_scheme(href: str, scheme: str) -> None:
    """Raises BadInput unless a web server is asked by that scheme."""
    if scheme not in WEB_SCHEMES:
        raise BadInput(
            f"{for_terminal(href)} cannot be asked for",
            why=f"a web server may lead to http and https only, not to {for_terminal(scheme)!r}",
            hint="tell whoever runs the server",
        )


def judged(host: str, port: int) -> list[str]:
    """The addresses of `host` that may be connected to, as numbers; at least one.

    Raises:
        BadInput: there is none.
        socket.gaierror: the name does not resolve.
    """
    refuse_name(host)
    found = list(dict.fromkeys(_resolved(host, port)))
    good = [address for address in found if _may_ask(ipaddress.ip_address(address))]
    if not good:
        first = _inside(ipaddress.ip_address(found[0]))
        raise BadInput(
            f"{for_terminal(host)} may not be asked",
            why=f"its address {first} is not public, and allow_networks does not name it",
            hint=f"if that server is meant: allow_networks: [{first}] in the settings",
        )
    return good


def refuse_name(host: str) -> None:
    """Raises BadInput for a name that the settings leave out."""
    name = _plain(host)
    if _reach.hosts and not any(_is_named(name, _plain(entry)) for entry in _reach.hosts):
        raise BadInput(
            f"{for_terminal(host)} may not be asked",
            why="allow_hosts in the settings does not name it",
            hint=f"if that server is meant: allow_hosts: [{for_terminal(name)}] beside the others",
        )


def _plain(host: str) -> str:
    return host.strip("[]").rstrip(".").lower()


def _is_named(name: str, entry: str) -> bool:
    return name.endswith(entry[1:]) if entry.startswith("*.") else name == entry


def _resolved(host: str, port: int) -> Iterator[str]:
    for *_, place in socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM):
        yield str(place[0]).partition("%")[0]  # without the zone of a link-local address


def _may_ask(address: _Address) -> bool:
    inner = _inside(address)
    return _is_public(inner) or any(inner in network for network in _reach.networks)


def _inside(address: _Address) -> _Address:
    """The IPv4 address that an IPv6 address only stands for, or the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    teredo = address.teredo[1] if address.teredo else None
    return address.ipv4_mapped or address.sixtofour or teredo or address


def _is_public(address: _Address) -> bool:
    return address.is_global and not address.is_multicast and not address.is_reserved
