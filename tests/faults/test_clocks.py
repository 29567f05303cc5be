"""The machine's clock may jump: nothing expires by it, and nothing is put in order by it."""

import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path

import pytest

from tests.acceptance.batches import ended, running, wait_until
from tests.faults.errands import Errands, assert_each_once, do, home
from tests.support import require_program

pytestmark = pytest.mark.timeout(300)

FAKETIME = "/usr/lib/{}-linux-gnu/faketime/libfaketimeMT.so.1"
BEAT = 0.02  # seconds between two steps of a clock that strobes


@contextmanager
def stepping(file: Path, steps: Sequence[str]) -> Iterator[None]:
    """Set the clock to each of these in turn: once each where there is one, else over and over."""
    over = threading.Event()

    def step() -> None:
        for value in cycle(steps):
            aside = file.with_suffix(".part")
            aside.write_text(value)
            aside.replace(file)
            if over.wait(BEAT) or len(steps) == 1:
                return

    thread = threading.Thread(target=step)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize(
    "steps",
    [["+8h"], ["-1h", "+8h", "+0", "-30d"]],
    ids=["forward eight hours", "to and fro"],
)
def test_a_clock_that_jumps_changes_no_verdict(
    steps: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_program("faketime")
    clock = tmp_path / "clock"
    clock.write_text("+0")
    for name, value in {
        "LD_PRELOAD": FAKETIME.format(os.uname().machine),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }.items():
        monkeypatch.setenv(name, value)
    items = [f"i{n}" for n in range(6)]
    place = Errands.laid_out(tmp_path / "work", items, pack=2, time_limit="30s")
    do(place, "/bin/sleep 0.3")
    batch = place.batch("b")
    with running(place.start("submit", *place.submit_flags("b", "--slots", 1))) as process:
        wait_until(lambda: home(batch) >= 1 or process.poll() is not None)
        with stepping(clock, steps):
            began = time.monotonic()
            done = ended(process)
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - began < 60
    assert_each_once(batch)
    numbers = [row["number"] for row in batch.rows("SELECT number FROM attempts ORDER BY id")]
    assert numbers == [1] * len(items)
    moments = [row["at"] for row in batch.rows("SELECT at FROM events ORDER BY id")]
    assert max(moments) - min(moments) > 1800, "the coordinator saw the clock jump"
