"""From a source and an item list to the items of a batch, checked before anything runs."""

import difflib
from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from coordinator.catalog.assets import Facts, examine
from coordinator.catalog.base import (
    MOST_BAD,
    BadItem,
    ItemSource,
    Progress,
    RawItem,
    bad_item,
    shown_id,
    too_many_bad,
)
from coordinator.catalog.items import SENTENCES, Fault, lacks, work_item
from coordinator.catalog.lists import ItemList, read_item_list
from coordinator.catalog.needs import Needs
from coordinator.catalog.stored import StoredMap
from coordinator.domain.cost import cost_of
from coordinator.domain.items import WorkItem
from coordinator.domain.limits import ALL, SPLIT, Limits
from coordinator.domain.names import item_id_problem
from coordinator.errors import BadInput, Problem
from coordinator.storage.hrefs import shown

MOST_GUESSES = 10  # ids for which a similar one is looked up: that takes a while
PROGRESS_EVERY = 500


@dataclass(frozen=True)
class Found:
    """A good item, and where it was found."""

    item: WorkItem
    where: str

    def to_json(self) -> list[Any]:
        return [self.item.to_json(), self.where]

    @classmethod
    def from_json(cls, document: list[Any]) -> "Found":
        return cls(WorkItem.from_json(document[0]), document[1])


@dataclass(frozen=True)
class StoredItems(Collection[WorkItem]):
    """Items in a file of their own, in the order of `order`, which may name others too."""

    by_id: StoredMap[Found]
    order: Collection[str]

    def ids(self) -> Iterator[str]:
        if len(self.order) == len(self.by_id):
            return iter(self.order)
        return (item_id for item_id in self.order if item_id in self.by_id)

    def __iter__(self) -> Iterator[WorkItem]:
        found = (self.by_id.get(item_id) for item_id in self.order)
        return (each.item for each in found if each)

    def __len__(self) -> int:
        return len(self.by_id)

    def close(self) -> None:
        """Nobody asks for them any more."""
        self.by_id.close()

    def __contains__(self, item: object) -> bool:
        found = self.by_id.get(item.id) if isinstance(item, WorkItem) else None
        return found is not None and found.item == item


@dataclass(frozen=True)
class Selection:
    """The items of a batch, and all that was wrong with the others.

    Attributes:
        items: the good ones, in the order of the list, else of the source.
        listed: how many distinct ids the item list names, good or bad; None without a list.
        repeated: how many lines of the list named an id again.
        bad: the others, one entry an item; items and bad together are all that was asked for.
        problems: every problem of every bad item; empty only if `bad` is.
        costs: of the good ones, in tokens, in the order of the source.
    """

    items: StoredItems
    listed: int | None = None
    repeated: int = 0
    bad: tuple[BadItem, ...] = ()
    problems: tuple[Problem, ...] = ()
    costs: Sequence[int] = ()


def select_items(
    source: ItemSource,
    item_list: Path | None,
    needs: Needs,
    *,
    limit: int | None = None,
    limits: Limits = ALL,
    on_progress: Progress | None = None,
) -> Selection:
    """The items to run: those of the list, or all of the source; the first `limit` of them.

    `limits` says how much of their texts will be worked on, for what they cost.

    Raises:
        BadInput: the list or the source cannot be used at all; `problems` says all that is known.
        SourceUnreachable: the source, or a server with files of the items, does not answer.
    """
    listed = read_item_list(item_list) if item_list else None
    chosen = _Chosen(on_progress)
    order: Collection[str] = chosen.items.keys()
    if listed is None or item_list is None:
        chosen.take(source.items(), limit)
        _refuse_nothing(chosen)
    else:
        order = _first(listed.ids, limit)
        _take_listed(chosen, source, listed, order, item_list)
    costs = _check_files(chosen, needs, limits, on_progress)
    if listed is not None:
        lines = listed.lines
        chosen.bad = dict(sorted(chosen.bad.items(), key=lambda entry: lines.get(entry[0], 0)))
    return Selection(
        items=StoredItems(chosen.items, order),
        listed=len(listed.ids) + len(listed.bad) if listed else None,
        repeated=listed.repeated if listed else 0,
        bad=tuple(bad_item(item_id, found) for item_id, found in chosen.bad.items()),
        problems=tuple(problem for found in chosen.bad.values() for problem in found),
        costs=costs,
    )


