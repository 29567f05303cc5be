"""Event files on their way: from the worker into the store, and from there into a folder."""

import os
import time
from pathlib import Path

import pytest

from coordinator.commands import curves
from coordinator.commands.curves import (
    WORDS,
    Collector,
    Word,
    collecting_folder,
    run_of,
    sources_in,
    words_in,
)
from coordinator.domain.handoff import Handoff, HandoffItem
from coordinator.domain.states import ItemState
from coordinator.errors import UsageError
from coordinator.storage import open_storage
from coordinator.storage.local import LocalStorage
from coordinator.workers import curves as of_worker

S = ItemState
FILE = "events.out.tfevents.1700000000.host"


def key(item: str, *, step: str = "translate", attempt: int = 1, name: str = FILE) -> str:
    return f"b/tensorboard/{item}/{step}/a{attempt}/{name}"


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path / "outputs")


@pytest.fixture
def collector(storage: LocalStorage, tmp_path: Path) -> Collector:
    (tmp_path / "curves").mkdir()
    return Collector(storage, "b", ("translate", "score"), tmp_path / "curves")


def files(collector: Collector) -> dict[str, bytes]:
    found = (path for path in collector.folder.rglob("*") if path.is_file())
    return {str(path.relative_to(collector.folder)): path.read_bytes() for path in found}


def collect(collector: Collector, **states: ItemState) -> curves.Collected:
    return collector.round(collector.found(), states)


def test_each_state_has_one_word() -> None:
    assert set(WORDS) == set(ItemState)
    assert set(WORDS.values()) == set(Word)


def test_words_are_taken_in_any_case() -> None:
    assert words_in("running, COMPLETED,running") == (Word.RUNNING, Word.COMPLETED)
    with pytest.raises(UsageError, match="'ready' is no state of TensorBoard's list"):
        words_in("running,ready")


@pytest.mark.parametrize(
    "hostile",
    [
        key("../../etc"),
        key("a", name="../../x"),
        key("a", name="events.out.tfevents.\x1b[2J"),
        key("a", name="checkpoint.pt"),
        key("a", step="other"),
        key("a", attempt=0),
        "b/tensorboard/a/translate/a1",
        f"b/tensorboard/.hidden/translate/a1/{FILE}",
        f"b/tensorboard/a/translate/a1/more/{FILE}",
    ],
)
def test_what_is_called_otherwise_is_passed(hostile: str) -> None:
    assert sources_in(iter([hostile]), "b/tensorboard/", ["translate"]) == {}


def test_a_file_is_appended_to_as_it_grows(storage: LocalStorage, collector: Collector) -> None:
    storage.write(key("i"), b"one")
    assert collect(collector, i=S.IN_FLIGHT).runs == ("i",)
    copy = collector.folder / "i" / f"{FILE}.translate-a1"
    with copy.open("rb") as reader:  # as TensorBoard holds it
        assert reader.read() == b"one"
        storage.write(key("i"), b"one, two")
        collect(collector, i=S.IN_FLIGHT)
        assert reader.read() == b", two"


@pytest.mark.needs_s3
def test_from_a_bucket_too(s3_bucket: str, tmp_path: Path) -> None:
    store = open_storage(f"s3://{s3_bucket}/out")
    with of_worker.Curves(HANDOFF, store) as worker:
        worker.watch(ITEM, tmp_path / "tensorboard")
        (tmp_path / "tensorboard" / FILE).write_bytes(b"one")
        worker.finish(ITEM)
    collector = Collector(store, "b", ("translate",), tmp_path)
    assert collect(collector, i=S.IN_FLIGHT).runs == ("i",)
    store.write(key("i", attempt=2), b"one, two")
    collect(collector, i=S.IN_FLIGHT)
    assert (tmp_path / "i" / f"{FILE}.translate-a2").read_bytes() == b"one, two"


def test_a_file_that_became_shorter_is_another_one(
    storage: LocalStorage, collector: Collector
) -> None:
    storage.write(key("i"), b"a long one")
    collect(collector, i=S.IN_FLIGHT)
    storage.write(key("i"), b"short")
    collect(collector, i=S.IN_FLIGHT)
    assert list(files(collector).values()) == [b"short"]


def test_only_the_newest_attempt_of_each_step_is_shown(
    storage: LocalStorage, collector: Collector
) -> None:
    storage.write(key("i"), b"failed")
    collect(collector, i=S.IN_FLIGHT)
    storage.write(key("i", attempt=2), b"again")
    storage.write(key("i", attempt=10), b"once more")
    storage.write(key("i", step="score"), b"scores")
    collect(collector, i=S.IN_FLIGHT)
    assert files(collector) == {
        f"i/{FILE}.translate-a10": b"once more",
        f"i/{FILE}.score-a1": b"scores",
    }


def test_what_is_not_wanted_goes_and_comes_again(
    storage: LocalStorage, collector: Collector
) -> None:
    storage.write(key("i"), b"i")
    storage.write(key("k"), b"k")
    collect(collector, i=S.IN_FLIGHT, k=S.SUCCEEDED)
    assert collect(collector, i=S.FAILED, k=S.SUCCEEDED).runs == ("k",)
    assert set(files(collector)) == {f"k/{FILE}.translate-a1"}
    assert collect(collector, i=S.WAITING, k=S.STOPPED).runs == ("i",)
    assert set(files(collector)) == {f"i/{FILE}.translate-a1"}


def test_what_is_whole_is_not_asked_for_again(storage: LocalStorage, collector: Collector) -> None:
    storage.write(key("i"), b"i")
    collect(collector, i=S.SUCCEEDED)
    storage.write(key("i"), b"changed by nobody")
    collect(collector, i=S.SUCCEEDED)
    assert list(files(collector).values()) == [b"i"]


