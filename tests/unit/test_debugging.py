"""Processes that answer debuggers: whoever asks does no harm, and what is read is not trusted."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from coordinator.debugging.asking import ask_all
from coordinator.debugging.folder import LOCAL_JOB, NAME, Process, process_in, processes
from coordinator.debugging.stacks import Frame, Stacks, read_stacks
from coordinator.debugging.standstill import (
    AlreadyAttached,
    attached,
    is_attached,
    is_held,
    stood_still,
)

PROCESS = Process(7, "model", main=0xA, ear=0xE, ear_id=8, python="/py", own=("/lib/python3",))


@contextmanager
def answering(home: Path, life: str, role: str = "model") -> Iterator["subprocess.Popen[str]"]:
    """A process that answers, and then lives so."""
    script = (
        "from coordinator.debugging.answering import answer_debuggers, heed_own_signals\n"
        f"answer_debuggers({role!r})\n"
        "import signal, time, os\n"
        "print('up', flush=True)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script + textwrap.dedent(life)],
        env={**os.environ, LOCAL_JOB: str(home)},
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            assert process.stdout is not None and process.stdout.readline() == "up\n"
            yield process
        finally:
            process.kill()


def wait_until(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def asked(home: Path) -> list[Stacks | None]:
    """What the processes write when they are asked."""
    folder = home / NAME
    before = {path: path.stat().st_size for path, _ in processes(folder)}
    ask_all(folder)
    wait_until(lambda: all(path.stat().st_size > size for path, size in before.items()))
    time.sleep(0.1)
    found = processes(folder)
    return [read_stacks(process, path.read_bytes()[before[path] :]) for path, process in found]


BUSY = """
def deeper(n):
    return str(n) if n == 0 else deeper(n - 1) + ''.join(sorted(str(n)))
while True:
    deeper(30)
"""


def test_a_busy_process_is_asked_a_hundred_times_and_lives(tmp_path: Path) -> None:
    with answering(tmp_path, BUSY) as process:
        for _ in range(100):
            ask_all(tmp_path / NAME)
        (stacks,) = asked(tmp_path)
        assert stacks is not None and stacks.threads[0].id == stacks.process.main
        assert {frame.function for frame in stacks.threads[0].frames} <= {"deeper", "<module>"}
        assert process.poll() is None


def test_what_is_kept_of_stacks_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(tmp_path, "time.sleep(60)") as process:
        path = tmp_path / NAME / f"{process.pid}.stacks"
        with path.open("ab") as stream:
            stream.write(b"x" * (1 << 20))
        ask_all(tmp_path / NAME)
        wait_until(lambda: 0 < path.stat().st_size < 1 << 16)
        time.sleep(0.1)
        found = process_in(path.read_bytes())
        assert found is not None and found.pid == process.pid
        assert read_stacks(found, path.read_bytes())


@pytest.mark.parametrize("role", ["model", "worker"])
@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2])
def test_a_stray_signal_changes_nothing(tmp_path: Path, role: str, number: signal.Signals) -> None:
    with answering(tmp_path, "time.sleep(1)\nprint('whole', flush=True)", role) as process:
        for _ in range(5):
            process.send_signal(number)
            time.sleep(0.05)
        assert process.communicate(timeout=10)[0] == "whole\n" and process.returncode == 0


def test_the_signal_to_the_worker_alone_reaches_all(tmp_path: Path) -> None:
    with (
        answering(tmp_path, "time.sleep(60)") as model,
        answering(tmp_path, "time.sleep(60)", "worker") as worker,
    ):
        path = tmp_path / NAME / f"{model.pid}.stacks"
        before = path.stat().st_size
        worker.send_signal(signal.SIGUSR2)
        wait_until(lambda: path.stat().st_size > before)


def test_files_of_processes_that_have_ended_go(tmp_path: Path) -> None:
    with answering(tmp_path, "time.sleep(60)") as process:
        process.kill()
        process.wait()
        ask_all(tmp_path / NAME)
    assert list((tmp_path / NAME).iterdir()) == []


def test_a_file_that_names_another_process_does_it_no_harm(tmp_path: Path) -> None:
    """Neither signal has a handler there: either would end it."""
    with subprocess.Popen(["sleep", "60"]) as other:
        said = Process(other.pid, "worker", 1, 2, other.pid, "/py", ())
        folder = tmp_path / NAME
        folder.mkdir()
        (folder / f"{other.pid}.stacks").write_bytes(said.to_line())
        ask_all(folder)
        time.sleep(0.1)
        assert other.poll() is None
        other.kill()


def test_code_with_a_use_of_its_own_for_a_signal_is_left_alone(tmp_path: Path) -> None:
    life = """
    signal.signal(signal.SIGUSR1, lambda *_: print('mine', flush=True))
    heed_own_signals()
    print('taken', flush=True)
    time.sleep(60)
    """
    with answering(tmp_path, life) as process:
        assert process.stdout is not None and process.stdout.readline() == "taken\n"
        assert [path.name for path in (tmp_path / NAME).iterdir()] == [f"{process.pid}.taken"]
        ask_all(tmp_path / NAME)
        os.kill(process.pid, signal.SIGUSR1)
        assert process.stdout.readline() == "mine\n"


def test_outside_of_a_job_nothing_is_set_up() -> None:
    script = (
        "from coordinator.debugging.answering import answer_debuggers\n"
        "import os, signal, threading\n"
        "answer_debuggers('worker', {})\n"
        "assert signal.getsignal(signal.SIGUSR2) == signal.SIG_DFL\n"
        "assert threading.active_count() == 1\n"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_a_folder_that_cannot_be_written_stops_no_worker(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with answering(tmp_path / "file", "time.sleep(0.5)\nprint('whole', flush=True)") as process:
        assert process.communicate(timeout=10)[0] == "whole\n"


# what is read


def test_the_newest_of_two_sets_is_read_without_the_ear() -> None:
    dumps = """Thread 0x000000000000000e (most recent call first):
  File "/lib/python3/threading.py", line 3 in wait

