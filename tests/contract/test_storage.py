"""What every store must do alike: a local folder, a real S3 server, and one in memory."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from coordinator.clock import SimulatedClock
from coordinator.errors import ObjectMissing, StorageError
from coordinator.storage import Storage, open_storage
from coordinator.storage.simulated import Shelf, SimulatedStorage

LARGE = 20 << 20  # bytes; more than S3 takes in one part

pytestmark = pytest.mark.timeout(600)  # the first run builds the S3 server


LASTING = ["local", pytest.param("s3", marks=pytest.mark.needs_s3)]


@pytest.fixture(params=[*LASTING, "simulated"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Storage]:
    if request.param == "s3":
        bucket = request.getfixturevalue("s3_bucket")
        yield open_storage(f"s3://{bucket}/some/prefix/")
    elif request.param == "simulated":
        yield SimulatedStorage(Shelf(), SimulatedClock())
    else:
        yield open_storage(str(tmp_path / "root"))


def test_what_is_written_is_read(store: Storage) -> None:
    store.write("a/b.json", b"one")
    store.write("a/b.json", b"two")
    assert store.read("a/b.json") == b"two"
    assert store.size("a/b.json") == 3
    with store.open("a/b.json") as stream:
        assert stream.read(2) == b"tw"
        assert stream.read() == b"o"


def test_an_empty_object_is_an_object(store: Storage) -> None:
    store.write("empty", b"")
    assert (store.read("empty"), store.size("empty")) == (b"", 0)


@pytest.mark.parametrize("prefix", ["../", "../x", "/etc/", "a/../../"])
def test_a_prefix_leaves_no_root(store: Storage, prefix: str) -> None:
    with pytest.raises(StorageError, match="is not a key"):
        list(store.list(prefix))
    with pytest.raises(StorageError, match="is not a key"):
        store.delete(prefix)


@pytest.mark.parametrize("prefix", ["", "a"])
def test_only_a_folder_is_deleted(store: Storage, prefix: str) -> None:
    store.write("ab", b"x")
    with pytest.raises(StorageError, match="is not a key"):
        store.delete(prefix)
    assert store.read("ab") == b"x"


def test_what_is_not_there(store: Storage, tmp_path: Path) -> None:
    assert store.size("absent/x") is None
    assert list(store.list("absent/")) == []
    assert store.delete("absent/") == 0
    with pytest.raises(ObjectMissing):
        store.read("absent")
    with pytest.raises(ObjectMissing):
        store.open("absent")
    with pytest.raises(ObjectMissing):
        store.copy("absent", "there")
    with pytest.raises(ObjectMissing):
        store.upload(tmp_path / "absent", "there")


def test_a_large_file_goes_up_and_comes_down_in_pieces(store: Storage, tmp_path: Path) -> None:
    block = bytes(range(256)) * 4096
    path = tmp_path / "large"
    with path.open("wb") as stream:
        for _ in range(LARGE // len(block)):
            stream.write(block)
    store.upload(path, "large")
    assert store.size("large") == LARGE
    store.copy("large", "deep/copy")
    with store.open("deep/copy") as stream:
        count = 0
        while piece := stream.read(len(block)):
            assert piece == block
            count += len(piece)
    assert count == LARGE


def test_a_copy_stands_alone(store: Storage) -> None:
    store.write("one", b"1")
    store.write("two", b"2")
    store.copy("one", "two")
    store.write("one", b"changed")
    assert store.read("two") == b"1"


def test_keys_are_listed_in_order_by_any_prefix(store: Storage) -> None:
    keys = ["a/b/c", "a/b.txt", "a/z", "a-b", "ab/x", "b", "é/ü"]
    for key in keys:
        store.write(key, b"x")
    assert list(store.list("")) == sorted(keys)
    assert list(store.list("a/")) == ["a/b.txt", "a/b/c", "a/z"]
    assert list(store.list("a/b")) == ["a/b.txt", "a/b/c"]
    assert list(store.list("c")) == []


def test_more_keys_than_one_page_holds(store: Storage) -> None:
    keys = [f"many/{number:04d}" for number in range(1100)]
    for key in keys:
        store.write(key, b"")
    assert list(store.list("many/")) == keys
    assert store.delete("many/") == 1100
    assert list(store.list("many/")) == []


def test_only_what_is_below_the_prefix_is_deleted(store: Storage) -> None:
    for key in ("a/x", "a/y/z", "ab/x"):
        store.write(key, b"")
    assert store.delete("a/") == 2
    assert list(store.list("")) == ["ab/x"]


def test_one_object_is_removed(store: Storage) -> None:
    for key in ("a", "a.txt", "b/c"):
        store.write(key, b"")
    for key in ("a", "b/c", "b/c", "absent", "a/x"):
        store.remove(key)
    assert list(store.list("")) == ["a.txt"]
    with pytest.raises(StorageError, match="is not a key"):
        store.remove("../a.txt")


@pytest.mark.parametrize("key", ["", "/etc/passwd", "../x", "a/../../x", "a//b", "./a", "a\0b"])
def test_a_key_leaves_no_root(store: Storage, key: str) -> None:
    with pytest.raises(StorageError, match="is not a key"):
        store.write(key, b"x")
    with pytest.raises(StorageError, match="is not a key"):
        store.read(key)


@pytest.mark.parametrize("store", LASTING, indirect=True)
def test_a_store_is_found_again_by_its_uri(store: Storage) -> None:
    """But one in memory: no address leads there."""
    store.write("a", b"x")
    assert open_storage(store.uri).read("a") == b"x"


def test_a_stream_is_a_binary_stream(store: Storage) -> None:
    store.write("lines", b"a\nb\n")
    with store.open("lines") as stream, io.TextIOWrapper(stream, "utf-8") as text:
        assert list(text) == ["a\n", "b\n"]
