"""Copies of models on a node: whole, checked, shared, bounded; whatever is killed at any point."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest

from coordinator.domain.manifest import MANIFEST, Manifest, ManifestFile, parse_manifest
from coordinator.errors import ModelError, StorageError, StorageUnavailable
from coordinator.storage import held_folder, model_cache, refuse_foreign_code
from coordinator.storage.manifests import check_files, local_manifest
from coordinator.storage.model_cache import ModelCache, Wanted

FILES = {"config.json": b"{}", "weights/one.bin": b"x" * 600, "weights/two.bin": b"y" * 400}
SIZE = sum(map(len, FILES.values()))


class Source:
    """A model that lies somewhere else, and how often it was fetched."""

    def __init__(self, folder: Path, key: str = "k" * 32) -> None:
        self.folder, self.key, self.fetches = folder, key, 0
        for name, data in FILES.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)

    def fetch(self, part: Path) -> None:
        self.fetches += 1
        shutil.copytree(self.folder, part, dirs_exist_ok=True)

    def wanted(self, *, known: bool = True) -> Wanted:
        manifest = local_manifest(self.folder) if known else None
        return Wanted(self.key, SIZE, self.fetch, manifest)


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return Source(tmp_path / "source")


@pytest.fixture
def cache(tmp_path: Path) -> ModelCache:
    return ModelCache(tmp_path / "cache", limit=10 * SIZE, patience=0.3)


def content(folder: Path) -> Mapping[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def use(cache: ModelCache, wanted: Wanted) -> Mapping[str, bytes]:
    with cache.held(wanted) as folder:
        return content(folder)


def copies(tmp_path: Path) -> set[str]:
    return {path.name for path in (tmp_path / "cache").iterdir() if path.is_dir()}


@pytest.mark.parametrize("known", [True, False])
def test_a_model_is_fetched_once(cache: ModelCache, source: Source, known: bool) -> None:
    assert use(cache, source.wanted(known=known)) == FILES
    assert use(cache, source.wanted(known=known)) == FILES
    assert source.fetches == 1


def test_many_at_once_fetch_it_once(cache: ModelCache, source: Source) -> None:
    found: list[Mapping[str, bytes]] = []
    threads = [
        threading.Thread(target=lambda: found.append(use(cache, source.wanted()))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [FILES] * 8 and source.fetches == 1


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("damage", [b"x" * 599 + b"z", b"short", None])
def test_a_damaged_copy_is_fetched_anew(
    cache: ModelCache, source: Source, known: bool, damage: bytes | None
) -> None:
    with cache.held(source.wanted(known=known)) as folder:
        victim = folder / "weights/one.bin"
    if damage is None:
        victim.unlink()
    else:
        victim.write_bytes(damage)
    assert use(cache, source.wanted(known=known)) == FILES and source.fetches == 2


def test_a_damaged_copy_that_others_use_stays(cache: ModelCache, source: Source) -> None:
    with cache.held(source.wanted()) as folder:
        (folder / "config.json").write_bytes(b"[]")
        with pytest.raises(StorageUnavailable, match="damaged"), cache.held(source.wanted()):
            raise AssertionError
        assert (folder / "config.json").read_bytes() == b"[]"
    assert use(cache, source.wanted()) == FILES


def test_it_is_not_hashed_again_without_need(
    cache: ModelCache, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(cache, source.wanted())
    use(cache, source.wanted())
    read: list[int] = []
    wanted, memo = source.wanted(), cache.memo(source.key)
    with cache.held(wanted) as folder:
        assert wanted.manifest and not check_files(folder, wanted.manifest, memo, read.append)
        assert read == []
        os.utime(folder / "config.json")
        assert not check_files(folder, wanted.manifest, memo, read.append)
    assert sum(read) == SIZE


def test_a_fetch_that_fails_leaves_no_copy(
    cache: ModelCache, source: Source, tmp_path: Path
) -> None:
    def fail(part: Path) -> None:
        (part / "config.json").write_bytes(b"{")
        raise StorageError("cut off")

    wanted = source.wanted()
    broken = Wanted(wanted.key, wanted.size, fail, wanted.manifest)
    with pytest.raises(StorageError, match="cut off"):
        use(cache, broken)
    assert copies(tmp_path) == set()
    assert use(cache, wanted) == FILES


def test_a_copy_that_does_not_stay_whole_is_not_fetched_for_ever(
    cache: ModelCache, source: Source
) -> None:
    wanted = source.wanted()
    (source.folder / "config.json").write_bytes(b"[]")  # as a disk that changes what it is given
    with pytest.raises(StorageUnavailable, match="does not stay"):
        use(cache, wanted)
    assert source.fetches == 4


# kills

KILLED = """
import sys, time
from pathlib import Path
from coordinator.storage.manifests import local_manifest
from coordinator.storage.model_cache import ModelCache, Wanted
cache, source, when = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]