def test_an_item_called_like_the_other_run_is_told_apart(
    storage: LocalStorage, collector: Collector
) -> None:
    storage.write(key("Diagnostics"), b"i")
    collect(collector, Diagnostics=S.SUCCEEDED)
    assert set(files(collector)) == {f"Diagnostics (item)/{FILE}.translate-a1"}
    assert run_of("diagnostics") != "diagnostics"


def test_there_is_a_bound_to_everything(
    storage: LocalStorage, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(curves, "MOST_BYTES", 10)
    monkeypatch.setattr(curves, "MOST_RUNS", 2)
    monkeypatch.setattr(curves, "MOST_IN_ALL", 12)
    for name, size in (("a", 11), ("b", 8), ("c", 8), ("d", 8)):
        storage.write(key(name), b"x" * size)
    found = collect(collector, a=S.IN_FLIGHT, b=S.SUCCEEDED, c=S.SUCCEEDED, d=S.IN_FLIGHT)
    assert (found.runs, found.left_out, found.is_full) == (("d",), 2, False)
    assert set(files(collector)) == {f"d/{FILE}.translate-a1"}  # a's file is too large
    found = collect(collector, b=S.IN_FLIGHT, d=S.IN_FLIGHT)
    assert {path[0] for path in files(collector)} == {"d"}  # no room for another
    assert (found.runs, found.is_full) == (("d",), True)
    for number in range(40):
        storage.write(key("e", name=f"{FILE}.{number}"), b"x")
    assert len(collector.found()["e"]) == 16


def test_what_there_was_no_room_for_comes_once_there_is(
    storage: LocalStorage, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(curves, "MOST_IN_ALL", 12)
    storage.write(key("i"), b"x" * 8)
    storage.write(key("k"), b"y" * 8)
    found = collect(collector, i=S.SUCCEEDED, k=S.SUCCEEDED)
    assert (found.runs, found.is_full) == (("i",), True)
    found = collect(collector, i=S.FAILED, k=S.SUCCEEDED)
    assert (found.runs, found.is_full) == (("k",), False)
    assert files(collector) == {f"k/{FILE}.translate-a1": b"y" * 8}


def test_a_link_in_the_folder_is_not_written_through(
    storage: LocalStorage, collector: Collector, tmp_path: Path
) -> None:
    (tmp_path / "mine").write_text("mine")
    (collector.folder / "i").mkdir()
    (collector.folder / "i" / f"{FILE}.translate-a1").symlink_to(tmp_path / "mine")
    storage.write(key("i"), b"longer than the path of the link" * 20)
    with pytest.raises(OSError, match="symbolic"):
        collect(collector, i=S.IN_FLIGHT)
    assert (tmp_path / "mine").read_text() == "mine"


def test_a_folder_is_of_one_batch_and_one_process(tmp_path: Path) -> None:
    folder = tmp_path / "curves"
    with (
        collecting_folder(folder, "b"),
        pytest.raises(UsageError, match="cannot take the curves"),
        collecting_folder(folder, "b"),
    ):
        pytest.fail("two collect there")
    with collecting_folder(folder, "b"):
        pass
    with pytest.raises(UsageError) as refused, collecting_folder(folder, "c"):
        pass
    assert "curves of batch b" in refused.value.why


class Told:
    """A storage that notes what is uploaded, and fails as often as it is told to."""

    def __init__(self, failures: int = 0) -> None:
        self.uploads: list[tuple[str, bytes]] = []
        self._failures = failures

    def upload(self, path: Path, key: str) -> None:
        if self._failures:
            self._failures -= 1
            raise OSError("no")
        self.uploads.append((key, path.read_bytes()))


ITEM = HandoffItem(item="i", attempt=2)
HANDOFF = Handoff(
    batch="b", dispatch="d", step="translate", job="command", output_root="", items=(ITEM,)
)


def test_a_worker_stores_what_grows_and_in_the_end_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(of_worker, "_SECONDS", 0.01)
    monkeypatch.setattr(of_worker, "_COST", 0)
    told, folder = Told(), tmp_path / "tensorboard"
    with of_worker.Curves(HANDOFF, told) as worker:  # type: ignore[arg-type]
        worker.watch(ITEM, folder)
        (folder / FILE).write_bytes(b"one")
        deadline = time.monotonic() + 10
        while not told.uploads and time.monotonic() < deadline:
            time.sleep(0.01)
        assert told.uploads == [(key("i", attempt=2), b"one")]
        monkeypatch.setattr(of_worker, "_SECONDS", 60)
        (folder / FILE).write_bytes(b"one, two")
        worker.finish(ITEM)
        worker.finish(ITEM)
    assert told.uploads[-1] == (key("i", attempt=2), b"one, two")
    assert len(told.uploads) == 2


def test_a_worker_stores_event_files_alone_and_fails_of_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told, folder = Told(failures=2), tmp_path / "tensorboard"
    with of_worker.Curves(HANDOFF, told) as worker:  # type: ignore[arg-type]
        worker.watch(ITEM, folder)
        (folder / "checkpoint").write_bytes(b"no")
        (folder / FILE).symlink_to("/etc/passwd")
        os.mkfifo(folder / f"{FILE}.pipe")
        (folder / f"{FILE}.empty").touch()
        (folder / f"{FILE}.good").write_bytes(b"good")
        worker.finish(ITEM)
        for _ in range(2):
            worker.watch(ITEM, tmp_path / f"{len(told.uploads)}-{_}")
            (tmp_path / f"{len(told.uploads)}-{_}" / FILE).write_bytes(b"again")
            worker.finish(ITEM)
    assert told.uploads == [(key("i", attempt=2), b"again")]
    assert capsys.readouterr().err.count("event files not stored") == 1
