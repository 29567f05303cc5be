"""A collection of every direction from a folder of aligned text."""

import json
import os
import time
from pathlib import Path

import jsonschema
import pystac
import pytest

from coordinator.catalog import (
    Needs,
    count_items,
    make_collection,
    open_source,
    select_items,
    show_item,
)
from coordinator.errors import BadInput, CoordinatorError, UsageError
from tests import stac
from tests.support import REPOSITORY, require_data

ALIGNED = Needs(aligned=(("source", "reference"),))
THREE = ("eng", "fra-CA", "zho_Hans")


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    stac.write_texts(tmp_path / "texts", 4, THREE)
    return tmp_path / "texts"


def test_every_direction_those_into_one_language_together(texts: Path, tmp_path: Path) -> None:
    out = tmp_path / "out" / "made"
    made = make_collection(texts, "dev", out)
    assert (made.items, made.languages, made.sentence_pairs) == (6, THREE, 24)
    found = select_items(open_source(str(made.catalog)), None, ALIGNED)
    assert not found.problems
    assert [item.id for item in found.items] == [
        "texts-dev-fra-CA-eng",
        "texts-dev-zho_Hans-eng",
        "texts-dev-eng-fra-CA",
        "texts-dev-zho_Hans-fra-CA",
        "texts-dev-eng-zho_Hans",
        "texts-dev-fra-CA-zho_Hans",
    ]
    first = next(iter(found.items))
    assert first.assets == {
        "source": str(texts / "fra-CA.txt"),
        "reference": str(texts / "eng.txt"),
    }
    properties = {k: v for k, v in first.properties.items() if k.startswith("mt:")}
    assert properties == {
        "mt:source_language": "fra-CA",
        "mt:target_language": "eng",
        "mt:split": "dev",
        "mt:sentences": 4,
    }


@pytest.mark.parametrize("layout", ["{lang}.txt", "{lang}.dev", "dev/{lang}.dev"])
def test_layouts(tmp_path: Path, layout: str) -> None:
    for language in ("eng", "fra"):
        path = tmp_path / "t" / layout.format(lang=language)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("a\nb\n")
    made = make_collection(tmp_path / "t", "dev", tmp_path / "out")
    assert (made.items, made.sentences) == (2, 2)


def test_hrefs_move_with_their_surroundings(texts: Path, tmp_path: Path) -> None:
    make_collection(texts, "dev", texts / "stac")
    texts.rename(tmp_path / "moved")
    found = select_items(open_source(str(tmp_path / "moved/stac")), None, ALIGNED)
    assert (len(found.items), found.problems) == (6, ())