@dataclass
class _Chosen:
    """What has been taken from the source so far. An id is in `items` or in `bad`, not in both."""

    on_progress: Progress | None = None
    items: StoredMap[Found] = field(
        default_factory=lambda: StoredMap(Found.to_json, Found.from_json)
    )
    bad: dict[str, list[Problem]] = field(default_factory=dict)
    places_of_bad: dict[str, str] = field(default_factory=dict)  # id -> where it was found first

    def take(self, raws: Iterable[RawItem], limit: int | None = None) -> None:
        """Raises BadInput with all problems found so far, where the source cannot be read on."""
        try:
            for count, raw in enumerate(islice(raws, limit), start=1):
                self._take_one(raw)
                if self.on_progress and count % PROGRESS_EVERY == 0:
                    self.on_progress("reading items", count, limit)
        except BadInput as error:
            found = [problem for problems in self.bad.values() for problem in problems]
            error.problems += tuple(found)
            raise

    def reject(self, item_id: str, problems: Sequence[Problem]) -> None:
        self.items.pop(item_id, None)
        if len(self.bad) == MOST_BAD and item_id not in self.bad:
            raise too_many_bad("those that were asked for")
        self.bad.setdefault(item_id, []).extend(problems)

    def _take_one(self, raw: RawItem) -> None:
        item_id, problems = self._key(raw), list[Problem]()
        try:
            found = Found(work_item(raw), raw.where)
            if item_id not in self.places_of_bad and self.items.add(item_id, found):
                return
        except BadInput as error:
            problems += error.problems
        if place := self._place(item_id):
            reason = f"two items have this id: {place} and {raw.where}"
            problems = [Problem(item_id, reason, "give each its own id", "id")]
        self.places_of_bad[item_id] = place or raw.where
        self.reject(item_id, problems)

    def _place(self, item_id: str) -> str:
        """Where one of this id was found before, or ""."""
        found = self.items.get(item_id)
        return found.where if found else self.places_of_bad.get(item_id, "")

    def _key(self, raw: RawItem) -> str:
        """The item's id; where that is none, something to print in its place."""
        if item_id_problem(raw.id) is None:
            return str(raw.id)
        if isinstance(raw.id, str) and raw.id:
            return shown_id(raw.id)
        # A file that cannot be read is mostly named like its item.
        named = not self._place(raw.name) and item_id_problem(raw.name) is None
        return raw.name if named else raw.where


def _refuse_nothing(chosen: _Chosen) -> None:
    if not chosen.items and not chosen.bad:
        raise BadInput(
            "the source has no items",
            why="it was read to its end and none was found",
            hint="check --catalog, --stac_api_url and --benchmark_sources",
        )


def _first(ids: Collection[str], limit: int | None) -> Collection[str]:
    """The first `limit` of the ids."""
    if limit is None or limit >= len(ids):
        return ids
    first: StoredMap[None] = StoredMap()
    first.update((item_id, None) for item_id in islice(ids, limit))
    return first.keys()


def _take_listed(
    chosen: _Chosen, source: ItemSource, listed: ItemList, ids: Collection[str], path: Path
) -> None:
    """`ids`: those of the list that are asked for."""
    if ids:
        chosen.take(source.by_ids(ids))
    unreadable = _set_aside_unlisted(chosen, ids)
    guesses = _guesses([*islice(_missing(chosen, ids), MOST_GUESSES)], source.known_ids())
    for item_id in _missing(chosen, ids):
        where = f"{shown(str(path))}:{listed.lines[item_id]}"
        reason = f"no item {item_id} in the catalog{unreadable}"
        chosen.reject(item_id, [Problem(where, reason, guesses.get(item_id, ""), "id")])
    for bad in listed.bad:
        chosen.reject(bad.id, [bad.problem])


