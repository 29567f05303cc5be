"""From a STAC item's JSON to a WorkItem: the only door for items from outside."""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from coordinator.catalog.base import RawItem, shown_id
from coordinator.catalog.needs import Needs
from coordinator.domain.items import WorkItem
from coordinator.domain.limits import SPLIT as SPLIT
from coordinator.domain.names import item_id_problem
from coordinator.domain.text import is_whole
from coordinator.errors import BadInput, Problem
from coordinator.storage.hrefs import is_remote, resolve

SOURCE_LANGUAGE = "mt:source_language"
TARGET_LANGUAGE = "mt:target_language"
SENTENCES = "mt:sentences"

LANGUAGE_RULE = r"[A-Za-z0-9]+(?:[-_][A-Za-z0-9]+)*"
SPLIT_RULE = r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_-])?"
LONGEST_VALUE = 64
DEEPEST_VALUE = 32  # objects and lists in one another

_LANGUAGE = re.compile(LANGUAGE_RULE)
_SPLIT = re.compile(SPLIT_RULE)
_VERSION = re.compile(r"1\.[01]\.\d+(?:-[0-9A-Za-z.-]+)?")

Fault = tuple[str, str]  # field, reason


def work_item(raw: RawItem) -> WorkItem:
    """The checked item of `raw`.

    Raises:
        BadInput: it cannot be used; every reason is among `problems`.
    """
    if raw.fault:
        raise _unusable(raw, [("", raw.fault)])
    faults = item_faults(raw.document)
    if faults:
        raise _unusable(raw, faults)
    document: dict[str, Any] = raw.document
    assets, faults = _assets(document.get("assets") or {}, own_location(raw))
    if faults:
        raise _unusable(raw, faults)
    return WorkItem(
        document["id"],
        document.get("collection") or "",
        assets,
        document.get("properties") or {},
    )


def own_location(raw: RawItem) -> str:
    """What the item's relative hrefs start from: its own address, else the file it stands in."""
    if not raw.place or not isinstance(raw.document, dict):
        return raw.location
    for link in _dicts(raw.document.get("links")):
        href = link.get("href")
        if link.get("rel") == "self" and isinstance(href, str) and is_remote(href):
            return href
    return raw.location


def item_faults(document: object) -> list[Fault]:
    """What is wrong with an item of any kind: only what is there must be right, and an id be there.

    The same as `definitions/item` of the JSON schema in `docs/schemas`, but for what a schema
    cannot say: all of the id's rules, and which values no file of ours could hold.
    """
    if not isinstance(document, dict):
        return [("", "it is not a JSON object")]
    faults = [("id", reason)] if (reason := item_id_problem(document.get("id"))) else []
    faults += _wrong(document, _ITEM_RULES)
    properties = document.get("properties")
    if isinstance(properties, dict):
        faults += [(f"properties.{name}", why) for name, why in _wrong(properties, _PROPERTY_RULES)]
    return faults


def lacks(item: WorkItem, needs: Needs) -> list[Fault]:
    """What the item does not have though the pipeline asks for it."""
    assets = [
        (f"assets.{name}", "the pipeline needs this asset and the item has none of that name")
        for name in sorted(needs.all_assets - item.assets.keys())
    ]
    given = {name for name, value in item.properties.items() if value is not None}
    properties = [
        (f"properties.{name}", "the pipeline needs this property and the item does not have it")
        for name in sorted(needs.properties - given)
    ]
    return assets + properties


def _assets(assets: dict[str, Any], base: str) -> tuple[dict[str, str], list[Fault]]:
    found: dict[str, str] = {}
    faults: list[Fault] = []
    for name, asset in assets.items():
        field = f"assets.{shown_id(name)}"
        href = asset.get("href") if isinstance(asset, dict) else None
        if not is_whole(name):
            faults.append((field, "its name holds half a character"))
            continue
        if not isinstance(href, str) or not href:
            faults.append((field, "it has no href"))
            continue
        try:
            found[name] = resolve(href, base)
        except BadInput as error:
            faults.append((field, str(error)))
    return found, faults


def _unusable(raw: RawItem, faults: list[Fault]) -> BadInput:
    where = raw.where if raw.id is None else f"{shown_id(raw.id)} ({raw.where})"
    problems = [Problem(where, reason, field=field) for field, reason in faults]
    return BadInput(f"{where} cannot be used", problems=problems)


def _dicts(value: object) -> Iterator[dict[str, Any]]:
    if isinstance(value, list):
        yield from (entry for entry in value if isinstance(entry, dict))


# One row a field: its name, what it may be, and what to say where it is something else.
_Rule = tuple[str, Callable[[Any], bool], str]


def _wrong(document: dict[str, Any], rules: tuple[_Rule, ...]) -> list[Fault]:
    return [
        (field, reason)
        for field, good, reason in rules
        if field in document and not good(document[field])
    ]


def _is_object_or_null(value: object) -> bool:
    return value is None or isinstance(value, dict)


def _is_all_whole(value: object) -> bool:
    """Whether all texts in it can be written as UTF-8."""
    try:
        return is_whole(json.dumps(value, ensure_ascii=False))
    except RecursionError:
        return True  # that is another fault


def _is_shallow(value: object) -> bool:
    level: list[object] = [value]
    for _ in range(DEEPEST_VALUE + 1):
        level = [inner for outer in level for inner in _inside(outer)]
    return not level


def _inside(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _is_line_or_null(value: object) -> bool:
    return value is None or (isinstance(value, str) and value.isprintable())


def _is_version(value: object) -> bool:
    return isinstance(value, str) and _VERSION.fullmatch(value) is not None


def is_language(value: object) -> bool:
    return _is_short(value, _LANGUAGE)


def is_split(value: object) -> bool:
    return _is_short(value, _SPLIT)


def _is_short(value: object, rule: re.Pattern[str]) -> bool:
    return (
        isinstance(value, str) and len(value) <= LONGEST_VALUE and rule.fullmatch(value) is not None
    )


def _is_count(value: object) -> bool:
    """JSON has one kind of number: 5.0 is an integer there."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return value >= 1 and (isinstance(value, int) or value.is_integer())


_A_LANGUAGE = "it must be a language code such as eng, pt-BR or zho_Hans"

_ITEM_RULES: tuple[_Rule, ...] = (
    ("type", lambda value: value == "Feature", 'a STAC item has the type "Feature"'),
    ("stac_version", _is_version, "only STAC 1.0 and 1.1 are known"),
    ("geometry", _is_object_or_null, "it must be an object or null"),
    ("collection", _is_line_or_null, "it must be one line of text"),
    ("properties", _is_object_or_null, "it must be an object"),
    ("properties", _is_all_whole, "it holds half a character (a lone surrogate)"),
    ("properties", _is_shallow, f"it nests deeper than {DEEPEST_VALUE} levels"),
    ("assets", _is_object_or_null, "it must be an object"),
)
_PROPERTY_RULES: tuple[_Rule, ...] = (
    (SOURCE_LANGUAGE, is_language, _A_LANGUAGE),
    (TARGET_LANGUAGE, is_language, _A_LANGUAGE),
    (SPLIT, is_split, "it must be a short name such as dev or devtest"),
    (SENTENCES, _is_count, "it must be a whole number, 1 or more"),
)
