"""Only what the settings allow is fetched, however it is spelt and whoever points at it.

The servers that must not be reached listen on 127.0.0.2 and ::1 and count what they are asked; the
allowed one, whose words point there, is on 127.0.0.1.
"""

import contextlib
import json
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
import stamina

from coordinator.catalog import Needs, open_source, select_items
from coordinator.cli.app import run
from coordinator.domain.reach import Reach
from coordinator.errors import BadInput, CoordinatorError, ExitCode, SourceUnreachable
from coordinator.storage import fetching, is_remote, open_location
from tests import stac
from tests.servers import Answer, WebServer, serving, web_server
from tests.support import require_program

ALLOWED = Reach(networks=(ip_network("127.0.0.1"),))
EVERYTHING = Reach(networks=(ip_network("0.0.0.0/0"), ip_network("::/0")))


def has_ipv6() -> bool:
    """Whether this machine can talk to itself by IPv6; some containers cannot."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


# Each of these is one of the two servers, if somebody connects to it.
SPELLINGS = (
    "http://127.0.0.2:{v4}/x",
    "http://127.2:{v4}/x",
    "http://127.0.2:{v4}/x",
    "http://2130706434:{v4}/x",
    "http://0x7f000002:{v4}/x",
    "http://0x7f.0.0.2:{v4}/x",
    "http://0177.0.0.2:{v4}/x",
    "http://0177.0x0.0.02:{v4}/x",
    "HTTP://127.0.0.2:{v4}/x",
    "http://example.org@127.0.0.2:{v4}/x",
    "http://example.org:80@127.0.0.2:{v4}/x",
    "http://127.0.0.2:{v4}/x?@example.org",
    "http://127.0.0.2:{v4}#@example.org/",
    "http://[::ffff:127.0.0.2]:{v4}/x",
    "http://[::ffff:7f00:2]:{v4}/x",
    "http://[0:0:0:0:0:ffff:7f00:0002]:{v4}/x",
    "http://[::1]:{v6}/x",
    "http://[0:0:0:0:0:0:0:1]:{v6}/x",
    "http://[0000:0000:0000:0000:0000:0000:0000:0001]:{v6}/x",
)
REACHABLE = tuple(text for text in SPELLINGS if "{v6}" not in text or has_ipv6())
# And these lead to what a cloud or a network keeps for itself, or to no web server at all.
ELSEWHERE = (
    "http://169.254.169.254/latest/meta-data/",
    "http://[fd00:ec2::254]/latest/meta-data/",
    "http://[::ffff:169.254.169.254]/",
    "http://[64:ff9b::a9fe:a9fe]/",
    "http://[2002:a9fe:a9fe::]/",
    "http://[2001:0:4136:e378:8000:63bf:5601:5601]/",
    "http://10.0.0.1/",
    "http://172.16.0.1/",
    "http://192.168.0.1/",
    "http://100.64.0.1/",
    "http://0.0.0.0/",
    "http://[::]/",
    "http://224.0.0.1/",
    "http://[ff02::1]/",
    "http://[fe80::1]/",
    "http://240.0.0.1/",
    "http://255.255.255.255/",
    "https://127.0.0.2:{v4}/",
    "file:///etc/passwd",
    "file://127.0.0.2/etc/passwd",
    "gopher://127.0.0.2:{v4}/_GET",
    "ftp://127.0.0.2:{v4}/x",
    "dict://127.0.0.2:{v4}/x",
    "ldap://127.0.0.2:{v4}/x",
    "jar:http://127.0.0.2:{v4}/x!/y",
    "data:application/json,{{}}",
    "unix:///var/run/docker.sock",
    "http+unix://%2Fvar%2Frun%2Fdocker.sock/x",
    "s3://127.0.0.2:{v4}/x",
    "s3://arn:aws:s3:us-east-1:1:accesspoint/x",
    "s3://bucket/../other",
    "//127.0.0.2:{v4}/x",
)
MALFORMED = (
    "http://[::1/x",
    "http://[127.0.0.2]:{v4}/x",
    "http://127.0.0.2:99999/x",
    "http://127.0.0.2:port/x",
    "http://",
    "http:///127.0.0.2/x",
    "http://a..b/x",
    "http://" + "a" * 70 + ".example/x",
    "http://①②⑦.⓪.⓪.②:{v4}/x",
    "http://\N{FULLWIDTH DIGIT ONE}27.0.0.2:{v4}/x",
)
HREFS = (*SPELLINGS, *ELSEWHERE, *MALFORMED)
OF_THE_USER = tuple(href for href in HREFS if href != "file:///etc/passwd")  # who may read files
OF_A_SELF_LINK = tuple(href for href in HREFS if is_remote(href))  # others are not heeded


@pytest.fixture(autouse=True)
def no_waiting() -> Iterator[None]:
    with stamina.set_testing(True, attempts=2):
        yield


@pytest.fixture(autouse=True)
def only_the_first_is_allowed() -> Iterator[None]:
    fetching.allow(ALLOWED)
    yield
    fetching.allow(Reach())


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever gets as far as S3 ends there."""
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/dev/null")


