"""Items of a STAC API, page by page.

Written on plain requests, not on pystac-client: see docs/decisions/0007-reading-items.md.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode, urljoin, urlsplit

from coordinator.catalog.base import RawItem, shown_id
from coordinator.catalog.documents import NotJson, parse
from coordinator.catalog.static import features
from coordinator.errors import BadInput, SourceUnreachable
from coordinator.storage import fetching, http
from coordinator.storage.hrefs import shown

PAGE = 1000  # items asked for at a time; a server may give fewer
IDS_IN_A_BODY = 500
LONGEST_ADDRESS = 3500  # bytes; some servers refuse an address of 4 KiB

Json = dict[str, Any]


@dataclass(frozen=True)
class _Question:
    """One request."""

    href: str
    method: str = "GET"
    body: Mapping[str, Any] = field(default_factory=dict)

    @property
    def identity(self) -> str:
        return f"{self.method} {self.href} {json.dumps(self.body, sort_keys=True)}"


class ApiSource:
    """A STAC API with item search, by POST where it is offered; or one with collections only."""

    def __init__(self, url: str, collections: Sequence[str] = ()) -> None:
        """`collections`: only items of these; empty = all."""
        self._url = url
        self._collections = tuple(dict.fromkeys(collections))
        self._landing_page: Json | None = None

    def items(self) -> Iterator[RawItem]:
        met: set[object] = set()
        for question in self._questions():
            for raw in _pages(question):
                met.add(_collection_of(raw))
                yield raw
        self._refuse_unmet(met)

    def by_ids(self, ids: Collection[str]) -> Iterator[RawItem]:
        search = self._search()
        if search is None:
            yield from (raw for raw in self.items() if raw.id in ids)
            return
        for batch in _batches(ids, search, self._collections):
            yield from self._asked_for(batch, search)

    def known_ids(self) -> Collection[str]:
        return ()

    def _asked_for(self, batch: Sequence[str], search: _Question) -> Iterator[RawItem]:
        question = _searching(search, {**self._filter(), "ids": list(batch), "limit": PAGE})
        wanted = frozenset(batch)
        for raw in _pages(question):
            if raw.id not in wanted:
                raise BadInput(
                    f"{shown(self._url)} cannot be asked for items by id",
                    why=f"asked for {len(batch)} ids, it gave {shown_id(raw.id)} as well",
                    hint="give the collections instead, or a static catalog",
                )
            yield raw

    def _filter(self) -> Json:
        return {"collections": list(self._collections)} if self._collections else {}

    def _questions(self) -> list[_Question]:
        """What to ask for all items of the collections."""
        search = self._search()
        if search is not None:
            return [_searching(search, {**self._filter(), "limit": PAGE})]
        names = self._collections or self._every_collection()
        return [
            _Question(f"{self._data_link()}/{_path_part(name)}/items?limit={PAGE}")
            for name in names
        ]

    def _search(self) -> _Question | None:
        """The search that the API offers, by POST if it can; None if it has none."""
        links = [link for link in self._landing_links() if link.get("rel") == "search"]
        links.sort(key=lambda link: str(link.get("method", "GET")).upper() != "POST")
        if not links:
            return None
        method = "POST" if str(links[0].get("method", "GET")).upper() == "POST" else "GET"
        return _Question(_target(links[0], self._url), method)

    def _data_link(self) -> str:
        for link in self._landing_links():
            if link.get("rel") == "data":
                return _target(link, self._url).rstrip("/")
        raise BadInput(
            f"{shown(self._url)} is no STAC API",
            why="it links to no search and to no collections",
            hint="give the address of the API's landing page, or a static catalog as --catalog",
        )

    def _every_collection(self) -> list[str]:
        found = _answer(_Question(self._data_link())).get("collections")
        return [c["id"] for c in _dicts(found) if isinstance(c.get("id"), str)]

    def _landing_links(self) -> list[Json]:
        return list(_dicts(self._landing().get("links")))

    def _landing(self) -> Json:
        if self._landing_page is None:
            self._landing_page = _answer(_Question(self._url))
        return self._landing_page

    def _refuse_unmet(self, met: set[object]) -> None:
        unmet = [shown_id(name) for name in self._collections if name not in met]
        if unmet:
            raise BadInput(
                f"{shown(self._url)} has no items of {', '.join(unmet)}",
                why="the collection is not there, or is empty",
                hint="check --benchmark_sources",
            )


def _path_part(name: str) -> str:
    """A collection's name as one part of an address. Raises BadInput where it cannot be one."""
    if name in (".", ".."):  # these climb, however they are spelt
        raise BadInput(f"{name!r} is no collection", hint="check --benchmark_sources")
    return quote(name, safe="")


