"""What a source holds, counted and shown, before anything of it is run."""

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from coordinator.catalog.base import ItemSource, Progress, RawItem, shown_id
from coordinator.catalog.items import SOURCE_LANGUAGE, SPLIT, TARGET_LANGUAGE, work_item
from coordinator.catalog.lists import read_item_list
from coordinator.catalog.stored import StoredMap
from coordinator.domain.items import WorkItem
from coordinator.domain.text import read_lines
from coordinator.errors import BadInput, SourceUnreachable
from coordinator.settings import nearest
from coordinator.storage.locations import open_location

NONE = "(none)"
PROGRESS_EVERY = 500


@dataclass
class ItemCounts:
    """How many items a source holds, by what they say of themselves.

    Attributes:
        total: distinct ids, whether or not the items can be used.
        repeated: entries whose id came before.
        unusable: entries that are no item; they count in no table below.
        missing: ids of the item list that the source does not have.
    """

    total: int = 0
    repeated: int = 0
    unusable: int = 0
    missing: tuple[str, ...] = ()
    collections: Counter[str] = field(default_factory=Counter)
    splits: Counter[str] = field(default_factory=Counter)
    source_languages: Counter[str] = field(default_factory=Counter)
    target_languages: Counter[str] = field(default_factory=Counter)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON (`dataclasses.asdict` cannot copy a Counter)."""
        return {
            name: dict(value) if isinstance(value, Counter) else value
            for name, value in vars(self).items()
        }


def count_items(
    source: ItemSource, item_list: Path | None = None, *, on_progress: Progress | None = None
) -> ItemCounts:
    """The counts over all items, or over those of the list; files that items name are not read.

    Raises:
        BadInput, SourceUnreachable: as `select_items`.
    """
    ids = read_item_list(item_list).ids if item_list else None
    counts, met = ItemCounts(), StoredMap[bool]()
    raws = source.items() if ids is None else source.by_ids(ids)
    for number, raw in enumerate(raws, start=1):
        _count(counts, met, raw)
        if on_progress and number % PROGRESS_EVERY == 0:
            on_progress("reading items", number, None)
    counts.total = len(met)
    counts.missing = tuple(item_id for item_id in ids or () if item_id not in met)
    return counts


def _count(counts: ItemCounts, met: StoredMap[bool], raw: RawItem) -> None:
    try:
        item = work_item(raw)
    except BadInput:
        counts.unusable += 1
        return
    if item.id in met:
        counts.repeated += 1
        return
    met[item.id] = True
    counts.collections[item.collection or NONE] += 1
    counts.splits[str(item.properties.get(SPLIT, NONE))] += 1
    counts.source_languages[str(item.properties.get(SOURCE_LANGUAGE, NONE))] += 1
    counts.target_languages[str(item.properties.get(TARGET_LANGUAGE, NONE))] += 1


@dataclass(frozen=True)
class AssetView:
    """A file of an item: its size in bytes, hash, lines and first line; or why it has none."""

    href: str
    size: int = 0
    sha256: str = ""
    lines: int | None = None  # None = not text
    first_line: str = ""
    fault: str = ""


@dataclass(frozen=True)
class ItemView:
    """An item and its files."""

    item: WorkItem
    assets: Mapping[str, AssetView]


def show_item(source: ItemSource, item_id: str) -> ItemView:
    """One item, with each of its files read.

    Raises:
        BadInput: there is no such item, or it cannot be used.
        SourceUnreachable: the source does not answer.
    """
    for raw in source.by_ids([item_id]):
        if raw.id == item_id:
            item = work_item(raw)
            return ItemView(item, {n: _view(href) for n, href in item.assets.items()})
    raise BadInput(
        f"no item {shown_id(item_id)} in the catalog",
        hint=nearest(item_id, map(shown_id, source.known_ids())) or "check the spelling",
    )


def _view(href: str) -> AssetView:
    try:
        with open_location(href) as stream:
            data = stream.read()
    except (BadInput, SourceUnreachable) as error:
        return AssetView(href, fault=str(error))
    digest = hashlib.sha256(data).hexdigest()
    try:
        lines = read_lines(data)
    except BadInput as error:
        return AssetView(href, len(data), digest, fault=str(error))
    return AssetView(href, len(data), digest, len(lines), lines[0] if lines else "")