def fetch(part):
    names = ["config.json", "weights/one.bin", "weights/two.bin"]
    for name in names:
        (part / name).parent.mkdir(parents=True, exist_ok=True)
        if when == name:
            (part / name).write_bytes((source / name).read_bytes()[:100])
            stop()
        (part / name).write_bytes((source / name).read_bytes())
    if when == "fetched":
        stop()

def stop():
    print("there", flush=True)
    time.sleep(60)

with ModelCache(cache, 10**9).held(Wanted("k" * 32, 1002, fetch, local_manifest(source))):
    stop()
"""


@pytest.mark.parametrize("when", ["config.json", "weights/two.bin", "fetched", "in use"])
def test_a_kill_at_any_point_stops_nobody(
    cache: ModelCache, source: Source, tmp_path: Path, when: str
) -> None:
    arguments = [str(tmp_path / "cache"), str(source.folder), when]
    command = [sys.executable, "-c", KILLED, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"there\n"
        process.send_signal(signal.SIGKILL)
    assert use(cache, source.wanted()) == FILES
    assert copies(tmp_path) == {source.key}
    assert source.fetches == (0 if when == "in use" else 1)


def test_who_waits_gets_what_another_process_has_fetched(
    cache: ModelCache, source: Source, tmp_path: Path
) -> None:
    began, go_on = threading.Event(), threading.Event()

    def slow(part: Path) -> None:
        began.set()
        go_on.wait(30)
        source.fetch(part)

    wanted = source.wanted()
    first = threading.Thread(
        target=use, args=(cache, Wanted(wanted.key, SIZE, slow, wanted.manifest))
    )
    first.start()
    began.wait(30)
    found: list[Mapping[str, bytes]] = []
    second = threading.Thread(target=lambda: found.append(use(cache, wanted)))
    second.start()
    time.sleep(0.6)  # longer than the patience that a damaged copy gets
    assert not found
    go_on.set()
    first.join(30)
    second.join(30)
    assert found == [FILES] and source.fetches == 1


# room


def sources(tmp_path: Path, count: int) -> list[Source]:
    return [Source(tmp_path / f"source-{i}", key=str(i) * 32) for i in range(count)]


def test_what_was_not_used_for_longest_goes_first(tmp_path: Path) -> None:
    cache = ModelCache(tmp_path / "cache", limit=2 * SIZE)
    first, second, third = sources(tmp_path, 3)
    for each in (first, second, first, third):
        use(cache, each.wanted())
        time.sleep(0.02)
    assert copies(tmp_path) == {first.key, third.key}
    assert use(cache, second.wanted()) == FILES and second.fetches == 2


def test_what_is_in_use_stays(tmp_path: Path) -> None:
    cache = ModelCache(tmp_path / "cache", limit=SIZE)
    first, second, third = sources(tmp_path, 3)
    with cache.held(first.wanted()) as held:
        use(cache, second.wanted())
        use(cache, third.wanted())
        assert content(held) == FILES
        assert copies(tmp_path) == {first.key, third.key}


def test_parts_that_nobody_makes_any_more_go_for_room(tmp_path: Path) -> None:
    cache = ModelCache(tmp_path / "cache", limit=SIZE)
    (tmp_path / "cache/.part-old").mkdir(parents=True)
    (tmp_path / "cache/.part-old/weights").write_bytes(b"x" * 10)
    [only] = sources(tmp_path, 1)
    use(cache, only.wanted())
    assert copies(tmp_path) == {only.key}


def test_what_is_no_copy_stays_in_a_folder_that_the_cache_was_given(tmp_path: Path) -> None:
    cache = ModelCache(tmp_path / "cache", limit=SIZE)
    mine = tmp_path / "cache/my-model/weights"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"x" * 10)
    first, second = sources(tmp_path, 2)
    use(cache, first.wanted())
    use(cache, second.wanted())
    assert mine.read_bytes() == b"x" * 10
    assert copies(tmp_path) == {"my-model", second.key}


def test_a_full_disk_is_said_before_anything_is_fetched(
    cache: ModelCache, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = SimpleNamespace(free=SIZE - 1)
    monkeypatch.setattr(model_cache.shutil, "disk_usage", lambda _folder: free)
    with pytest.raises(StorageError) as caught:
        use(cache, source.wanted())
    assert "does not fit" in str(caught.value) and model_cache.FOLDER in caught.value.hint
    assert source.fetches == 0


def test_a_folder_that_cannot_be_used_is_said(tmp_path: Path, source: Source) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cache of models"):
        use(ModelCache(tmp_path / "file/cache", SIZE), source.wanted())


def test_a_lock_that_cannot_be_opened_is_said(
    cache: ModelCache, source: Source, tmp_path: Path
) -> None:
    (tmp_path / "cache" / f"{source.key}.lock").mkdir(parents=True)
    with pytest.raises(StorageError, match="cache of models"):
        use(cache, source.wanted())


@pytest.mark.parametrize("size", ["", "0", "-1", "many", "nan"])
def test_a_size_that_is_none_is_said(monkeypatch: pytest.MonkeyPatch, size: str) -> None:
    monkeypatch.setenv(model_cache.LIMIT, size)
    if not size:
        assert model_cache.model_cache()
        return
    with pytest.raises(StorageError, match=model_cache.LIMIT):
        model_cache.model_cache()


# a folder that is used where it lies


def test_a_folder_in_place_must_be_what_the_batch_says(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(model_cache.FOLDER, str(tmp_path / "cache"))
    manifest = local_manifest(source.folder)
    with held_folder(str(source.folder), manifest) as folder:
        assert folder == source.folder
    (source.folder / "config.json").write_bytes(b"[]")
    with pytest.raises(ModelError) as caught, held_folder(str(source.folder), manifest):
        raise AssertionError
    assert f"{source.folder}/config.json" in str(caught.value)
    with held_folder(str(source.folder)):
        pass  # nobody has said what it must be


@pytest.mark.parametrize("name", ["handler.py", "endpoint.json"])
def test_what_does_as_a_bucket_says_needs_trust(tmp_path: Path, name: str) -> None:
    refuse_foreign_code("s3://b/m", tmp_path, trusted=False)
    (tmp_path / name).write_text("")
    refuse_foreign_code(str(tmp_path), tmp_path, trusted=False)
    refuse_foreign_code("s3://b/m", tmp_path, trusted=True)
    with pytest.raises(ModelError) as caught:
        refuse_foreign_code("s3://b/m", tmp_path, trusted=False)
    assert name in str(caught.value) and "--trust-model-code" in caught.value.hint


# manifests from outside

HASH = "0" * 64


def test_what_is_no_part_of_a_model_is_left_out(source: Source) -> None:
    for name in (".git/config", "__pycache__/handler.pyc", MANIFEST, ".hidden"):
        (source.folder / name).parent.mkdir(exist_ok=True)
        (source.folder / name).write_text("x")
    assert {file.name for file in local_manifest(source.folder).files} == FILES.keys()


def test_the_same_files_have_the_same_digest_anywhere(source: Source, tmp_path: Path) -> None:
    other = Source(tmp_path / "other")
    assert local_manifest(source.folder).digest == local_manifest(other.folder).digest
    (other.folder / "config.json").write_bytes(b"[]")
    assert local_manifest(source.folder).digest != local_manifest(other.folder).digest


@pytest.mark.parametrize(
    "names",
    [
        ["../x"], ["/x"], ["a//b"], ["a/./b"], [""], ["a\\b"], ["a\nb"], [MANIFEST], [".x"],
        ["a", "a"], ["a", "a/b"], [], ["x" * 501], [str(i) for i in range(2001)],
    ],
)  # fmt: skip
def test_a_hostile_manifest_is_refused(names: list[str]) -> None:
    files = [{"name": name, "size": 1, "sha256": HASH} for name in names]
    data = str({"format": 1, "files": files}).replace("'", '"').encode()
    with pytest.raises(ModelError):
        parse_manifest(data, f"place/{MANIFEST}")


@pytest.mark.parametrize("data", [b"", b"[]", b"{" * 10**5, b" " * (2 << 20), b"\xff"])
def test_what_is_no_manifest_is_refused(data: bytes) -> None:
    with pytest.raises(ModelError, match=MANIFEST):
        parse_manifest(data, f"place/{MANIFEST}")


def test_a_manifest_survives_being_written() -> None:
    made = Manifest.of([ManifestFile(name="a/é", size=3, sha256=HASH)])
    assert parse_manifest(made.to_bytes(), "x") == made