Thread 0x000000000000000a (most recent call first):
  File "/lib/python3/socket.py", line 4 in recv
  File "/m/handler.py", line 12 in translate
"""
    later = dumps.replace("line 12", "line 15").replace(
        "Thread 0x000000000000000e", "Current thread 0xe"
    )
    found = read_stacks(PROCESS, (dumps + later).encode())
    assert found is not None
    assert [thread.id for thread in found.threads] == [0xA]
    assert found.line == Frame("/m/handler.py", 15, "translate") and found.is_whole
    cut = read_stacks(PROCESS, dumps.partition("Thread 0x000000000000000a")[0].encode())
    assert cut is None or not cut.is_whole


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xfe\x00",
        b"{}\n",
        b"[1]\n",
        b'{"pid": "x"}\n',
        PROCESS.to_line().replace(b'"pid": 7', b'"pid": 1e999'),
        PROCESS.to_line().replace(b'"own": [', b'"own": 3, "x": ['),
        b'{"pid": 7' + b" " * 20_000,
        b'{"pid": 7, "role": 1, "main": null}\n',
        PROCESS.to_line()[:-1],
    ],
)
def test_a_damaged_file_names_no_process(data: bytes) -> None:
    assert process_in(data) is None


def test_a_process_is_read_as_it_was_written() -> None:
    assert process_in(PROCESS.to_line() + b"Thread 0x1") == PROCESS


def test_a_file_under_another_name_is_nobody_s(tmp_path: Path) -> None:
    (tmp_path / "8.stacks").write_bytes(PROCESS.to_line())
    assert list(processes(tmp_path)) == []


def test_junk_between_stacks_is_left_out() -> None:
    data = b'Thread 0xa (most\n\x1b[2J\n  File "/m/\x1b]0;x.py", line 1 in f\n  File "a", line b\n'
    found = read_stacks(PROCESS, data)
    assert found is not None and found.line == Frame("/m/\x1b]0;x.py", 1, "f")
    assert read_stacks(PROCESS, b"nothing of the kind") is None


# deadlines


def test_time_counts_while_somebody_is_attached_and_not_afterwards(tmp_path: Path) -> None:
    assert stood_still(tmp_path) == 0.0 and not is_attached(tmp_path)
    for least in (0.6, 1.2):
        with attached(tmp_path):
            assert is_attached(tmp_path)
            time.sleep(0.6)
        assert least <= stood_still(tmp_path) < least + 0.5
    before = stood_still(tmp_path)
    time.sleep(0.5)
    assert stood_still(tmp_path) == before and not is_attached(tmp_path)


def test_two_cannot_be_attached(tmp_path: Path) -> None:
    with attached(tmp_path), pytest.raises(AlreadyAttached), attached(tmp_path):
        raise AssertionError("both are")


def test_counting_ends_with_a_debugger_that_is_killed(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path\n"
        "from coordinator.debugging.standstill import attached\n"
        "with attached(Path(sys.argv[1])):\n print('up', flush=True)\n time.sleep(60)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        wait_until(lambda: stood_still(tmp_path) > 0)
        process.kill()
    before = stood_still(tmp_path)
    time.sleep(0.4)
    assert stood_still(tmp_path) == before and not is_attached(tmp_path)


def test_a_debugger_that_is_stopped_still_holds_and_what_it_missed_counts_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(LOCAL_JOB, str(tmp_path))
    folder = tmp_path / NAME
    folder.mkdir()
    script = (
        "import sys; from pathlib import Path\n"
        "from coordinator.debugging.standstill import attached\n"
        "with attached(Path(sys.argv[1])):\n sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", script, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        wait_until(lambda: stood_still(folder) > 0)
        process.send_signal(signal.SIGSTOP)
        time.sleep(1.0)
        assert stood_still(folder) < 0.9 and is_held()
        process.send_signal(signal.SIGCONT)
        process.communicate()
    assert stood_still(folder) > 1.0 and not is_held()


@pytest.mark.parametrize("content", [b"", b"x", b"\xff" * 100])
def test_a_damaged_count_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "attached").write_bytes(content)
    assert stood_still(tmp_path) == 0.0
