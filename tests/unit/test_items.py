"""From JSON of unknown origin to a WorkItem; the same rules as the published schema."""

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.catalog.base import RawItem
from coordinator.catalog.items import item_faults, lacks, work_item
from coordinator.catalog.needs import Needs
from coordinator.errors import BadInput
from tests import stac
from tests.support import REPOSITORY

SCHEMA = json.loads((REPOSITORY / "docs/schemas/mt-extension.schema.json").read_text())
ANY_KIND = jsonschema.Draft7Validator(
    {"$ref": "#/definitions/item", "definitions": SCHEMA["definitions"]}
)
TRANSLATION = jsonschema.Draft7Validator(SCHEMA)
TRANSLATION_NEEDS = Needs(
    assets=frozenset({"source", "reference"}),
    properties=frozenset({"mt:source_language", "mt:target_language", "mt:split", "mt:sentences"}),
)


def problems_of(document: object, location: str = "/data/items/a.json") -> list[str]:
    with pytest.raises(BadInput) as caught:
        work_item(RawItem(document, location))
    return [str(problem) for problem in caught.value.problems]


def test_a_whole_item() -> None:
    found = work_item(RawItem(stac.item("a"), "/data/items/a.json"))
    assert (found.id, found.collection) == ("a", "made-up")
    assert found.assets == {"source": "/data/items/eng.txt", "reference": "/data/items/fra.txt"}
    assert found.properties["mt:sentences"] == 2


def test_an_id_alone_is_an_item() -> None:
    found = work_item(RawItem({"id": "scene-1"}, "/data/list.ndjson", ":1"))
    assert (found.id, found.collection, found.assets, found.properties) == ("scene-1", "", {}, {})


@pytest.mark.parametrize("version", ["1.0.0", "1.1.0", "1.0.0-rc.1"])
def test_known_versions(version: str) -> None:
    assert item_faults(stac.item("a", stac_version=version)) == []


@pytest.mark.parametrize(
    ("item_id", "reason"),
    [
        ("../../etc/passwd", "not one safe path segment"),
        ("two\nlines", "not one safe path segment"),
        ("", "cannot be empty"),
        (7, "must be text"),
        (None, "must be text"),
        ("a" * 181, "longer than"),
        ("e\u0301", "NFC"),
    ],
)
def test_ids_that_are_not_one_safe_segment(item_id: object, reason: str) -> None:
    document = {**stac.item("a"), "id": item_id}
    (problem,) = problems_of(document)
    assert reason in problem
    assert problem.isprintable()


def test_every_fault_is_named_at_once() -> None:
    document = stac.item(
        "../x",
        type="Catalog",
        stac_version="0.9.0",
        collection=["x"],
        properties={"mt:source_language": "", "mt:sentences": 0, "mt:split": "a/b"},
    )
    told = " ".join(problems_of(document))
    for field in ("[id]", "[type]", "[stac_version]", "[collection]"):
        assert field in told
    for name in ("mt:source_language", "mt:sentences", "mt:split"):
        assert f"[properties.{name}]" in told


@pytest.mark.parametrize("document", [None, [], "x", 3, {}])
def test_what_is_no_item(document: object) -> None:
    assert problems_of(document)


@pytest.mark.parametrize(
    ("base", "href", "found"),
    [
        ("/d/i/a.json", "../t/x.txt", "/d/t/x.txt"),
        ("/d/i/a.json", "/t/x.txt", "/t/x.txt"),
        ("/d/i/a.json", "file:///t/x%20y.txt", "/t/x y.txt"),
        ("/d/i/a.json", "https://h/x.txt", "https://h/x.txt"),
        ("https://h/d/i/a.json?k=1", "../t/x.txt", "https://h/d/t/x.txt"),
        ("https://h/d/a.json", "/etc/passwd", "https://h/etc/passwd"),
        ("https://h/d/a.json", "//other/x", "https://other/x"),
        ("https://h/d/a.json", "s3://b/x", "s3://b/x"),
        ("s3://b/d/i/a.json", "../t/x y.txt", "s3://b/d/t/x y.txt"),
        ("s3://b/d/a.json", "../../../x", "s3://b/x"),
        ("/d/a.json", "gs://b/scene.tif", "gs://b/scene.tif"),
    ],
)
def test_hrefs_are_made_absolute(base: str, href: str, found: str) -> None:
    document = stac.item("a", assets={"source": {"href": href}})
    assert work_item(RawItem(document, base)).assets == {"source": found}


