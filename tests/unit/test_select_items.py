"""Everything that can be wrong with the input of a batch, told at once and before anything runs."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from coordinator.catalog import Needs, Selection, open_source, select_items
from coordinator.catalog import assets as assets_module
from coordinator.errors import BadInput, UsageError
from tests import stac

ALIGNED = Needs(
    assets=frozenset({"source", "reference"}),
    properties=frozenset({"mt:source_language"}),
    aligned=(("source", "reference"),),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A catalog of three good items that share two texts."""
    stac.write_texts(tmp_path)
    for name in ("a", "b", "c"):
        stac.write(tmp_path / f"{name}.json", stac.item(name))
    stac.write(tmp_path / "catalog.json", stac.catalog(["a.json", "b.json", "c.json"]))
    return tmp_path


def selected(
    folder: Path, listed: str | None = None, needs: Needs = ALIGNED, **options: int
) -> Selection:
    item_list = None
    if listed is not None:
        item_list = folder / "list.txt"
        item_list.write_text(listed)
    return select_items(open_source(str(folder)), item_list, needs, **options)


def ids(selection: Selection) -> list[str]:
    return [item.id for item in selection.items]


def replace(folder: Path, name: str, **changes: object) -> None:
    stac.write(folder / f"{name}.json", stac.item(name, **changes))


def test_all_items_of_a_catalog_in_its_order(folder: Path) -> None:
    found = selected(folder)
    assert ids(found) == ["a", "b", "c"]
    assert (found.listed, found.repeated, found.bad, found.problems) == (None, 0, (), ())


def test_a_list_picks_and_orders(folder: Path) -> None:
    found = selected(folder, "c\n# not b\na\nc\n")
    assert ids(found) == ["c", "a"]
    assert (found.listed, found.repeated) == (2, 1)


@pytest.mark.parametrize("listed", [None, "a\nb\nc\n"])
def test_the_first_few(folder: Path, listed: str | None) -> None:
    assert ids(selected(folder, listed, limit=2)) == ["a", "b"]


def test_unknown_ids_are_named_with_their_line_and_a_guess(folder: Path) -> None:
    replace(folder, "c", id="scene-2024")
    found = selected(folder, "a\nscene-2023\n")
    assert ids(found) == ["a"]
    (problem,) = found.problems
    assert problem.where == f"{folder / 'list.txt'}:2"
    assert problem.reason == "no item scene-2023 in the catalog"
    assert problem.fix == "did you mean scene-2024?"
    assert [bad.id for bad in found.bad] == ["scene-2023"]


def test_a_list_of_nothing_but_unknown_ids(folder: Path) -> None:
    found = selected(folder, "x1\nx2\n")
    assert list(found.items) == []
    assert [bad.id for bad in found.bad] == ["x1", "x2"]


def test_a_bad_id_in_the_list_is_one_bad_item(folder: Path) -> None:
    found = selected(folder, "../../etc/passwd\nb\n")
    assert ids(found) == ["b"]
    assert [bad.id for bad in found.bad] == ["../../etc/passwd"]
    assert found.listed == 2


def test_an_id_with_a_newline_in_the_catalog(folder: Path) -> None:
    replace(folder, "b", id="b\nc")
    found = selected(folder)
    assert ids(found) == ["a", "c"]
    (problem,) = found.problems
    assert "not one safe path segment" in problem.reason
    assert "\n" not in str(problem)


def test_two_items_of_one_id(folder: Path) -> None:
    replace(folder, "c", id="a")
    found = selected(folder)
    assert ids(found) == ["b"]
    (problem,) = found.problems
    assert problem.where == "a"
    assert "a.json" in problem.reason and "c.json" in problem.reason


FAULTY_TEXTS: list[tuple[str, bytes | None, str]] = [
    ("missing", None, "no such file"),
    ("empty", b"", "the file is empty"),
    ("blank", b"\n \n", "blank lines only"),
    ("latin1", "déjà\nvu\n".encode("latin-1"), "line 1 is not UTF-8"),
    ("short", b"one\n", "1 lines, but reference has 2"),
    ("u2028", "one\u2028two\n".encode(), "1 lines, but reference has 2"),
]


@pytest.mark.parametrize(("name", "data", "reason"), FAULTY_TEXTS, ids=[t[0] for t in FAULTY_TEXTS])
def test_a_text_that_cannot_be_used(
    folder: Path, name: str, data: bytes | None, reason: str
) -> None:
    if data is not None:
        (folder / f"{name}.txt").write_bytes(data)
    assets = {"source": {"href": f"{name}.txt"}, "reference": {"href": "fra.txt"}}
    replace(folder, "b", assets=assets)
    found = selected(folder)
    assert ids(found) == ["a", "c"]
    assert found.problems[0].where == "b"
    assert found.problems[0].field == "assets.source"
    assert reason in found.problems[0].reason


def test_texts_that_are_not_as_long_as_the_item_says(folder: Path) -> None:
    stac.write_texts(folder, lines=3)
    found = selected(folder, "a\n")
    assert [p.reason for p in found.problems] == ["3 lines, but mt:sentences says 2"] * 2
    (bad,) = found.bad
    assert "assets.source: 3 lines" in bad.problem.reason
    assert "assets.reference: 3 lines" in bad.problem.reason


