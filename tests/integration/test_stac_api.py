"""A real STAC API with 20,000 items, and small ones that misbehave."""

import contextlib
import itertools
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
import stamina

from coordinator.catalog import Needs, open_source, select_items
from coordinator.errors import BadInput, CoordinatorError, SourceUnreachable
from tests import stac
from tests.servers import Answer, WebServer, stac_api, web_server

ITEMS = 20_000
BIG, SMALL = ITEMS - 10, 10

pytestmark = pytest.mark.usefixtures("loopback_allowed")


@pytest.fixture(autouse=True)
def no_waiting() -> Iterator[None]:
    with stamina.set_testing(True, attempts=3):
        yield


def collection(name: str) -> dict[str, Any]:
    interval = [["2024-01-01T00:00:00Z", None]]
    extent = {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": interval}}
    members = {"id": name, "description": "d", "license": "other", "extent": extent, "links": []}
    return {"type": "Collection", "stac_version": "1.1.0", **members}


@pytest.fixture(scope="module")
def real_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("api")
    assets = {"source": {"href": "texts/eng.txt"}}
    items = [
        stac.item(f"i{n:05d}", collection="big" if n < BIG else "small", assets=assets)
        for n in range(ITEMS)
    ]
    paths = [stac.write(folder / f"{name}.json", collection(name)) for name in ("big", "small")]
    paths.append(stac.write_ndjson(folder / "items.ndjson", items))
    with stac_api(folder, *paths) as url:
        yield url


@pytest.fixture
def counted(real_api: str) -> Iterator[WebServer]:
    """The real API behind a server that counts what is asked."""

    def forward(request: str, body: bytes) -> Answer:
        method, _, path = request.partition(" ")
        headers = {"content-type": "application/json"}
        got = requests.request(method, real_api + path, data=body, headers=headers, timeout=60)
        mended = got.content.replace(real_api.encode(), server.url.encode())
        return got.status_code, {"content-type": got.headers["content-type"]}, mended

    with web_server(forward) as server:
        yield server


def test_all_items_page_by_page(counted: WebServer) -> None:
    started = time.monotonic()
    found = select_items(open_source(None, counted.url), None, Needs())
    assert sorted(item.id for item in found.items) == [f"i{n:05d}" for n in range(ITEMS)]
    assert found.problems == ()
    assert len(counted.requests) <= 1 + ITEMS // 1000 + 1
    assert time.monotonic() - started < 30


def test_by_collection(counted: WebServer) -> None:
    found = select_items(open_source(None, counted.url, ["small"]), None, Needs())
    assert [item.id for item in found.items] == [f"i{n:05d}" for n in range(BIG, ITEMS)]
    assert len(counted.requests) == 2


def test_the_first_few_cost_one_page(counted: WebServer) -> None:
    found = select_items(open_source(None, counted.url, ["big"]), None, Needs(), limit=3)
    assert [item.id for item in found.items] == ["i00000", "i00001", "i00002"]
    assert len(counted.requests) == 2


def test_by_ids_in_batches(counted: WebServer, tmp_path: Path) -> None:
    wanted = [f"i{n:05d}" for n in range(0, ITEMS, 5)]
    item_list = tmp_path / "list.txt"
    item_list.write_text("\n".join([*reversed(wanted), "absent"]))
    found = select_items(open_source(None, counted.url), item_list, Needs())
    assert [item.id for item in found.items] == wanted[::-1]
    assert [bad.id for bad in found.bad] == ["absent"]
    assert len(counted.requests) == 1 + 9, "500 ids a request"


def test_by_ids_of_a_collection(counted: WebServer, tmp_path: Path) -> None:
    item_list = tmp_path / "list.txt"
    item_list.write_text(f"i00001\ni{BIG:05d}\n")
    found = select_items(open_source(None, counted.url, ["small"]), item_list, Needs())
    assert [item.id for item in found.items] == [f"i{BIG:05d}"]
    assert [bad.id for bad in found.bad] == ["i00001"]


def test_a_collection_that_is_not_there(real_api: str) -> None:
    with pytest.raises(BadInput, match="has no items of absent"):
        select_items(open_source(None, real_api, ["small", "absent"]), None, Needs())


def test_relative_assets_start_from_the_item(real_api: str) -> None:
    found = select_items(open_source(None, real_api, ["small"]), None, Needs(), limit=1)
    assert next(iter(found.items)).assets == {
        "source": f"{real_api}/collections/small/items/texts/eng.txt"
    }


# Small APIs, each with one fault or one habit.

Reply = Callable[[str, dict[str, Any]], Any]


def landing(server: WebServer, *methods: str) -> dict[str, Any]:
    links = [{"rel": "search", "href": f"{server.url}/search", "method": m} for m in methods]
    data = {"rel": "data", "href": f"{server.url}/collections"}
    return {"type": "Catalog", "id": "api", "links": [*links, data]}


@contextlib.contextmanager
def api(reply: Reply, *methods: str) -> Iterator[WebServer]:
    """A server whose searches are answered by `reply(request, body)`: JSON, or plain bytes."""

    def answer(request: str, body: bytes) -> Answer:
        if request == "GET /":
            return 200, {}, json.dumps(landing(server, *methods)).encode()
        found = reply(request, json.loads(body or b"{}"))
        return 200, {}, found if isinstance(found, bytes) else json.dumps(found).encode()

    with web_server(answer) as server:
        yield server


def page(ids: list[str], following: dict[str, Any] | None = None) -> dict[str, Any]:
    links = [{"rel": "next", **following}] if following else []
    return {"type": "FeatureCollection", "features": [{"id": i} for i in ids], "links": links}


def read_all(server: WebServer, *collections: str) -> list[object]:
    return [raw.id for raw in open_source(None, server.url, collections).items()]


def test_an_api_without_post_is_asked_in_short_addresses(tmp_path: Path) -> None:
    def reply(request: str, _: dict[str, Any]) -> Any:
        query = parse_qs(urlsplit(request.partition(" ")[2]).query)
        assert len(request) < 4000
        assert query["collections"] == ["c,d"]
        return page(query["ids"][0].split(","))

    wanted = [f"a-rather-long-item-id-{n}" for n in range(1000)]
    with api(reply, "GET") as server:
        found = [raw.id for raw in open_source(None, server.url, ["c", "d"]).by_ids(wanted)]
        assert found == wanted
        assert 2 < len(server.requests) < 20


def test_pages_by_post_with_merged_bodies() -> None:
    def reply(request: str, body: dict[str, Any]) -> Any:
        assert (request, body["limit"]) == ("POST /search", 1000)
        if "token" in body:
            return page(["c"])
        following = {"method": "POST", "merge": True, "body": {"token": "x"}, "href": "/search"}
        return page(["a", "b"], following)

    with api(reply, "GET", "POST") as server:
        assert read_all(server) == ["a", "b", "c"]


def test_an_empty_page_is_not_the_end() -> None:
    replies = iter([page(["a"], {"href": "?2"}), page([], {"href": "?3"}), page(["b"])])
    with api(lambda *_: next(replies), "GET") as server:
        assert read_all(server) == ["a", "b"]


def test_an_api_without_search_is_read_by_collection() -> None:
    def reply(request: str, _: dict[str, Any]) -> Any:
        if request == "GET /collections":
            return {"collections": [{"id": "a/b"}, {"id": "c"}]}
        if request.startswith("GET /collections/a%2Fb/items?"):
            return page(["x"])
        return page(["y", "z"])

    with api(reply) as server:
        assert read_all(server) == ["x", "y", "z"]
        source = open_source(None, server.url, ())
        assert [raw.id for raw in source.by_ids(["z", "absent"])] == ["z"]


def circle(*_: object) -> Any:
    return page(["a"], {"href": "/search?page=1"})


def endless_nothing() -> Reply:
    numbers = itertools.count()
    return lambda *_: page([], {"href": f"/search?page={next(numbers)}"})


@pytest.mark.parametrize("reply", [circle, endless_nothing()])
def test_pages_without_an_end_are_told(reply: Reply) -> None:
    with api(reply, "GET") as server, pytest.raises(BadInput, match="never comes to an end"):
        read_all(server)


def test_one_id_on_two_pages_is_told() -> None:
    replies = iter([page(["a", "b"], {"href": "?2"}), page(["b", "c"])])
    with api(lambda *_: next(replies), "GET") as server:
        found = select_items(open_source(None, server.url), None, Needs())
    assert [item.id for item in found.items] == ["a", "c"]
    assert [bad.id for bad in found.bad] == ["b"]
    assert "two items have this id" in found.problems[0].reason


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"<html>Log in</html>", "is not JSON"),
        (b"", "is not JSON"),
        (b"[]", "not a JSON object"),
        (b"{}", "no list of features"),
        (b"[" * 100_000, "nested too deeply"),
        (page(["a"], {"href": "file:///etc/passwd"}), "no http address"),
        (page(["a"], {"href": None}), "no http address"),
    ],
)
def test_answers_that_are_none_of_an_api(answer: Any, why: str) -> None:
    with (
        api(lambda *_: answer, "GET") as server,
        pytest.raises(SourceUnreachable, match="does not answer as a STAC API") as caught,
    ):
        read_all(server)
    assert why in caught.value.why


def test_an_api_that_does_not_know_ids_is_not_believed(tmp_path: Path) -> None:
    with (
        api(lambda *_: page(["a", "b"]), "POST") as server,
        pytest.raises(BadInput, match="cannot be asked for items by id"),
    ):
        list(open_source(None, server.url).by_ids(["a"]))


@pytest.mark.parametrize("landing_page", [b"<html>", b'{"links": []}', b'{"links": "x"}'])
def test_what_is_no_landing_page(landing_page: bytes) -> None:
    with (
        web_server(lambda *_: (200, {}, landing_page)) as server,
        pytest.raises(CoordinatorError, match="STAC API"),
    ):
        read_all(server)


def test_junk_among_the_items_is_named() -> None:
    with api(lambda *_: {"features": [{"id": "a"}, 7, {"id": "../x"}]}, "GET") as server:
        found = select_items(open_source(None, server.url), None, Needs())
    assert [item.id for item in found.items] == ["a"]
    assert "features[1]" in str(found.problems[0])
    assert "not one safe path segment" in found.problems[1].reason
