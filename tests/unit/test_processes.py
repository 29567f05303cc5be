"""Work in several processes: all of it, in order, whatever happens to a process."""

import os
import signal
import threading
from pathlib import Path

import pytest

from coordinator.reports import processes
from coordinator.reports.processes import WORTH, read_each

MANY = list(range(10 * WORTH))


@pytest.fixture(autouse=True)
def two_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever else runs in this process and on this machine."""
    monkeypatch.setattr(processes, "_processes", lambda things: 2 if things >= WORTH else 0)


def test_many_things_are_read_in_order_by_others() -> None:
    found = list(read_each(lambda thing: (thing, os.getpid()), MANY))
    assert [thing for thing, _ in found] == MANY
    assert os.getpid() not in {pid for _, pid in found}


def test_few_things_are_read_here() -> None:
    assert set(read_each(lambda _: os.getpid(), MANY[: WORTH - 1])) == {os.getpid()}


def test_what_a_killed_process_leaves_is_read_here(tmp_path: Path) -> None:
    here = os.getpid()

    def work(thing: int) -> int:
        if thing == 40 and os.getpid() != here:
            os.kill(os.getpid(), signal.SIGKILL)
        return thing

    assert list(read_each(work, MANY)) == MANY


def test_an_error_arrives() -> None:
    def work(thing: int) -> int:
        if thing == 7:
            raise ValueError("seven")
        return thing

    with pytest.raises(ValueError, match="seven"):
        list(read_each(work, MANY))


def test_nothing_is_forked_beside_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    try:
        assert set(read_each(lambda _: os.getpid(), MANY)) == {os.getpid()}
    finally:
        done.set()
        thread.join()