class Forbidden:
    """Two servers that count connections, one on 127.0.0.2 and one on ::1."""

    def __init__(self) -> None:
        self.reached: list[str] = []
        v6 = self._serve("::1") if has_ipv6() else 9
        self.ports = {"v4": self._serve("127.0.0.2"), "v6": v6}

    def _serve(self, address: str) -> int:
        reached = self.reached

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = json.dumps(stac.item("secret")).encode()
                self.send_response(200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            address_family = socket.AF_INET6 if ":" in address else socket.AF_INET

            def verify_request(self, *request: Any) -> bool:
                reached.append(address)  # a connection is enough, also of TLS
                return True

            def handle_error(self, *_: object) -> None:
                pass

        server = Server((address, 0), Handler)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return int(server.server_address[1])


@pytest.fixture(scope="module")
def forbidden() -> Forbidden:
    return Forbidden()


# Who may point at an address, and what comes of it when it is followed.


@contextlib.contextmanager
def saying(document: object) -> Iterator[WebServer]:
    """The allowed server, which answers everything so."""
    with web_server(lambda *_: (200, {}, json.dumps(document).encode())) as server:
        yield server


def named_by_the_user(href: str) -> None:
    open_location(href).read()


def named_as_catalog(href: str) -> None:
    select_items(open_source(href), None, Needs())


def named_as_api(href: str) -> None:
    list(open_source(None, href).items())


def named_by_an_asset(href: str) -> None:
    page = {
        "type": "FeatureCollection",
        "features": [stac.item("a", assets={"source": {"href": href}})],
    }
    needs = Needs(assets=frozenset({"source"}))
    with saying(page) as server:
        found = select_items(open_source(f"{server.url}/page.json"), None, needs)
    assert [bad.id for bad in found.bad] == ["a"]
    raise BadInput(str(found.problems[0]))


def named_by_a_self_link(href: str) -> None:
    links = [{"rel": "self", "href": href}]
    text = {"source": {"href": "x"}}
    page = {
        "type": "FeatureCollection",
        "features": [stac.item("a", assets=text, links=links)],
    }
    needs = Needs(assets=frozenset({"source"}))
    with saying(page) as server:
        found = select_items(open_source(f"{server.url}/page.json"), None, needs)
    assert [bad.id for bad in found.bad] == ["a"]
    raise BadInput(str(found.problems[0]))


def named_by_a_child_link(href: str) -> None:
    with saying(stac.catalog([], [href])) as server:
        select_items(open_source(f"{server.url}/catalog.json"), None, Needs())


def named_by_an_item_link(href: str) -> None:
    with saying(stac.catalog([href])) as server:
        found = select_items(open_source(f"{server.url}/catalog.json"), None, Needs())
    raise BadInput(str(found.problems[0]))


def named_as_the_next_page(href: str) -> None:
    links = [{"rel": "search", "href": "/search"}, {"rel": "next", "href": href}]
    with saying({"features": [{"id": "a"}], "links": links}) as server:
        list(open_source(None, server.url).items())


def named_by_a_redirect(href: str) -> None:
    location = {"location": href.encode().decode("latin-1")}
    with web_server(lambda *_: (302, location, b"")) as server:
        open_location(server.url).read()


PLACES = {
    named_by_the_user: OF_THE_USER,
    named_as_catalog: HREFS,
    named_as_api: HREFS,
    named_by_an_asset: HREFS,
    named_by_a_self_link: OF_A_SELF_LINK,
    named_by_a_child_link: HREFS,
    named_by_an_item_link: HREFS,
    named_as_the_next_page: HREFS,
    named_by_a_redirect: HREFS,
}


@pytest.mark.parametrize("place", PLACES)
def test_what_may_not_be_fetched_is_not_asked_and_said(
    forbidden: Forbidden, place: Callable[[str], None]
) -> None:
    before = len(forbidden.reached)
    for href in PLACES[place]:
        with pytest.raises(CoordinatorError) as caught:
            place(href.format(**forbidden.ports))
        assert caught.value.exit_code == ExitCode.USAGE, href
        said = f"{caught.value} {caught.value.hint} {caught.value.problems}"
        assert "defect" not in said and "secret" not in said, href
    assert len(forbidden.reached) == before


@pytest.mark.parametrize("spelling", REACHABLE)
def test_each_spelling_does_reach_them_where_all_is_allowed(
    forbidden: Forbidden, spelling: str
) -> None:
    """Else the test above would show nothing."""
    fetching.allow(EVERYTHING)
    before = len(forbidden.reached)
    assert b"secret" in open_location(spelling.format(**forbidden.ports)).read()
    assert len(forbidden.reached) == before + 1


@pytest.mark.parametrize("href", sorted(set(ELSEWHERE) & set(OF_THE_USER)))
def test_the_reason_is_said_before_anything_is_connected(
    forbidden: Forbidden, href: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def connect(*_: object) -> None:
        raise AssertionError("connected")

    monkeypatch.setattr(socket.socket, "connect", connect)
    with pytest.raises(CoordinatorError) as caught:
        open_location(href.format(**forbidden.ports))
    assert caught.value.why and caught.value.hint


def test_the_message_names_the_setting() -> None:
    with pytest.raises(BadInput) as caught:
        open_location("http://127.0.0.2:1/x")
    assert "127.0.0.2" in caught.value.why and "allow_networks" in caught.value.why
    assert "allow_networks: [127.0.0.2]" in caught.value.hint


# names: a resolver of the test, since no name of a machine may be counted on


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, list[list[str]]]]:
    """Name -> the answers that it gets, one after the other; the last one again and again."""
    answers: dict[str, list[list[str]]] = {}
    real = socket.getaddrinfo

    def resolve(host: str, port: int, *rest: Any, **more: Any) -> Any:
        left = answers.get(host)
        if left is None:
            return real(host, port, *rest, **more)
        found = left.pop(0) if len(left) > 1 else left[0]
        return [entry for address in found for entry in real(address, port, *rest, **more)]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    yield answers