def _missing(chosen: _Chosen, ids: Collection[str]) -> Iterator[str]:
    if len(chosen.items) == len(ids):
        return iter(())
    return (i for i in ids if i not in chosen.items and i not in chosen.bad)


def _set_aside_unlisted(chosen: _Chosen, ids: Collection[str]) -> str:
    """Forgets unreadable items that the list does not name; what to say of them, if any."""
    strangers = [name for name in chosen.bad if name not in ids]
    if not strangers:
        return ""
    first = chosen.bad[strangers[0]][0].where
    for name in strangers:
        del chosen.bad[name]
    return f"; of its items {len(strangers)} cannot be read, {first} first"


def _guesses(missing: Sequence[str], known: Collection[str]) -> Mapping[str, str]:
    """What to try instead of the first few missing ids, where the source knows similar ones."""
    candidates = sorted(known)
    similar = ((i, difflib.get_close_matches(i, candidates, n=1)) for i in missing)
    return {item_id: f"did you mean {found[0]}?" for item_id, found in similar if found}


def _check_files(
    chosen: _Chosen, needs: Needs, limits: Limits, on_progress: Progress | None
) -> Sequence[int]:
    """Reject those whose files cannot be used; what each of the others costs."""
    costs = array("q")
    facts = examine((found.item for found in chosen.items.values()), needs, on_progress)
    for found in chosen.items.values():
        item = found.item
        faults = [*lacks(item, needs), *_file_faults(item, needs, facts)]
        if faults:
            problems = [Problem(item.id, reason, field=name) for name, reason in faults]
            chosen.reject(item.id, problems)
            continue
        texts = [facts[item.assets[name]] for name in needs.texts & item.assets.keys()]
        counted = [text.tokens for text in texts if text.tokens]
        cost = cost_of(item.properties, counted, _part(item, texts, limits))
        if cost != item.cost:
            chosen.items[item.id] = replace(found, item=replace(item, cost=cost))
        costs.append(cost)
    return costs


def _part(item: WorkItem, texts: Sequence[Facts], limits: Limits) -> float:
    """Of its sentences that will be worked on; 1 where it is not known how many it has."""
    some = limits.sentences_of(item.properties.get(SPLIT))
    lines = max((text.lines or 0 for text in texts), default=0)
    there = lines or item.properties.get(SENTENCES, 0)
    return min(1.0, some / there) if some and there else 1.0


def _file_faults(item: WorkItem, needs: Needs, facts: Mapping[str, Facts]) -> Iterator[Fault]:
    counts: dict[str, int] = {}
    for name in sorted(needs.all_assets & item.assets.keys()):
        found = facts[item.assets[name]]
        if found.fault:
            location = shown(item.assets[name])
            told = found.fault if location in found.fault else f"{location}: {found.fault}"
            yield f"assets.{name}", told
        elif found.lines is not None:
            counts[name] = found.lines
    yield from _misaligned(item, needs, counts)


def _misaligned(item: WorkItem, needs: Needs, counts: Mapping[str, int]) -> Iterator[Fault]:
    """Pairs of texts of different lengths, and texts of another length than the item says."""
    for one, other in needs.aligned:
        if one in counts and other in counts and counts[one] != counts[other]:
            told = f"{counts[one]} lines, but {other} has {counts[other]}; they must be aligned"
            yield f"assets.{one}", told
    said = item.properties.get(SENTENCES)
    if said is None:
        return
    for name, count in counts.items():
        if count != said:
            yield f"assets.{name}", f"{count} lines, but {SENTENCES} says {said}"
