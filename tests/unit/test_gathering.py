"""Rounds over a batch for TensorBoard: the last one, and what is looked at before a folder is."""

import threading
from pathlib import Path

import pytest

from coordinator.commands.tensorboard import Asked, Round, gather
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