def _batches(
    ids: Iterable[str], search: _Question, collections: Sequence[str]
) -> Iterator[list[str]]:
    """The ids in as few batches as one request's size allows."""
    room = LONGEST_ADDRESS - len(search.href) - len(quote(",".join(collections), safe="")) - 100
    batch: list[str] = []
    used = 0
    for item_id in ids:
        size = len(quote(item_id, safe="")) + 3  # and a comma, as %2C
        too_long = search.method == "GET" and used + size > room
        if batch and (too_long or len(batch) == IDS_IN_A_BODY):
            yield batch
            batch, used = [], 0
        batch.append(item_id)
        used += size
    if batch:
        yield batch


def _searching(search: _Question, query: Json) -> _Question:
    if search.method == "POST":
        return _Question(search.href, "POST", query)
    flat = {k: ",".join(v) if isinstance(v, list) else v for k, v in query.items()}
    joint = "&" if urlsplit(search.href).query else "?"
    return _Question(f"{search.href}{joint}{urlencode(flat)}")


def _pages(first: _Question) -> Iterator[RawItem]:
    """The items of a question and of every page that follows it.

    Raises:
        BadInput: the pages go in a circle or never end.
    """
    guard = _PageGuard()
    question: _Question | None = first
    while question is not None:
        page = _answer(question)
        found = page.get("features")
        if not isinstance(found, list):
            raise _no_api(question.href, "its answer has no list of features")
        guard.take(question, found)
        yield from features(found, question.href)
        question = _following(page, question)


class _PageGuard:
    """Tells pages that end from pages that do not, in little memory."""

    def __init__(self) -> None:
        self._asked: set[str] = set()
        self._met: set[int] = set()  # hashes of the ids on a page
        self._idle = 0

    def take(self, question: _Question, found: list[Any]) -> None:
        content = hash(tuple(map(_id_of, found)))
        self._idle = self._idle + 1 if not found or content in self._met else 0
        again = question.identity in self._asked
        self._asked.add(question.identity)
        self._met.add(content)
        if again or self._idle > fetching.MAX_IDLE_PAGES or len(self._asked) > fetching.MAX_PAGES:
            raise _endless(question.href)


def _following(page: Json, question: _Question) -> _Question | None:
    """The question that a page's `next` link asks, or None at the last page."""
    for link in _dicts(page.get("links")):
        if link.get("rel") == "next":
            return _next_question(link, question)
    return None


def _next_question(link: Json, question: _Question) -> _Question:
    href = _target(link, question.href)
    if str(link.get("method", "GET")).upper() != "POST":
        return _Question(href)
    body = link.get("body")
    body = body if isinstance(body, dict) else {}
    return _Question(href, "POST", {**question.body, **body} if link.get("merge") else body)


def _target(link: Json, base: str) -> str:
    """The address of a link. A server may only point to servers."""
    href = link.get("href")
    try:
        found = urljoin(base, href) if isinstance(href, str) else ""
        scheme = urlsplit(found).scheme
    except ValueError:
        scheme = ""
    if scheme not in fetching.WEB_SCHEMES:
        raise _no_api(base, f"its link {shown_id(link.get('rel'))} is no http address")
    return found


def _answer(question: _Question) -> Json:
    response = http.ask(question.href, method=question.method, body=question.body or None)
    with http.body_of(response, question.href, fetching.MAX_ANSWER_BYTES) as stream:
        data = stream.read()
    try:
        document = parse(data)
    except NotJson as error:
        kind = response.headers.get("content-type", "no content type")
        raise _no_api(question.href, f"its answer ({shown(kind)}) is {error}") from error
    if not isinstance(document, dict):
        raise _no_api(question.href, "its answer is not a JSON object")
    return document


def _no_api(href: str, why: str) -> SourceUnreachable:
    return SourceUnreachable(
        f"{shown(href)} does not answer as a STAC API",
        why=why,
        hint="check --stac_api_url: it is the address of the API's landing page",
    )


def _endless(href: str) -> BadInput:
    return BadInput(
        f"{shown(href)} never comes to an end",
        why=f"its pages go in a circle, bring nothing new, or are more than {fetching.MAX_PAGES:,}",
        hint="tell whoever runs the API; or use a static catalog",
    )


def _collection_of(raw: RawItem) -> object:
    found = raw.document.get("collection") if isinstance(raw.document, dict) else None
    return found if isinstance(found, str) else None


def _id_of(feature: object) -> str | None:
    found = feature.get("id") if isinstance(feature, dict) else None
    return found if isinstance(found, str) else None


def _dicts(value: object) -> Iterator[Json]:
    if isinstance(value, list):
        yield from (entry for entry in value if isinstance(entry, dict))
