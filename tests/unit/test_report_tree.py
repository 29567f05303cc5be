"""The last wall before a file is opened: it holds for links that appear after the listing too."""

import json
import os
from pathlib import Path

import pytest

from coordinator.reports import tree as tree_module
from coordinator.reports.redone import read_redone
from coordinator.reports.tree import Tree, open_plain


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    (tmp_path / "plain").write_bytes(b"text")
    (tmp_path / "link").symlink_to(tmp_path / "plain")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    return Tree(tmp_path)


def test_a_plain_file_is_read(tree: Tree) -> None:
    assert tree.document(tree.base / "plain") == b"text"
    assert tree.notes == []


@pytest.mark.parametrize("name", ["link", "pipe", "folder", "missing"])
def test_nothing_else_is_opened_and_each_is_told(tree: Tree, name: str) -> None:
    assert tree.document(tree.base / name) is None
    assert [note.file for note in tree.notes] == [name]


def test_a_device_is_not_opened() -> None:
    with pytest.raises(OSError, match="not a plain file"):
        open_plain(Path("/dev/zero"))


def test_a_document_too_large_is_told(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree_module, "MAX_DOCUMENT", 3)
    assert tree.document(tree.base / "plain") is None
    assert tree.notes[0].problem == "larger than 3 bytes: not read"


def test_damaged_lines_of_what_was_done_again_are_told(tmp_path: Path) -> None:
    file = tmp_path / "redone.jsonl"
    good = [{"item": "i", "step": "score", "from": 2}, {"item": "i", "step": "late", "from": 3}]
    bad = ["", "{", "[]", '{"item": "x", "step": "score", "from": 0}', "[" * 9999]
    file.write_text("\n".join([json.dumps(good[0]), *bad, json.dumps(good[1])]))
    tree = Tree(tmp_path)
    assert read_redone(tree, file) == {"i": {"score": 2, "late": 3}}
    assert len(tree.notes) == len(bad)
