"""Items in files: a static catalog or collection, an ItemCollection, one item, or NDJSON."""

import io
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from coordinator.catalog import documents
from coordinator.catalog.base import MOST_KNOWN, RawItem
from coordinator.catalog.documents import NotJson, not_usable
from coordinator.errors import BadInput, Problem
from coordinator.parallel import ordered_map
from coordinator.storage.fetching import MAX_DEPTH
from coordinator.storage.hrefs import is_remote, local_path, resolve, shown

NDJSON_ENDINGS = (".ndjson", ".jsonl", ".geojsonl", ".geojsons", ".ndgeojson")
DEFAULT_FILES = ("collection.json", "catalog.json")

Document = dict[str, Any]


@dataclass(frozen=True)
class _Link:
    """An item link of a catalog."""

    location: str
    name: str  # last part of its path without the ending: mostly the item's id


class StaticSource:
    """Items reached from one file at a local path, on a web server or in S3."""

    def __init__(self, location: str, collections: Sequence[str] = ()) -> None:
        """`collections`: only items of these; empty = all."""
        self._root = _absolute(location)
        self._collections = frozenset(collections)
        self._met: set[str] = set()

    def items(self) -> Iterator[RawItem]:
        content = _content(self._root)
        if isinstance(content, RawItem):
            return self._chosen(iter([content]))
        if isinstance(content, dict):
            return self._chosen(self._linked(content))
        return self._chosen(content)

    def by_ids(self, ids: Collection[str]) -> Iterator[RawItem]:
        content = _content(self._root)
        if isinstance(content, dict):
            found = self._linked_by_ids(content, ids)
        else:
            found = iter([content]) if isinstance(content, RawItem) else content
        return (raw for raw in self._chosen(found) if raw.fault or raw.id in ids)

    def known_ids(self) -> Collection[str]:
        return self._met

    def _chosen(self, raws: Iterable[RawItem]) -> Iterator[RawItem]:
        for raw in raws:
            if isinstance(raw.id, str) and len(self._met) < MOST_KNOWN:
                self._met.add(raw.id)
            if not self._collections or raw.fault or _collection(raw) in self._collections:
                yield raw

    def _linked(self, root: Document) -> Iterator[RawItem]:
        faults: list[Problem] = []
        yield from self._read(_walk(root, self._root, faults))
        _raise(self._root, faults)

    def _linked_by_ids(self, root: Document, wanted: Collection[str]) -> Iterator[RawItem]:
        """Links that are named like a wanted id first; the others only while some id is missing."""
        faults: list[Problem] = []
        links = list(_walk(root, self._root, faults))
        missing = set(wanted)
        for likely in (True, False):
            if not missing:
                return
            for raw in self._read(link for link in links if (link.name in wanted) == likely):
                if isinstance(raw.id, str):
                    missing.discard(raw.id)
                yield raw
        if missing:
            _raise(self._root, faults)

    def _read(self, links: Iterable[_Link]) -> Iterator[RawItem]:
        if is_remote(self._root):
            return ordered_map(_read_item, links)
        return map(_read_item, links)


def _absolute(location: str) -> str:
    """Where the catalog lies. Real paths: its relative hrefs climb real folders, not links."""
    if is_remote(location):
        return location.strip()
    path = os.path.realpath(local_path(location))
    if os.path.isdir(path):
        return next((p for p in _defaults(path) if os.path.exists(p)), _defaults(path)[0])
    return path


def _defaults(folder: str) -> list[str]:
    return [os.path.join(folder, name) for name in DEFAULT_FILES]


def _content(location: str) -> Document | RawItem | Iterator[RawItem]:
    """What is at `location`: a catalog's document, one item, or items one after the other."""
    if location.lower().endswith(NDJSON_ENDINGS):
        return _of_lines(lambda: documents.opened(location), location)
    data = documents.fetch(location)
    try:
        document = documents.parse(data)
    except NotJson as error:
        if _has_two_lines(data):
            return _of_lines(lambda: io.BytesIO(data), location)
        raise not_usable(location, f"it is {error}") from error
    return _recognised(document, location)


