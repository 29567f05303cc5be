"""Signals, and who may drive a batch: what is stopped says how to go on, and loses nothing."""

import re
import signal
import subprocess
import time
import zlib
from collections.abc import Callable, Iterator

import pexpect
import pytest

from tests.acceptance.batches import (
    COORDINATOR,
    BatchSeen,
    Workplace,
    assert_whole,
    ended,
    environment,
    running,
    wait_until,
)

pytestmark = [pytest.mark.needs_data, pytest.mark.timeout(300)]

Process = subprocess.Popen[str]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    folder = tmp_path_factory.mktemp("signals") / "work"
    return Workplace.made(folder, ["deu", "fra", "rus"], 5, pack=2)


@pytest.fixture
def batch(place: Workplace, request: pytest.FixtureRequest) -> BatchSeen:
    """Six directions in packs of two, a batch for each test; the model takes its time."""
    place.set_model(seconds=1.5)
    place.witness.unlink(missing_ok=True)
    return place.batch(f"b-{zlib.crc32(request.node.name.encode())}")


@pytest.fixture
def process(batch: BatchSeen) -> Iterator[Process]:
    """A coordinator with a worker at work."""
    flags = batch.place.submit_flags(batch.name, "--slots", 1)
    with running(batch.place.start("submit", *flags)) as process:
        wait_until(lambda: batch.place.witnessed().total() >= 1)
        yield process


def assert_goes_on(batch: BatchSeen) -> None:
    """A resume ends the batch, each model call made once."""
    batch.place.set_model()
    done = batch.place.resume(batch.name)
    assert done.returncode == 0, done.stderr
    assert_undamaged(batch)


def assert_undamaged(batch: BatchSeen) -> None:
    assert_whole(batch)
    assert batch.place.witnessed() == dict.fromkeys(batch.directions().values(), 1)


def test_the_first_interrupt_waits_for_what_runs(batch: BatchSeen, process: Process) -> None:
    process.send_signal(signal.SIGINT)
    done = ended(process)
    assert done.returncode == 130
    assert "stopping" in done.stderr
    assert f"coordinator submit --batch_name {batch.name} --resume" in done.stdout
    assert batch.workers() == []
    assert batch.count("dispatches WHERE state <> 'ended'") == 0
    assert 2 <= batch.place.witnessed().total() < 6
    assert_goes_on(batch)


def test_the_second_interrupt_leaves_at_once(batch: BatchSeen, process: Process) -> None:
    at_work = batch.workers()
    process.send_signal(signal.SIGINT)
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    done = ended(process)
    assert done.returncode == 130
    assert "the jobs run on" in done.stderr and "--resume" in done.stdout
    assert len(at_work) == 1 and batch.workers() == at_work
    assert_goes_on(batch)


def test_a_hang_up_and_a_termination_let_jobs_run_on(batch: BatchSeen, process: Process) -> None:
    at_work = batch.workers()
    process.send_signal(signal.SIGHUP)
    done = ended(process)
    assert done.returncode == 3
    assert "the jobs run on" in done.stderr and "--resume" in done.stdout
    assert len(at_work) == 1 and batch.workers() == at_work
    starts = batch.count("events WHERE action = 'started'")
    second = batch.place.start("submit", "--batch_name", batch.name, "--resume")
    with running(second):
        wait_until(lambda: batch.count("events WHERE action = 'started'") > starts)
        second.send_signal(signal.SIGTERM)
        done = ended(second)
    assert done.returncode == 3, done.stderr
    assert_goes_on(batch)


def test_one_coordinator_a_batch_and_one_batch_a_name(batch: BatchSeen, process: Process) -> None:
    batch.place.set_model()
    second = batch.place.resume(batch.name)
    assert second.returncode == 2
    assert f"process {process.pid} on" in second.stderr
    assert f"coordinator status {batch.name}" in second.stderr
    assert ended(process).returncode == 0
    flags = batch.place.submit_flags(batch.name)
    again = batch.place.run("submit", *flags)
    assert again.returncode == 2
    assert "submitted before" in again.stderr and "--resume" in again.stderr
    assert batch.place.run("submit", *flags, "--state_dir", "other").returncode == 2
    assert_undamaged(batch)


# On a terminal.


@pytest.fixture
def terminal(place: Workplace) -> Callable[..., "pexpect.spawn[str]"]:
    def spawned(*arguments: str) -> "pexpect.spawn[str]":
        return pexpect.spawn(
            str(COORDINATOR),
            list(arguments),
            cwd=str(place.folder),
            env=environment(place.folder) | {"TERM": "xterm-256color", "TERM_PROGRAM": "ghostty"},
            dimensions=(24, 160),
            encoding="utf-8",
            timeout=60,
        )

    return spawned


def test_a_terminal_shows_the_batch_live(
    batch: BatchSeen, terminal: Callable[..., "pexpect.spawn[str]"]
) -> None:
    flags = batch.place.submit_flags(batch.name, "--slots", "1", "--stop_threshold", "2")
    with terminal("submit", *flags) as child:
        child.expect(rf"{batch.name}  running \d+ s")
        child.expect("translate")
        child.expect("paused: 2 in flight")
        wait_until(lambda: batch.place.witnessed().total() >= 1)
        child.sendintr()  # to every process of the terminal, as Ctrl-C does
        child.expect("stopping: what runs is waited for")
        child.expect(f"coordinator submit --batch_name {batch.name} --resume")
        assert "Traceback" not in child.before + child.read()
    assert child.exitstatus == 130
    assert batch.count("attempts WHERE kind IS NOT NULL") == 0, "Ctrl-C reached the jobs"
    batch.place.set_model(faults=["rus fra"])
    with terminal("submit", "--batch_name", batch.name, "--resume") as child:
        child.expect("6 items  =  5 succeeded  1 failed")
        on_tab = re.findall(r"\x1b\]9;4;(\d);\d+\x1b", child.before)
        assert on_tab[0] == "1" and on_tab[-1] == "0", "progress on its tab, and its end"
        child.expect("1 x model_error  e.g. text-dev-rus-fra: .*on purpose")
        child.expect(f"coordinator resubmit {batch.name}")
        assert "Traceback" not in child.before + child.read()
    assert child.exitstatus == 1