def test_a_named_pipe_is_refused_and_not_waited_for(folder: Path) -> None:
    os.mkfifo(folder / "pipe.txt")
    replace(folder, "b", assets={"source": {"href": "pipe.txt"}, "reference": {"href": "fra.txt"}})
    (problem,) = selected(folder).problems
    assert "not a regular file" in problem.reason


def test_missing_properties_and_assets(folder: Path) -> None:
    replace(folder, "b", properties={}, assets={"source": {"href": "eng.txt"}})
    found = selected(folder)
    assert [p.field for p in found.problems] == [
        "assets.reference",
        "properties.mt:source_language",
    ]
    assert [bad.id for bad in found.bad] == ["b"]


def test_other_pipelines_take_items_of_any_kind(folder: Path) -> None:
    path = stac.write_ndjson(folder / "any.ndjson", [{"id": "x"}, {"id": "y", "assets": {}}])
    found = select_items(open_source(str(path)), None, Needs())
    assert ids(found) == ["x", "y"]


def test_an_asset_that_is_no_text_is_only_looked_at(folder: Path) -> None:
    (folder / "image.tif").write_bytes(b"\xff\xfe\x00")
    replace(folder, "b", assets={"image": {"href": "image.tif"}})
    found = selected(folder, "a\nb\n", Needs(assets=frozenset({"image"})))
    assert ids(found) == ["b"]
    assert [p.field for p in found.problems] == ["assets.image"]


def test_an_item_file_that_cannot_be_read_is_one_bad_item(folder: Path) -> None:
    (folder / "b.json").write_text("{")
    stac.write(folder / "catalog.json", stac.catalog(["a.json", "b.json", "c.json", "gone.json"]))
    found = selected(folder)
    assert ids(found) == ["a", "c"]
    assert [bad.id for bad in found.bad] == ["b", "gone"]
    assert "not JSON (line 1" in found.problems[0].reason
    assert "no such file" in found.problems[1].reason
    assert ids(selected(folder, "c\na\n")) == ["c", "a"]
    assert [bad.id for bad in selected(folder, "a\nb\n").bad] == ["b"]


def test_everything_is_told_at_once(folder: Path) -> None:
    replace(folder, "a", assets={"source": {"href": "no.txt"}, "reference": {"href": "no2.txt"}})
    replace(folder, "b", properties={"mt:sentences": "many"})
    found = selected(folder, "a\nb\nc\nd\n../x\n")
    assert ids(found) == ["c"]
    assert [bad.id for bad in found.bad] == ["a", "b", "d", "../x"]
    assert len(found.problems) == 5
    assert len(found.items) + len(found.bad) == found.listed


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("catalog.json", "<html>", "not JSON"),
        ("catalog.json", '{"type": "Topology"}', "its type is 'Topology'"),
        ("catalog.json", "[1]", "no STAC type"),
        ("catalog.json", "[" * 100_000, "nested too deeply"),
        ("catalog.json", "\udcff", "UTF-8"),
        ("items.ndjson", "<html>\n", "line 1 is not JSON"),
    ],
)
def test_what_is_no_catalog(tmp_path: Path, name: str, content: str, reason: str) -> None:
    path = tmp_path / name
    path.write_text(content, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(BadInput, match="is no catalog of items") as caught:
        select_items(open_source(str(path)), None, Needs())
    assert reason in caught.value.why


def test_a_catalog_without_items(tmp_path: Path) -> None:
    path = stac.write(tmp_path / "catalog.json", stac.catalog())
    with pytest.raises(BadInput, match="has no items"):
        select_items(open_source(str(path)), None, Needs())


def test_a_broken_child_is_told_with_the_broken_items(folder: Path) -> None:
    (folder / "b.json").write_text("{")
    root = stac.catalog(["a.json", "b.json"], ["gone/catalog.json"])
    stac.write(folder / "catalog.json", root)
    with pytest.raises(BadInput, match="cannot be read as a whole") as caught:
        selected(folder)
    assert len(caught.value.problems) == 2
    assert ids(selected(folder, "a\n")) == ["a"], "the list asks for nothing of it"


def test_each_text_is_read_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []

    def counting(open_location: Callable[[str], object]) -> Callable[[str], object]:
        return lambda href: (opened.append(href), open_location(href))[1]

    monkeypatch.setattr(assets_module, "open_location", counting(assets_module.open_location))
    selected(folder)
    assert sorted(opened) == [str(folder / "eng.txt"), str(folder / "fra.txt")]


def test_progress_is_told(folder: Path) -> None:
    told: list[tuple[str, int, int | None]] = []
    select_items(
        open_source(str(folder)), None, ALIGNED, on_progress=lambda *step: told.append(step)
    )
    assert told == [("checking files", 2, 2)]


@pytest.mark.parametrize(("catalog", "api"), [(None, None), ("c", "http://h"), ("", "")])
def test_one_source_is_needed(catalog: str | None, api: str | None) -> None:
    with pytest.raises(UsageError, match="one source of items is needed"):
        open_source(catalog, api, ())


def test_an_api_has_a_web_address(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no address of a STAC API"):
        open_source(None, str(tmp_path), ())
