"""Item lists: what is tolerated, what is refused, and by which line."""

from pathlib import Path

import pytest

from coordinator.catalog import read_item_list
from coordinator.catalog.lists import LONGEST_LINE
from coordinator.errors import BadInput


def list_of(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "list.txt"
    path.write_bytes(data)
    return path


def test_comments_blank_lines_and_repeats_are_counted(tmp_path: Path) -> None:
    path = list_of(tmp_path, b"# first\n\nb\n  a  \n\t\nb\n#b\na\n")
    found = read_item_list(path)
    assert list(found.ids) == ["b", "a"]
    assert found.lines == {"b": 3, "a": 4}
    assert (found.repeated, found.comments, found.bad) == (2, 2, ())


def test_windows_files_and_a_missing_last_newline(tmp_path: Path) -> None:
    found = read_item_list(list_of(tmp_path, b"\xef\xbb\xbfa\r\nb\r\n\r\nc"))
    assert list(found.ids) == ["a", "b", "c"]


@pytest.mark.parametrize("data", [b"", b"\n\n", b"# nothing\n   \n", b"\xef\xbb\xbf"])
def test_a_list_without_items_is_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(BadInput, match="lists no item"):
        read_item_list(list_of(tmp_path, data))


def test_every_bad_id_is_named_with_its_line(tmp_path: Path) -> None:
    path = list_of(tmp_path, b"good\n../../etc/passwd\na\x1b[31mb\n\xff\n../../etc/passwd\n")
    found = read_item_list(path)
    assert list(found.ids) == ["good"]
    assert [bad.problem.where for bad in found.bad] == [f"{path}:{n}" for n in (2, 3, 4)]
    assert "not one safe path segment" in found.bad[0].problem.reason
    assert "\x1b" not in str(found.bad[1].problem)
    assert "not UTF-8" in found.bad[2].problem.reason
    assert found.repeated == 1


def test_long_bad_ids_are_told_apart(tmp_path: Path) -> None:
    found = read_item_list(list_of(tmp_path, b"x" * 300 + b"1\n" + b"x" * 300 + b"2\n"))
    assert len({bad.id for bad in found.bad}) == 2
    assert found.repeated == 0


def test_a_line_that_never_ends_is_refused_by_its_number(tmp_path: Path) -> None:
    path = list_of(tmp_path, b"a\n" + b"x" * (LONGEST_LINE + 1))
    with pytest.raises(BadInput, match=r"list\.txt:2 is longer than"):
        read_item_list(path)


def test_a_missing_list_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"absent\.txt cannot be read: no such file"):
        read_item_list(tmp_path / "absent.txt")


def test_a_folder_is_no_list(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="not a regular file"):
        read_item_list(tmp_path)
