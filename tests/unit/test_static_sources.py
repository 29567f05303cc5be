"""Items in files: every layout, and links that mislead."""

import json
from pathlib import Path

import pytest

from coordinator.catalog import Needs, open_source, select_items
from coordinator.catalog import documents as documents_module
from coordinator.errors import BadInput
from coordinator.storage.fetching import MAX_LINE_BYTES
from tests import stac


def read(location: Path, *collections: str) -> list[object]:
    return [raw.id for raw in open_source(str(location), None, collections).items()]


def test_catalogs_below_catalogs(tmp_path: Path) -> None:
    stac.write(tmp_path / "catalog.json", stac.catalog(["a.json"], ["one/c.json", "two/c.json"]))
    stac.write(tmp_path / "a.json", stac.item("a"))
    stac.write(tmp_path / "one/c.json", stac.catalog(["./b.json"], ["deep/c.json"], "Collection"))
    stac.write(tmp_path / "one/b.json", stac.item("b"))
    stac.write(tmp_path / "one/deep/c.json", stac.catalog(["../../d.json"]))
    stac.write(tmp_path / "d.json", stac.item("d"))
    stac.write(tmp_path / "two/c.json", stac.catalog(["e.json"]))
    stac.write(tmp_path / "two/e.json", stac.item("e"))
    assert read(tmp_path / "catalog.json") == ["a", "b", "d", "e"]
    assert read(tmp_path) == ["a", "b", "d", "e"]


def test_a_circle_of_catalogs_ends(tmp_path: Path) -> None:
    stac.write(tmp_path / "catalog.json", stac.catalog(["a.json", "./a.json"], ["c.json"]))
    stac.write(tmp_path / "c.json", stac.catalog(["a.json"], ["catalog.json", "c.json"]))
    stac.write(tmp_path / "a.json", stac.item("a"))
    assert read(tmp_path) == ["a"]


def test_catalogs_without_a_bottom_are_refused(tmp_path: Path) -> None:
    for depth in range(40):
        stac.write(tmp_path / f"{depth}.json", stac.catalog([], [f"{depth + 1}.json"]))
    with pytest.raises(BadInput) as caught:
        read(tmp_path / "0.json")
    assert "more than 32 catalogs deep" in str(caught.value.problems[0])


def test_an_item_collection_and_one_item(tmp_path: Path) -> None:
    features = [stac.item("a"), stac.item("b"), "no item"]
    whole = stac.write(tmp_path / "f.json", {"type": "FeatureCollection", "features": features})
    assert read(whole) == ["a", "b", None]
    assert read(stac.write(tmp_path / "i.json", stac.item("a"))) == ["a"]
    selection = select_items(open_source(str(whole)), None, Needs())
    assert selection.problems[0].where.endswith("f.json features[2]")


def test_ndjson_by_ending_or_by_content(tmp_path: Path) -> None:
    lines = [stac.item("a"), {"id": "b"}]
    assert read(stac.write_ndjson(tmp_path / "i.ndjson", lines)) == ["a", "b"]
    assert read(stac.write_ndjson(tmp_path / "i.json", lines)) == ["a", "b"]


def test_a_broken_line_of_ndjson_is_named(tmp_path: Path) -> None:
    path = tmp_path / "i.ndjson"
    path.write_bytes(b'\xef\xbb\xbf{"id": "a"}\r\n\r\n{"id": \n{"id": "c"}')
    selection = select_items(open_source(str(path)), None, Needs())
    assert [item.id for item in selection.items] == ["a", "c"]
    assert [bad.id for bad in selection.bad] == [f"{path}:3"]


def test_a_line_of_ndjson_has_an_end(tmp_path: Path) -> None:
    path = tmp_path / "i.ndjson"
    path.write_bytes(b'{"id": "a"}\n' + b" " * 10 + b'"' + b"x" * MAX_LINE_BYTES + b'"\n')
    with pytest.raises(BadInput, match="is no catalog") as caught:
        read(path)
    assert "line 2 is longer than" in caught.value.why


def test_collections_are_a_filter(tmp_path: Path) -> None:
    items = [stac.item("a"), stac.item("b", collection="other"), {"id": "c"}]
    path = stac.write_ndjson(tmp_path / "i.ndjson", items)
    assert read(path, "other") == ["b"]
    assert read(path, "other", "made-up") == ["a", "b"]


def test_a_link_through_a_symbolic_folder_climbs_real_folders(tmp_path: Path) -> None:
    stac.write(tmp_path / "real/deep/catalog.json", stac.catalog(["../a.json"]))
    stac.write(tmp_path / "real/a.json", stac.item("a"))
    (tmp_path / "link").symlink_to(tmp_path / "real/deep")
    assert read(tmp_path / "link") == ["a"]


def test_links_that_are_none_are_told(tmp_path: Path) -> None:
    document = stac.catalog()
    document["links"] = ["x", {"rel": "item"}, {"rel": "child", "href": 5}, {"rel": "item"}]
    stac.write(tmp_path / "catalog.json", document)
    with pytest.raises(BadInput) as caught:
        read(tmp_path)
    assert len(caught.value.problems) == 3


def test_only_likely_files_are_read_for_a_few_ids(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"i{n}" for n in range(50)]
    for name in names:
        stac.write(tmp_path / f"{name}.json", stac.item(name))
    stac.write(tmp_path / "catalog.json", stac.catalog([f"{name}.json" for name in names]))
    read_files: list[str] = []
    fetch = documents_module.fetch
    monkeypatch.setattr(
        documents_module, "fetch", lambda where: (read_files.append(where), fetch(where))[1]
    )
    source = open_source(str(tmp_path))
    assert [raw.id for raw in source.by_ids(["i7", "i3"])] == ["i3", "i7"]
    assert len(read_files) == 3
    assert [raw.id for raw in source.by_ids(["i7", "absent"])] == ["i7"]
    assert len(read_files) == 3 + 51
    assert "i49" in source.known_ids()


def test_items_are_read_as_they_are_asked_for(tmp_path: Path) -> None:
    stac.write(tmp_path / "catalog.json", stac.catalog(["a.json", "absent.json"]))
    stac.write(tmp_path / "a.json", stac.item("a"))
    items = open_source(str(tmp_path)).items()
    assert next(items).id == "a"
    assert "no such file" in next(items).fault


@pytest.mark.parametrize("name", ["absent.json", "", "absent/"])
def test_a_catalog_that_is_not_there(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInput, match="no such file"):
        read(Path(f"{tmp_path}/{name}"))


@pytest.mark.parametrize("location", ["gopher://h/x", "ftp://h/x", "file://elsewhere/x"])
def test_addresses_that_are_not_read(location: str) -> None:
    with pytest.raises(BadInput, match="cannot be read"):
        list(open_source(location).items())


def test_a_catalog_by_file_address(tmp_path: Path) -> None:
    path = tmp_path / "a b.json"
    path.write_text(json.dumps(stac.item("a")))
    assert [raw.id for raw in open_source(path.as_uri()).items()] == ["a"]