def test_what_is_made_is_stac_and_fits_the_extension(
    texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_network(*_: object, **__: object) -> None:
        raise AssertionError("validation must not need the network")

    monkeypatch.setattr("socket.socket.connect", no_network)
    made = make_collection(texts, "dev", tmp_path / "out", collection_id="demo")
    schema = json.loads((REPOSITORY / "docs/schemas/mt-extension.schema.json").read_text())
    collection = pystac.Collection.from_file(str(made.catalog))
    collection.validate()
    items = list(collection.get_items(recursive=True))
    assert len(items) == 6
    for item in items:
        item.validate()
        jsonschema.validate(item.to_dict(transform_hrefs=False), schema)
        assert item.get_collection().id == "demo"
        assert Path(item.assets["source"].get_absolute_href() or "").is_file()


def test_empty_and_foreign_files_are_left_out_and_named(texts: Path, tmp_path: Path) -> None:
    (texts / "deu.txt").write_bytes(b"")
    (texts / "read me.txt").write_text("hello\n")
    (texts / "LICENSE").write_text("hello\n")
    made = make_collection(texts, "dev", tmp_path / "out")
    assert made.languages == THREE
    assert made.skipped == {
        "deu.txt": "it is empty",
        "read me.txt": "its name is no language code",
    }


def test_unequal_texts_are_refused_with_their_counts(texts: Path, tmp_path: Path) -> None:
    (texts / "eng.txt").write_text("a\nb\nc\nd\ne\n")
    (texts / "bad.txt").write_bytes(b"a\n\xff\nc\nd\n")
    with pytest.raises(BadInput, match="cannot be paired line by line") as caught:
        make_collection(texts, "dev", tmp_path / "out")
    told = [str(problem) for problem in caught.value.problems]
    assert len(told) == 2
    assert "bad.txt: line 2 is not UTF-8" in told[0]
    assert "eng.txt: 5 lines, where most have 4" in told[1]
    assert not (tmp_path / "out").exists()


def test_only_a_newline_ends_a_sentence(tmp_path: Path) -> None:
    folder = tmp_path / "t"
    folder.mkdir()
    (folder / "eng.txt").write_bytes("a\u2028b\nc\x85d\n".encode())
    (folder / "fra.txt").write_bytes(b"a\r\nb")
    assert make_collection(folder, "dev", tmp_path / "out").sentences == 2


def test_ids_that_collide_are_refused_with_both_directions(tmp_path: Path) -> None:
    stac.write_texts(tmp_path / "t", 1, ("a", "a-b", "b-c", "c"))
    with pytest.raises(BadInput, match="cannot be named") as caught:
        make_collection(tmp_path / "t", "dev", tmp_path / "out")
    told = {str(problem) for problem in caught.value.problems}
    assert any("t-dev-a-b-c: both a-b to c and a to b-c" in t or
               "t-dev-a-b-c: both a to b-c and a-b to c" in t for t in told)  # fmt: skip
    assert not (tmp_path / "out").exists()


def test_a_collection_is_replaced_and_nothing_else_is(texts: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    make_collection(texts, "dev", out)
    (texts / "eng.txt").unlink()
    assert make_collection(texts, "dev", out).items == 2
    assert len(list(open_source(str(out)).items())) == 2
    (out / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="is not empty"):
        make_collection(texts, "dev", out)
    assert (out / "notes.txt").read_text() == "mine"
    assert sorted(os.listdir(tmp_path)) == ["out", "texts"], "nothing is left aside"


@pytest.mark.parametrize("content", ["{}", "{", '{"type": "Collection"}'])
def test_a_foreign_collection_is_not_replaced(texts: Path, tmp_path: Path, content: str) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/collection.json").write_text(content)
    with pytest.raises(UsageError, match="is not empty"):
        make_collection(texts, "dev", tmp_path / "out")
    assert (tmp_path / "out/collection.json").read_text() == content


@pytest.mark.parametrize(
    ("folder", "split", "collection", "told"),
    [
        ("absent", "dev", None, "is no folder"),
        ("texts", "../up", None, "cannot be a split's name"),
        ("texts", "dev", "a/b", "cannot be a collection's id"),
        (".", "dev", "x", "has no text of the split dev"),
    ],
)
def test_what_cannot_be_made(
    texts: Path, tmp_path: Path, folder: str, split: str, collection: str | None, told: str
) -> None:
    with pytest.raises(CoordinatorError, match=told):
        make_collection(tmp_path / folder, split, tmp_path / "out", collection_id=collection)


def test_one_language_makes_no_direction(tmp_path: Path) -> None:
    stac.write_texts(tmp_path / "t", 1, ("eng",))
    with pytest.raises(BadInput, match="text in 1 language"):
        make_collection(tmp_path / "t", "dev", tmp_path / "out")


def test_counts_and_one_item_shown(texts: Path, tmp_path: Path) -> None:
    make_collection(texts, "dev", tmp_path / "out", collection_id="demo")
    source = open_source(str(tmp_path / "out"))
    counts = count_items(source)
    assert (counts.total, counts.repeated, counts.unusable) == (6, 0, 0)
    assert counts.collections == {"demo": 6}
    assert counts.source_languages == dict.fromkeys(THREE, 2)
    item_list = tmp_path / "list.txt"
    item_list.write_text("demo-dev-eng-fra-CA\nabsent\n")
    assert count_items(source, item_list).missing == ("absent",)
    view = show_item(source, "demo-dev-eng-fra-CA").assets["source"]
    assert (view.lines, view.first_line, view.fault) == (4, "sentence 0 in eng", "")
    with pytest.raises(BadInput, match="no item absent"):
        show_item(source, "absent")


@pytest.mark.needs_data
def test_a_hundred_and_one_real_languages(tmp_path: Path) -> None:
    started = time.monotonic()
    made = make_collection(require_data("ntrex101"), "dev", tmp_path / "out")
    assert (made.items, made.sentences, len(made.languages)) == (10_100, 1012, 101)
    assert time.monotonic() - started < 30
    started = time.monotonic()
    found = select_items(open_source(str(made.catalog)), None, ALIGNED)
    assert (len(found.items), found.problems) == (10_100, ())
    assert time.monotonic() - started < 15
