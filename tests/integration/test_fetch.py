"""Outputs come home whole, from a folder and from a real S3 server, whatever their keys say."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pytest
import stamina

from coordinator.clock import SystemClock
from coordinator.commands import fetch as fetching
from coordinator.commands.fetch import Fetched, fetch
from coordinator.errors import StorageUnavailable, UsageError
from coordinator.settings import Settings
from coordinator.storage import Storage, open_storage
from coordinator.storage.local import LocalStorage

ITEMS = 40
FILES = {f"items/i{n}/t.txt": f"text {n}\n".encode() * 100 for n in range(ITEMS)}
FILES |= {"batch.json": b"{}", "summary/scores.csv": b"a,b\n"}


@pytest.fixture(params=["local", pytest.param("s3", marks=pytest.mark.needs_s3)])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "s3":
        return f"s3://{request.getfixturevalue('s3_bucket')}/some/prefix"
    return str(tmp_path / "root")


def filled(store: Storage) -> Storage:
    """A batch `b` with what attempts wrote, and one whose name only begins so."""
    for name, data in FILES.items():
        store.write(f"b/{name}", data)
    for key in ("b/items/i0/translate/a1/t.txt", "b/handoff/d.json", "bb/items/i0/t.txt"):
        store.write(key, b"not wanted")
    return store


def fetched(root: str, folder: Path, **more: Any) -> Fetched:
    settings = Settings(state_dir=folder.parent / "state")
    return fetch(settings, "b", folder, SystemClock(), root=root, **more)


def there(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.mark.timeout(600)  # the first run builds the S3 server
def test_what_is_published_is_fetched_and_nothing_else(root: str, tmp_path: Path) -> None:
    filled(open_storage(root))
    seen: list[int] = []
    got = fetched(root, tmp_path / "to", on_progress=seen.append)
    assert there(tmp_path / "to") == FILES
    assert (got.fetched, got.bytes) == (len(FILES), sum(map(len, FILES.values())))
    assert seen == list(range(1, len(FILES) + 1))
    only = fetched(root, tmp_path / "only", summary_only=True)
    assert only.fetched == 2 and set(there(tmp_path / "only")) == {
        "batch.json",
        "summary/scores.csv",
    }


class Faulty(LocalStorage):
    """A store whose streams break off in the middle, so often."""

    breaks = 1

    def open(self, key: str) -> BinaryIO:
        if not key.endswith("i7/t.txt") or self.breaks == 0:
            return super().open(key)
        Faulty.breaks -= 1
        return io.BufferedReader(_Broken())  # type: ignore[arg-type]


class _Broken(io.RawIOBase):
    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        raise StorageUnavailable("cut off")


@pytest.mark.parametrize(("breaks", "arrives"), [(2, True), (100, False)])
def test_a_stream_that_breaks_off_leaves_no_half_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, breaks: int, arrives: bool
) -> None:
    root = str(tmp_path / "root")
    filled(open_storage(root))
    monkeypatch.setattr(Faulty, "breaks", breaks)
    monkeypatch.setattr(fetching, "open_storage", lambda uri: Faulty(Path(uri)))
    with stamina.set_testing(True, attempts=4):
        if arrives:
            fetched(root, tmp_path / "to")
            assert there(tmp_path / "to") == FILES
            return
        with pytest.raises(StorageUnavailable):
            fetched(root, tmp_path / "to")
    left = there(tmp_path / "to")
    assert "items/i7/t.txt" not in left and left.items() <= FILES.items()


def test_keys_that_lead_out_of_the_folder_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Hostile(LocalStorage):
        """A store whose keys anybody may have written."""

        def list(self, prefix: str) -> Iterator[str]:
            yield from super().list(prefix)
            if prefix == "b/items/":
                yield from ("b/items/../x", "b/items/a/..", "b/items/a\n/x", "b/items/a/x/y/z")

    root = str(tmp_path / "root")
    filled(open_storage(root))
    monkeypatch.setattr(fetching, "open_storage", lambda uri: Hostile(Path(uri)))
    got = fetched(root, tmp_path / "to")
    assert there(tmp_path / "to") == FILES
    assert [key for key, _why in got.refused] == ["b/items/../x", "b/items/a/..", "b/items/a\n/x"]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    root = str(tmp_path / "root")
    filled(open_storage(root))
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="file is a file, not a folder"):
        fetched(root, tmp_path / "file")
    (tmp_path / "to/batch.json/taken").mkdir(parents=True)
    with pytest.raises(UsageError, match="to/batch.json cannot be written"):
        fetched(root, tmp_path / "to")
