"""A ledger that was torn, flipped, copied or locked: it holds every move, or it says what to do."""

import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from coordinator.domain.items import WorkItem
from coordinator.domain.states import AttemptState as S
from coordinator.domain.states import FailureKind, ItemState
from coordinator.errors import LedgerError
from coordinator.ledger import (
    FILE,
    AttemptEnd,
    Finish,
    Ledger,
    NextStep,
    Retry,
    driver_lock,
    refuse_damage,
)
from coordinator.ledger import ledger as ledger_module
from tests.fakes import HandClock
from tests.faults.points import Nursery, failing, nursery

POSITIONS = 50  # of each kind of damage
CLOCK = HandClock()
_MOVES = (
    "SELECT seq, id, state, step FROM items ORDER BY seq",
    "SELECT id, item, step, number, state, dispatch FROM attempts ORDER BY id",
    "SELECT id, step, name, token, state FROM dispatches ORDER BY id",
)


def moves(ledger: Ledger) -> list[list[tuple[object, ...]]]:
    return [[tuple(row) for row in ledger._db.execute(query)] for query in _MOVES]


def work(folder: Path, steps: int = 30) -> None:
    """Moves of every kind; the process is killed amid them, so that the write-ahead log stays."""
    items = [(WorkItem(f"item-{n}", properties={"n": n}), "") for n in range(80)]
    ledger = Ledger.create(folder, CLOCK, {"items": 80}, items)
    rng = random.Random(1)
    for number in range(steps):
        ready = ledger.ready(0, fresh=True, limit=2) or ledger.ready(0, fresh=False, limit=2)
        [dispatch] = ledger.claim([ready], lambda _, n: f"dispatch-{n}")
        ledger.move(dispatch, S.CLAIMED, S.SUBMITTED, f"job-{number}")
        if number % 3:
            out = next(d for d in ledger.out() if d.id == dispatch.id)
            sequels = [Finish(ItemState.FAILED, FailureKind.UNKNOWN), NextStep(), Retry()]
            sequel = rng.choice(sequels)
            state = S.SUCCEEDED if isinstance(sequel, NextStep) else S.FAILED
            kind = None if state is S.SUCCEEDED else FailureKind.UNKNOWN
            ledger.end(out, [AttemptEnd(a, state, sequel, kind) for a in ledger.attempts_of(out)])
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a ledger whose process was killed."""
    folder = tmp_path_factory.mktemp("ledger") / "b"
    process = multiprocessing.get_context("fork").Process(target=work, args=(folder,))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    assert (folder / f"{FILE}-wal").stat().st_size > 100_000
    return folder


def copied(folder: Path, target: Path, *, without: tuple[str, ...] = ()) -> Path:
    ignored = [f"{FILE}{end}" for end in without]
    return Path(shutil.copytree(folder, target, ignore=lambda *_: ignored))


def truncate(path: Path, where: float) -> None:
    os.truncate(path, int(path.stat().st_size * where))


def flip(path: Path, where: float) -> None:
    data = bytearray(path.read_bytes())
    data[int((len(data) - 1) * where)] ^= 1 << int(where * 1e6) % 8
    path.write_bytes(data)


def opened(folder: Path) -> list[list[tuple[object, ...]]]:
    """What a driver would go on from."""
    ledger = Ledger.open(folder, CLOCK)
    try:
        refuse_damage(ledger)
        return moves(ledger)
    finally:
        ledger.close()


DAMAGES = {
    "truncated": ("", truncate),
    "flipped": ("", flip),
    "log-truncated": ("-wal", truncate),
    "log-flipped": ("-wal", flip),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_anywhere_is_refused_or_has_cost_no_move(
    killed: Path, tmp_path: Path, damage: str
) -> None:
    end, spoil = DAMAGES[damage]
    whole, rng, came = opened(copied(killed, tmp_path / "whole")), random.Random(damage), Counter()
    if not end:  # all of it in one file, as after a calm end
        killed = tmp_path / "whole"
    for number in range(POSITIONS):
        folder = copied(killed, tmp_path / str(number), without=("-shm",) if number % 2 else ())
        spoil(folder / f"{FILE}{end}", rng.random())
        try:
            assert opened(folder) == whole, "moves are missing, or are others"
            came["opens"] += 1
        except LedgerError as error:
            came["refused"] += 1
            assert f"rebuild-ledger {number}" in error.hint and error.why, error
        shutil.rmtree(folder)
    print(f"\n{damage} at {POSITIONS} positions: {dict(came)}")
    assert came["refused"] > 0


def test_a_ledger_that_was_refused_is_refused_again(killed: Path, tmp_path: Path) -> None:
    """Looking at it must not take the traces of the damage away."""
    folder = copied(killed, tmp_path / "b", without=("-shm",))
    truncate(folder / f"{FILE}-wal", 0.5)
    for read_only in (True, False, True, False):
        with pytest.raises(LedgerError, match="moves are missing that were committed"):
            Ledger.open(folder, CLOCK, read_only=read_only)


def test_a_live_ledger_that_was_copied_without_its_log_is_refused(
    killed: Path, tmp_path: Path
) -> None:
    folder = copied(killed, tmp_path / "b", without=("-wal", "-shm"))
    with pytest.raises(LedgerError, match="moves are missing") as caught:
        Ledger.open(folder, CLOCK)
    assert "rebuild-ledger b" in caught.value.hint


def test_a_ledger_that_is_copied_while_it_is_written_is_whole_or_refused(tmp_path: Path) -> None:
    """File by file, in any order, as `cp -r` does."""
    items = [(WorkItem(f"item-{n}"), "") for n in range(400)]
    ledger = Ledger.create(tmp_path / "b", CLOCK, {}, items)
    done = threading.Event()
    came: Counter[str] = Counter()

    def copy() -> None:
        for number in range(60):
            folder = copied(tmp_path / "b", tmp_path / f"copy-{number}", without=("-shm",))
            try:
                held, claims, _ = opened(folder)
                assert {row[2] for row in held} <= {"waiting", "in_flight"}
                assert sum(row[4] == "claimed" for row in claims) == sum(
                    row[2] == "in_flight" for row in held
                )
                came["opens"] += 1
            except LedgerError as error:
                assert error.hint
                came["refused"] += 1
        done.set()

    thread = threading.Thread(target=copy)
    thread.start()
    while not done.is_set() and (ready := ledger.ready(0, fresh=True, limit=1)):
        ledger.claim([ready], lambda _, n: f"dispatch-{n}")
    thread.join()
    ledger.close()
    assert came.total() == 60


# locked

HOLDER = """
import sqlite3, sys, time
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
time.sleep(float(sys.argv[2]))
"""


@pytest.fixture
def hold(tmp_path: Path) -> Callable[[Path, float], "subprocess.Popen[str]"]:
    def held(ledger: Path, seconds: float) -> "subprocess.Popen[str]":
        command = [sys.executable, "-c", HOLDER, str(ledger), str(seconds)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        return process

    return held


def test_a_ledger_that_is_locked_is_waited_for_and_no_move_is_lost(
    tmp_path: Path, hold: Callable[[Path, float], "subprocess.Popen[str]"]
) -> None:
    ledger = Ledger.create(tmp_path / "b", CLOCK, {}, [(WorkItem("i"), "")])
    began = time.monotonic()
    with hold(ledger.path, 1.5):
        ledger.note("moved")
    assert 1.0 < time.monotonic() - began < 30
    assert [event.action for event in ledger.events()][-1] == "moved"
    ledger.close()


def test_who_locks_a_ledger_for_ever_is_named(
    tmp_path: Path,
    hold: Callable[[Path, float], "subprocess.Popen[str]"],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ledger_module, "_BUSY_SECONDS", 0.3)
    ledger = Ledger.create(tmp_path / "b", CLOCK, {}, [(WorkItem("i"), "")])
    with hold(ledger.path, 60) as other:
        with pytest.raises(LedgerError, match="cannot be used") as caught:
            ledger.note("moved")
        other.kill()
    assert f"process {other.pid} (python" in caught.value.why
    assert "--resume" in caught.value.hint
    ledger.note("moved after all")
    ledger.close()


def test_a_lock_that_a_dead_process_left_is_taken_over(tmp_path: Path) -> None:
    """Its number may be another process's by now: the kernel's word counts, not the note's."""
    note = f'{{"pid": {os.getppid()}, "host": "here", "since": 0}}'
    (tmp_path / "driver.lock").write_text(note)
    with driver_lock(tmp_path, "b"):
        assert f'"pid": {os.getpid()}' in (tmp_path / "driver.lock").read_text()


@pytest.fixture(scope="module")
def started() -> Iterator[Nursery]:
    with nursery() as loaded:
        yield loaded


@pytest.mark.parametrize("error", ["ENOLCK", "EOPNOTSUPP"])
def test_a_file_system_without_locks_is_refused(
    started: Nursery, tmp_path: Path, error: str
) -> None:
    folder = tmp_path / "b"
    assert started.run(folder, failing("flock", 1, error)) == 3
    said = (folder / "said").read_text()
    assert "cannot be locked" in said and "on a disk of this machine" in said
    assert not (folder / "witness").exists()