@pytest.mark.parametrize("base", ["https://h/d/a.json", "s3://b/a.json"])
@pytest.mark.parametrize(
    "href", ["file:///etc/passwd", "FILE:///etc/passwd", " file:/etc/passwd", "file://host/x"]
)
def test_a_remote_item_may_not_name_a_local_file(base: str, href: str) -> None:
    document = stac.item("a", assets={"source": {"href": href}})
    (problem,) = problems_of(document, base)
    assert "[assets.source]" in problem
    assert "a remote catalog may not point at local files" in problem


def test_an_item_in_a_page_starts_from_its_own_address() -> None:
    links = [{"rel": "self", "href": "https://h/collections/c/items/a"}]
    document = stac.item("a", links=links, assets={"source": {"href": "./x.txt"}})
    raw = RawItem(document, "https://h/search", " features[0]")
    assert work_item(raw).assets["source"] == "https://h/collections/c/items/x.txt"


def test_a_self_link_to_a_local_file_counts_for_nothing() -> None:
    links = [{"rel": "self", "href": "file:///etc/a.json"}]
    document = stac.item("a", links=links, assets={"source": {"href": "passwd"}})
    raw = RawItem(document, "https://h/search", " features[0]")
    assert work_item(raw).assets["source"] == "https://h/passwd"


@pytest.mark.parametrize("href", ["", "a\nb", "\x1b]0;x", None, 5])
def test_hrefs_that_are_no_address(href: object) -> None:
    document = stac.item("a", assets={"source": {"href": href}})
    assert "[assets.source]" in problems_of(document)[0]


def test_what_a_pipeline_needs_and_an_item_lacks() -> None:
    found = work_item(RawItem({"id": "a", "properties": {"grid": None}}, "/a.json"))
    fields = [field for field, _ in lacks(found, TRANSLATION_NEEDS)]
    assert fields == [
        "assets.reference",
        "assets.source",
        "properties.mt:sentences",
        "properties.mt:source_language",
        "properties.mt:split",
        "properties.mt:target_language",
    ]
    assert lacks(found, Needs()) == []
    assert lacks(found, Needs(properties=frozenset({"grid"}))), "null is no value"


# The schema and the checks by hand say the same.

SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 3), st.floats(-2, 3), st.sampled_from(
        ["eng", "zho_Hans", "pt-BR", "a b", "", "-x", "dev", ".", "1.0.0", "1.1.3", "2.0.0",
         "Feature", "Item", "x" * 65, "é", "a\nb"]
    ),
)  # fmt: skip
VALUES = st.one_of(SCALARS, st.lists(SCALARS, max_size=2), st.dictionaries(
    st.sampled_from(["mt:source_language", "mt:split", "mt:sentences", "href"]), SCALARS
))  # fmt: skip
ASSETS = st.one_of(
    VALUES, st.dictionaries(st.sampled_from(["source", "reference", "other"]), VALUES)
)
PROPERTIES = st.one_of(
    VALUES,
    st.dictionaries(
        st.sampled_from(
            ["mt:source_language", "mt:target_language", "mt:split", "mt:sentences", "other"]
        ),
        SCALARS,
    ),
)
CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "type": SCALARS,
        "stac_version": SCALARS,
        "geometry": VALUES,
        "collection": SCALARS,
        "properties": PROPERTIES,
        "assets": ASSETS,
    },
)


def is_usable(document: dict[str, Any], needs: Needs) -> bool:
    try:
        return not lacks(work_item(RawItem(document, "/d/a.json")), needs)
    except BadInput:
        return False


@settings(max_examples=500)
@given(CHANGES)
def test_checks_agree_with_the_schema(changes: dict[str, Any]) -> None:
    document = {**stac.item("a"), **changes}
    assert is_usable(document, Needs()) == ANY_KIND.is_valid(document)
    assert is_usable(document, TRANSLATION_NEEDS) == TRANSLATION.is_valid(document)


def test_the_schema_is_a_schema_and_takes_its_own_example() -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    assert TRANSLATION.is_valid(stac.item("a"))
    for item_id in ("../x", "a/b", "a\nb", "", 3):
        assert not ANY_KIND.is_valid({"id": item_id})
