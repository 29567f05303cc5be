"""Catalogs and texts read over the network: from a web server and from S3."""

import gzip
import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import stamina

from coordinator.catalog import Needs, Selection, make_collection, open_source, select_items
from coordinator.errors import BadInput, SourceUnreachable
from coordinator.storage import open_location, open_storage
from tests import stac
from tests.servers import file_server, free_port, web_server

ALIGNED = Needs(aligned=(("source", "reference"),))
LANGUAGES = ("deu", "eng", "fra", "ita")

pytestmark = pytest.mark.usefixtures("loopback_allowed")


@pytest.fixture(autouse=True)
def no_waiting() -> Iterator[None]:
    with stamina.set_testing(True, attempts=3):
        yield


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    """A folder with a collection of 12 directions and its texts."""
    root = tmp_path / "served"
    stac.write_texts(root / "texts", 3, LANGUAGES)
    make_collection(root / "texts", "dev", root / "stac", collection_id="c")
    return root


def selected(catalog: str, item_list: Path | None = None) -> Selection:
    return select_items(open_source(catalog), item_list, ALIGNED)


def test_a_catalog_on_a_web_server(collection: Path) -> None:
    with file_server(collection) as server:
        found = selected(f"{server.url}/stac/collection.json")
    assert (len(found.items), found.problems) == (12, ())
    asked = [request for request in server.requests if request.startswith("GET /texts")]
    assert sorted(asked) == [f"GET /texts/{lang}.txt" for lang in LANGUAGES], "each text once"


def test_a_few_ids_of_a_catalog_on_a_web_server(collection: Path, tmp_path: Path) -> None:
    item_list = tmp_path / "list.txt"
    item_list.write_text("c-dev-ita-deu\nc-dev-eng-fra\n")
    with file_server(collection) as server:
        found = selected(f"{server.url}/stac/collection.json", item_list)
    assert [item.id for item in found.items] == ["c-dev-ita-deu", "c-dev-eng-fra"]
    assert len(server.requests) == 1 + 2 + 4


def test_a_missing_text_is_bad_and_a_missing_catalog_is_refused(collection: Path) -> None:
    (collection / "texts/ita.txt").unlink()
    with file_server(collection) as server:
        found = selected(f"{server.url}/stac/collection.json")
        assert (len(found.items), len(found.bad)) == (6, 6)
        assert "HTTP 404" in found.problems[0].reason
        with pytest.raises(BadInput, match="HTTP 404"):
            selected(f"{server.url}/absent.json")


def test_no_server_at_all() -> None:
    url = f"http://127.0.0.1:{free_port()}/catalog.json"
    with pytest.raises(SourceUnreachable, match="does not answer") as caught:
        selected(url)
    assert "refused" in caught.value.why.lower()
    assert caught.value.hint


def test_a_remote_catalog_that_names_local_files(tmp_path: Path) -> None:
    secret = stac.write(tmp_path / "secret.json", stac.item("secret"))
    document = stac.catalog([secret.as_uri(), str(secret)], [secret.as_uri()])
    assets = {"source": {"href": "file:///etc/passwd"}, "reference": {"href": "r.txt"}}
    page = {"type": "FeatureCollection", "features": [stac.item("a", assets=assets)]}

    def answer(request: str, _: bytes) -> tuple[int, dict[str, str], bytes]:
        known = {"GET /catalog.json": document, "GET /items.json": page}
        return (
            (200, {}, json.dumps(known[request]).encode()) if request in known else (404, {}, b"")
        )

    with web_server(answer) as server:
        with pytest.raises(BadInput) as caught:
            selected(f"{server.url}/catalog.json")
        told = [str(problem) for problem in caught.value.problems]
        refused = [line for line in told if "may not point at local files" in line]
        assert len(refused) == 2
        assert any("404" in line for line in told), "a plain path is one on the server"
        found = selected(f"{server.url}/items.json")
        assert "may not point at local files" in found.problems[0].reason


@pytest.mark.parametrize("target", ["file:///etc/passwd", "s3://bucket/x", "gopher://h/"])
def test_a_web_server_may_only_lead_to_web_servers(target: str) -> None:
    with (
        web_server(lambda *_: (302, {"location": target}, b"")) as server,
        pytest.raises(BadInput, match="cannot be asked for"),
    ):
        open_location(server.url)


def test_a_circle_of_redirects_ends() -> None:
    with (
        web_server(lambda *_: (302, {"location": "/again"}, b"")) as server,
        pytest.raises(BadInput, match="cannot be asked for"),
    ):
        open_location(server.url)


def test_an_overloaded_server_is_asked_again(capfd: pytest.CaptureFixture[str]) -> None:
    answers = [(503, {}, b""), (429, {}, b""), (200, {}, b"text")]
    with web_server(lambda *_: answers.pop(0)) as server:
        assert open_location(server.url).read() == b"text"
    with (
        web_server(lambda *_: (503, {}, b"")) as server,
        pytest.raises(SourceUnreachable, match="does not answer: HTTP 503"),
    ):
        open_location(server.url)
    assert len(server.requests) == 3
    assert capfd.readouterr().out == "", "output is for results only"


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_is_not_repeated_and_shows_no_key(status: int) -> None:
    with web_server(lambda *_: (status, {}, b"")) as server:
        url = server.url.replace("http://", "http://user:hidden@") + "/x?signature=hidden"
        with pytest.raises(SourceUnreachable, match=f"HTTP {status}") as caught:
            open_location(url)
        assert "hidden" not in f"{caught.value} {caught.value.why} {caught.value.hint}"
        assert len(server.requests) == 1


def test_a_body_cut_short_is_told() -> None:
    cut = {"content-length": "100", "connection": "close"}
    with web_server(lambda *_: (200, cut, b"half")) as server:
        stream = open_location(server.url)
        with stream, pytest.raises(SourceUnreachable, match="does not answer"):
            stream.read()


def test_sizes_have_a_limit_even_when_packed() -> None:
    packed = gzip.compress(b"x" * 1_000_000)
    with web_server(lambda *_: (200, {"content-encoding": "gzip"}, packed)) as server:
        assert len(open_location(server.url).read()) == 1_000_000
        stream = open_location(server.url, max_bytes=999_999)
        with stream, pytest.raises(BadInput, match="larger than 999,999 bytes"):
            stream.read()


@pytest.mark.needs_s3
@pytest.mark.timeout(600)
def test_a_catalog_in_s3(collection: Path, s3_bucket: str, tmp_path: Path) -> None:
    store = open_storage(f"s3://{s3_bucket}/deep/er")
    for path in itertools.chain(collection.rglob("*.json"), collection.rglob("*.txt")):
        store.upload(path, path.relative_to(collection).as_posix())
    found = selected(f"{store.uri}/stac/collection.json")
    assert (len(found.items), found.problems) == (12, ())
    assert next(iter(found.items)).assets["source"] == f"{store.uri}/texts/eng.txt"
    item_list = tmp_path / "list.txt"
    item_list.write_text("c-dev-ita-deu\n")
    assert len(selected(f"{store.uri}/stac/collection.json", item_list).items) == 1
    with pytest.raises(BadInput, match="no such object"):
        selected(f"{store.uri}/absent.json")