def _has_two_lines(data: bytes) -> bool:
    """Whether the first line is a JSON document of its own, so that the file may be NDJSON."""
    first = data.lstrip(b"\xef\xbb\xbf \t\r\n").partition(b"\n")[0]
    try:
        return isinstance(documents.parse(first), dict)
    except NotJson:
        return False


def _recognised(document: object, location: str) -> Document | RawItem | Iterator[RawItem]:
    kind = document.get("type") if isinstance(document, dict) else None
    if isinstance(document, dict):
        if kind in ("Catalog", "Collection"):
            return document
        if kind == "FeatureCollection" and isinstance(document.get("features"), list):
            return features(document["features"], location)
        if kind == "Feature" or (kind is None and "id" in document and "links" not in document):
            return RawItem(document, location)
    raise not_usable(location, f"its type is {kind!r}" if kind else "it has no STAC type")


def features(found: Iterable[object], location: str) -> Iterator[RawItem]:
    """The items of an ItemCollection or of a page of answers."""
    for number, feature in enumerate(found):
        yield RawItem(feature, location, f" features[{number}]")


def _of_lines(open_stream: Callable[[], Any], location: str) -> Iterator[RawItem]:
    with open_stream() as stream:
        for number, document, fault in documents.ndjson(stream, location):
            yield RawItem(document, location, f":{number}", fault=fault)


def _read_item(link: _Link) -> RawItem:
    try:
        document = documents.parse(documents.fetch(link.location))
    except NotJson as error:
        return RawItem(None, link.location, name=link.name, fault=f"it is {error}")
    except BadInput as error:
        return RawItem(None, link.location, name=link.name, fault=error.why or error.what)
    return RawItem(document, link.location, name=link.name)


def _walk(root: Document, location: str, faults: list[Problem]) -> Iterator[_Link]:
    """Every item link below `root`, catalogs read one by one, each file once."""
    seen = {location}
    todo: list[tuple[Document | None, str, int]] = [(root, location, 0)]
    while todo:
        document, here, depth = todo.pop()
        if document is None:
            document = _read_catalog(here, faults)
        below = []
        for relation, target in _links(document, here, faults):
            if target in seen:
                continue
            seen.add(target)
            if relation == "item":
                yield _Link(target, os.path.splitext(target.rpartition("/")[2])[0])
            elif depth < MAX_DEPTH:
                below.append((None, target, depth + 1))
            else:
                faults.append(Problem(shown(target), f"more than {MAX_DEPTH} catalogs deep"))
        todo += reversed(below)


def _links(document: Document, location: str, faults: list[Problem]) -> Iterator[tuple[str, str]]:
    """The absolute addresses of the item and child links of a catalog."""
    links = document.get("links")
    for link in links if isinstance(links, list) else []:
        relation, href = (link.get("rel"), link.get("href")) if isinstance(link, dict) else (0, 0)
        if relation not in ("item", "child"):
            continue
        try:
            yield relation, resolve(href if isinstance(href, str) else "", location)
        except BadInput as error:
            faults.append(Problem(shown(location), str(error), field="links"))


def _read_catalog(location: str, faults: list[Problem]) -> Document:
    try:
        document = documents.parse(documents.fetch(location))
    except NotJson as error:
        faults.append(Problem(shown(location), f"it is {error}"))
    except BadInput as error:
        faults.append(Problem(shown(location), error.why or error.what))
    else:
        if isinstance(document, dict):
            return document
        faults.append(Problem(shown(location), "it is not a JSON object"))
    return {}


def _raise(location: str, faults: list[Problem]) -> None:
    if faults:
        raise BadInput(
            f"{shown(location)} cannot be read as a whole",
            why=f"{len(faults)} of its links lead nowhere or to something else",
            hint="mend the catalog, or give the part of it that is needed",
            problems=faults,
        )


def _collection(raw: RawItem) -> object:
    return raw.document.get("collection") if isinstance(raw.document, dict) else None