PUBLIC = "192.88.98.1"  # public by its number; nothing of it is asked


def test_a_name_is_judged_by_its_addresses(
    forbidden: Forbidden, resolver: dict[str, list[list[str]]]
) -> None:
    resolver["inside.example"] = [["127.0.0.2"]]
    before = len(forbidden.reached)
    with pytest.raises(BadInput, match=r"inside\.example may not be asked"):
        open_location(f"http://inside.example:{forbidden.ports['v4']}/x")
    assert len(forbidden.reached) == before


def test_of_several_addresses_only_the_allowed_ones_are_connected_to(
    forbidden: Forbidden, resolver: dict[str, list[list[str]]]
) -> None:
    resolver["both.example"] = [["127.0.0.2", "::1", "127.0.0.1"]]
    before = len(forbidden.reached)
    with web_server(lambda *_: (200, {}, b"good")) as server:
        port = server.url.rpartition(":")[2]
        assert open_location(f"http://both.example:{port}/").read() == b"good"
    with pytest.raises(SourceUnreachable):  # nobody listens there
        open_location(f"http://both.example:{forbidden.ports['v4']}/")
    assert len(forbidden.reached) == before


def test_a_name_that_means_something_else_the_next_moment_gains_nothing(
    forbidden: Forbidden, resolver: dict[str, list[list[str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: first a public address for whoever checks, then ours for whoever connects."""
    connected = []

    def connect(self: socket.socket, place: tuple[str, int]) -> None:
        connected.append(place[0])
        raise ConnectionRefusedError

    resolver["rebinding.example"] = [[PUBLIC], ["127.0.0.2"]]
    before = len(forbidden.reached)
    monkeypatch.setattr(socket.socket, "connect", connect)
    with pytest.raises(BadInput, match="may not be asked"):  # at the second try
        open_location(f"http://rebinding.example:{forbidden.ports['v4']}/x")
    assert connected == [PUBLIC], "the address that was judged, and no other"
    assert len(forbidden.reached) == before


def test_only_named_hosts_where_the_settings_name_some(
    resolver: dict[str, list[list[str]]],
) -> None:
    names = ("data.example", "sub.data.example", "baddata.example", "other.example")
    resolver |= {name: [["127.0.0.1"]] for name in names}
    fetching.allow(Reach(hosts=("*.Data.example", "other.example."), networks=ALLOWED.networks))
    asked = []
    with web_server(lambda *_: (200, {}, b"good")) as server:
        for name in names:
            url = server.url.replace("127.0.0.1", name)
            with contextlib.suppress(BadInput):
                asked.append((name, open_location(url).read()))
        with pytest.raises(BadInput, match="allow_hosts in the settings does not name it"):
            open_location(server.url)
    assert asked == [("sub.data.example", b"good"), ("other.example", b"good")]


def test_a_redirect_is_judged_at_each_of_its_steps(forbidden: Forbidden) -> None:
    before = len(forbidden.reached)
    last = f"http://127.0.0.2:{forbidden.ports['v4']}/x"
    steps = ["/2", "/3", last]
    with (
        web_server(lambda *_: (307, {"location": steps.pop(0)}, b"")) as server,
        pytest.raises(BadInput, match=r"127\.0\.0\.2 may not be asked"),
    ):
        open_location(server.url)
    assert steps == []
    assert len(forbidden.reached) == before


def test_a_proxy_is_not_asked_for_what_may_not_be_fetched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with web_server(lambda *_: (200, {}, b"by the proxy")) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        with pytest.raises(BadInput, match="may not be asked"):
            open_location("http://169.254.169.254/latest")
        assert proxy.requests == []
        assert open_location(f"http://{PUBLIC}/x").read() == b"by the proxy"


@pytest.fixture
def certified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """TLS for a server called `named.example`, which this process trusts."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    made = [require_program("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes"]
    made += ["-days", "1", "-subj", "/CN=test", "-addext", "subjectAltName=DNS:named.example"]
    subprocess.run([*made, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


def test_with_tls_the_certificate_is_checked_against_the_name(
    certified: ssl.SSLContext, resolver: dict[str, list[list[str]]]
) -> None:
    """The connection goes to a number, yet the name is what the server has to prove."""
    resolver |= {"named.example": [["127.0.0.1"]], "other.example": [["127.0.0.1"]]}
    names = []
    certified.sni_callback = lambda _socket, name, _context: names.append(name)
    handler = body(iter([b"good"]), 4)
    with serving(handler, certified) as url:
        port = url.rpartition(":")[2]
        assert open_location(f"https://named.example:{port}/").read() == b"good"
        assert names == ["named.example"]
        with pytest.raises(SourceUnreachable, match="certificate"):
            open_location(f"https://other.example:{port}/")


# how much


def body(chunks: Iterator[bytes], length: int | None = None) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(302 if self.path == "/moved" else 200)
            if self.path == "/moved":
                self.send_header("location", "/there")
            if self.path == "/there":
                self.send_header("content-length", "0")
            elif length is not None:
                self.send_header("content-length", str(length))
            self.end_headers()
            if self.path == "/there":
                return
            with contextlib.suppress(OSError):
                for chunk in chunks:
                    self.wfile.write(chunk)
                    sent.append(len(chunk))

        def log_message(self, *_: object) -> None:
            pass

    sent: list[int] = []
    Handler.sent = sent  # type: ignore[attr-defined]
    return Handler


def endless() -> Iterator[bytes]:
    while True:
        yield b"x" * (1 << 20)


def dripping(pause: threading.Event) -> Iterator[bytes]:
    while not pause.wait(0.02):
        yield b"x"


def test_a_body_without_an_end_is_read_to_the_limit_only() -> None:
    handler = body(endless(), 10 << 30)
    with serving(handler) as url:
        stream = open_location(url, max_bytes=4 << 20)
        with stream, pytest.raises(BadInput, match="larger than"):
            while stream.read(1 << 16):
                pass
    assert sum(handler.sent) < 64 << 20  # type: ignore[attr-defined]


def test_the_body_of_a_redirect_is_not_read() -> None:
    handler = body(endless(), 10 << 30)
    with serving(handler) as url:
        assert open_location(f"{url}/moved").read(1) == b""
    assert sum(handler.sent) < 64 << 20  # type: ignore[attr-defined]


def test_a_body_that_hardly_moves_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "PATIENCE_SECONDS", 0.3)
    over = threading.Event()
    with serving(body(dripping(over))) as url:
        stream = open_location(url)
        with stream, pytest.raises(SourceUnreachable, match="bytes in"):
            stream.read()
        over.set()


def test_a_head_that_hardly_moves_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    for limit in ("HEADER_SECONDS", "READ_SECONDS"):  # of a head as a whole, and between two bytes
        monkeypatch.setattr(fetching, limit, 0.3)
    over = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))

    def drip(client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            client.sendall(b"HTTP/1.1 200 OK\r\nx-long: ")
            while not over.wait(0.02):
                client.sendall(b"x")

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=drip, args=[listener.accept()[0]], daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    with pytest.raises(SourceUnreachable, match="does not answer"):
        open_location(f"http://127.0.0.1:{listener.getsockname()[1]}/")
    over.set()
    listener.close()


def test_pages_that_bring_only_what_was_there_before_come_to_an_end() -> None:
    count = 0

    def answer(request: str, _: bytes) -> Answer:
        nonlocal count
        count += 1
        links = [{"rel": "search", "href": "/s"}, {"rel": "next", "href": f"/s?page={count}"}]
        return 200, {}, json.dumps({"features": [{"id": "a"}], "links": links}).encode()

    with (
        web_server(answer) as server,
        pytest.raises(BadInput, match="never comes to an end"),
    ):
        select_items(open_source(None, server.url), None, Needs())
    assert count < 20


def test_pages_that_always_bring_something_new_come_to_an_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fetching, "MAX_PAGES", 50)
    count = 0

    def answer(request: str, _: bytes) -> Answer:
        nonlocal count
        count += 1
        links = [{"rel": "search", "href": "/s"}, {"rel": "next", "href": f"/s?page={count}"}]
        return 200, {}, json.dumps({"features": [{"id": f"a{count}"}], "links": links}).encode()

    with (
        web_server(answer) as server,
        pytest.raises(BadInput, match="never comes to an end"),
    ):
        list(open_source(None, server.url).items())
    assert count == 1 + 51


def test_catalogs_below_catalogs_come_to_an_end() -> None:
    def answer(request: str, _: bytes) -> Answer:
        depth = int(request.rpartition("/")[2] or 0)
        return 200, {}, json.dumps(stac.catalog(children=[f"/{depth + 1}"])).encode()

    with web_server(answer) as server:
        with pytest.raises(BadInput) as caught:
            list(open_source(f"{server.url}/0").items())
        assert "catalogs deep" in str(caught.value.problems[0])
        assert len(server.requests) == 1 + fetching.MAX_DEPTH


# the settings and the jobs


def test_a_job_may_ask_what_its_batch_may(tmp_path: Path) -> None:
    """The rule travels with the handoff: a worker takes nothing from its environment."""
    from coordinator.domain.handoff import Handoff, HandoffItem, InputRef
    from coordinator.workers.frame import run_worker

    with web_server(lambda *_: (200, {}, b"text\n")) as server:
        for reach in (Reach(), ALLOWED):
            name = f"d{len(reach.networks)}"
            item = HandoffItem(
                item="a", attempt=1, inputs={"source": InputRef(href=f"{server.url}/{name}")}
            )
            handoff = Handoff(
                batch=name,
                dispatch="d",
                step="s",
                job="command",
                output_root=str(tmp_path),
                options={"command": ["true"]},
                items=(item,),
                reach=reach,
            )
            (tmp_path / "h.json").write_text(handoff.model_dump_json())
            run_worker(str(tmp_path), "h.json")
        assert server.requests == ["GET /d1"]
    outcomes = [
        json.loads((tmp_path / f"{name}/items/a/s/a1/outcome.json").read_text())
        for name in ("d0", "d1")
    ]
    assert [found["status"] for found in outcomes] == ["failed", "succeeded"]
    assert outcomes[0]["failure"]["kind"] == "bad_input"
    assert "allow_networks" in outcomes[0]["failure"]["message"]


APIS = {
    "the same item on every page": {
        "features": [{"id": "a"}],
        "links": [{"rel": "next", "href": "/search?again"}],
    },
    "a page that leads to itself": {
        "features": [{"id": "a"}],
        "links": [{"rel": "next", "href": "/search", "method": "POST"}],
    },
    "HTML": b"<html>Log in</html>",
    "nothing": b"",
    "no items": {"features": [], "links": []},
    "junk for items": {"features": [None, 7, [], {"id": 7}, {"id": "../x"}], "links": "junk"},
    "junk for features": {"features": {"a": 1}},
    "nested without end": b"[" * 100_000,
    "nested inside": b'{"features": [{"id": "a", "properties": {"x": ' + b"[" * 500 + b"]" * 500
    + b"}}]}",
    "half a character": b'{"features": [{"id": "a", "properties": {"x": "\\udc80"}}]}',
    "a number without end": b'{"features": [' + b"9" * 100_000 + b"]}",
    "no UTF-8": b'{"features": ["\xff"]}',
}  # fmt: skip
PIPELINE = """
name: p
steps:
  - {name: s, job: command, options: {command: ["true"]}}
"""


@pytest.mark.parametrize("name", APIS)
def test_an_api_that_cannot_be_meant_ends_a_submit_with_exit_code_2(
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COORDINATOR_ALLOW_NETWORKS", "127.0.0.1")
    (tmp_path / "p.yml").write_text(PIPELINE)
    search = {"links": [{"rel": "search", "href": "/search", "method": "POST"}]}
    found = APIS[name]
    body = found if isinstance(found, bytes) else json.dumps(found).encode()

    def answer(request: str, _: bytes) -> Answer:
        return 200, {}, json.dumps(search).encode() if request == "GET /" else body

    with web_server(answer) as server:
        code = run(
            ["submit", "--pipeline", "p.yml", "--stac_api_url", server.url, "--state_dir", "state"]
        )
        assert len(server.requests) < 20
    screen = capsys.readouterr()
    assert (code, screen.out) == (2, ""), screen.err
    assert "error: " in screen.err and "defect" not in screen.err
    assert not (tmp_path / "state").exists()


def test_without_the_setting_a_server_on_this_machine_is_not_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    item = json.dumps(stac.item("a")).encode()
    with web_server(lambda *_: (200, {}, item)) as server:
        assert run(["items", "count", f"{server.url}/a.json"]) == 2
        assert "allow_networks: [127.0.0.1]" in capsys.readouterr().err
        assert server.requests == []
        (tmp_path / "settings.yml").write_text("allow_networks: [127.0.0.0/8]\n")
        assert run(["items", "count", f"{server.url}/a.json"]) == 0
        assert "1 item," in capsys.readouterr().out
