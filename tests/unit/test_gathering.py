"""Rounds over a batch for TensorBoard: the last one, and what is looked at before a folder is."""

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from coordinator.cli import main
from coordinator.commands.board import HOST
from coordinator.commands.tensorboard import Asked, Round, beside, folder_for, gather
from coordinator.errors import UsageError
from coordinator.storage.local import LocalStorage
from tests.fakes import HandClock
from tests.ledgers import make_batch

KEY = "b/tensorboard/i0/translate/a1/events.out.tfevents.1700000000.host"
COPY = "i0/events.out.tfevents.1700000000.host.translate-a1"


@pytest.fixture
def asked(tmp_path: Path) -> Asked:
    clock = HandClock()
    settings = make_batch(tmp_path, clock)
    (tmp_path / "curves").mkdir()
    return Asked(settings, "b", clock, tmp_path / "curves")


def test_what_has_come_since_the_last_round_is_there_at_the_end(
    asked: Asked, tmp_path: Path
) -> None:
    stop = threading.Event()

    def ends(_: Round) -> None:
        if not stop.is_set():
            LocalStorage(tmp_path / "out").write(KEY, b"the last curves")
            stop.set()

    last = gather(asked, pytest.fail, ends, until_finished=False, stop=stop)
    assert last.collected.runs == ("i0",)
    assert (asked.folder / COPY).read_bytes() == b"the last curves"


def test_a_last_round_that_fails_is_told_and_the_one_before_it_counts(
    asked: Asked, tmp_path: Path
) -> None:
    LocalStorage(tmp_path / "out").write(KEY, b"curves")
    stop, said = threading.Event(), list[str]()

    def ends(_: Round) -> None:
        (tmp_path / "state/b").rename(tmp_path / "elsewhere")
        stop.set()

    last = gather(asked, said.append, ends, until_finished=False, stop=stop)
    assert last.collected.runs == ("i0",)
    assert len(said) == 1 and said[0].startswith("curves stand still: no batch b")


@pytest.mark.parametrize("name", ["../../nosuch", "typo"])
def test_a_batch_that_is_not_known_makes_no_folder(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    work = tmp_path / "a/b"
    work.mkdir(parents=True)
    monkeypatch.chdir(work)
    monkeypatch.setenv("COORDINATOR_STATE_DIR", str(tmp_path / "a/state"))
    assert main(["tensorboard", name, "--no-serve"]) == 2
    assert name in capsys.readouterr().err
    assert [path.name for path in tmp_path.rglob("*")] == ["a", "b"]


def test_beside_a_batch_whose_name_cannot_be_one_no_folder_is_made(
    asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = tmp_path / "a/b"
    work.mkdir(parents=True)
    monkeypatch.chdir(work)
    wrong = replace(asked, batch="../../nosuch", folder=folder_for("../../nosuch", None))
    with pytest.raises(UsageError, match="no name"), beside(wrong, HOST, 0, pytest.fail):
        pytest.fail("it goes on")
    assert not list(work.iterdir()) and not (tmp_path / "a/nosuch").exists()
