"""The last wall before a file is opened: it holds for links that appear after the listing too."""

import os
from pathlib import Path

import pytest

from coordinator.reports import tree as tree_module
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
