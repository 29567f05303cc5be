"""However much comes in, memory and time stay bounded, and what is too much is said."""

import io
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from coordinator.catalog import open_source, read_item_list
from coordinator.cluster import JobId
from coordinator.cluster.local.job import JobFolder
from coordinator.cluster.local.logs import LARGEST
from coordinator.cluster.nomad import logs as nomad_logs
from coordinator.cluster.nomad.job_files import read_source
from coordinator.domain.alike import normalised
from coordinator.domain.handoff import Failure
from coordinator.domain.states import FailureKind as K
from coordinator.domain.verdicts import Ending
from coordinator.errors import BadInput
from coordinator.pipelines import read_pipeline
from coordinator.reports import ItemLog, local_reports
from coordinator.reports.run_list import read_run_list
from coordinator.reports.scan import scan
from coordinator.settings import load_settings, parse_yaml
from tests.log_trees import LogBuilder, outcome

MB, GB = 1 << 20, 1 << 30


# Not getrusage: that counts the memory of whoever started the process too.
PEAK = "print(int(open('/proc/self/status').read().split('VmHWM:')[1].split()[0]) / 1024)"


def peak_mb(code: str, *arguments: object) -> tuple[float, list[str]]:
    """The most memory, in MB, of a Python process that runs `code`; and the words it printed."""
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}\n{PEAK}", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=True,
    )
    *said, peak = done.stdout.split()
    return float(peak), said


def sparse(path: Path, size: int, head: bytes = b"", tail: bytes = b"") -> Path:
    with path.open("wb") as file:
        file.write(head)
        file.truncate(size)
        file.seek(0, os.SEEK_END)
        file.write(tail)
    return path


# lists


def test_a_list_of_a_million_items_is_read_in_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    with path.open("w") as file:
        file.writelines(f"item-with-a-usual-name-{n:07d}\n" for n in range(1_000_000))
    code = (
        "from pathlib import Path\nfrom coordinator.catalog import read_item_list\n"
        "print(len(read_item_list(Path(sys.argv[1])).ids))"
    )
    peak, said = peak_mb(code, path)
    assert said == ["1000000"]
    assert peak < 300


@pytest.mark.parametrize("size", [GB - 1, GB + 1])
def test_a_list_of_one_line_of_a_gigabyte_is_refused_by_its_line(tmp_path: Path, size: int) -> None:
    path = sparse(tmp_path / "list.txt", size, b"first\n")
    began = time.process_time()
    with pytest.raises(BadInput, match=r"list\.txt") as caught:
        read_item_list(path)
    assert ":2 is longer than" in str(caught.value) or "larger than" in str(caught.value)
    assert time.process_time() - began < 1


def test_a_run_list_of_one_long_line_is_refused_by_its_line(tmp_path: Path) -> None:
    path = sparse(tmp_path / "list.txt", 256 * MB, b"first\n")
    code = (
        "from pathlib import Path\nfrom coordinator.errors import BadInput\n"
        "from coordinator.reports.run_list import read_run_list\n"
        "try:\n    read_run_list(Path(sys.argv[1]))\n"
        "except BadInput as error:\n    print(str(error.problems[0]).split()[0])"
    )
    peak, said = peak_mb(code, path)
    assert said == [f"{path}:2:"]
    assert peak < 150


def test_a_file_of_items_without_a_line_end_is_refused(tmp_path: Path) -> None:
    path = sparse(tmp_path / "items.ndjson", 512 * MB, b'{"id": "a"}\n')
    with pytest.raises(BadInput, match="is no catalog") as caught:
        list(open_source(str(path)).items())
    assert "line 2" in caught.value.why


# logs


@pytest.mark.parametrize("size", [200 * MB, 10 * GB])
def test_of_a_long_log_head_and_tail_come_home(tmp_path: Path, size: int) -> None:
    """10 GB of which most is a hole: what is between head and tail is not read at all."""
    source = sparse(tmp_path / "log", size, b"first\n", b"\nlast\n")
    code = (
        "from pathlib import Path\nfrom coordinator.cluster.local.logs import copy_stream\n"
        "copy_stream(Path(sys.argv[1]), Path(sys.argv[2]))"
    )
    peak, _ = peak_mb(code, source, tmp_path / "home")
    check_kept(tmp_path / "home")
    assert peak < 100


def test_of_a_long_log_only_the_end_is_read_for_its_last_line(tmp_path: Path) -> None:
    job = JobFolder(tmp_path, JobId("j"))
    job.path.mkdir(parents=True)
    sparse(job.path / "stderr", 10 * GB, b"first\n", b"\nlast words\n")
    began = time.process_time()
    assert job.last_words() == "last words"
    assert time.process_time() - began < 1


@pytest.mark.parametrize("read", [read_pipeline, load_settings, read_source])
def test_a_settings_or_job_file_of_gigabytes_is_refused_at_once(
    tmp_path: Path, read: Callable[[Path], object]
) -> None:
    path = sparse(tmp_path / "huge.yml", 10 * GB)
    began = time.process_time()
    with pytest.raises(BadInput, match=r"huge\.yml is larger than"):
        read(path)
    assert time.process_time() - began < 1


def check_kept(home: Path) -> None:
    assert home.stat().st_size < LARGEST + MB
    data = home.read_bytes()
    assert data.startswith(b"first\n") and data.endswith(b"last\n")
    assert data.count(b" bytes left out]\n") == 1


@pytest.mark.parametrize("size", [200 * MB, pytest.param(10 * GB, marks=pytest.mark.soak)])
def test_of_a_stream_from_far_away_too(tmp_path: Path, size: int) -> None:
    code = (
        "from coordinator.cluster.nomad.logs import _copy_bounded\n"
        "with open(sys.argv[1], 'wb') as out:\n"
        "    _copy_bounded(iter(lambda: sys.stdin.buffer.read1(1 << 18), b''), out)\n"
        f"{PEAK}"
    )
    command = f'(echo first; yes | head -c {size}; echo last) | {sys.executable} -c "$CODE" "$OUT"'
    done = subprocess.run(
        ["sh", "-c", command],
        env=dict(os.environ, CODE=f"import sys\n{code}", OUT=str(tmp_path / "home")),
        capture_output=True,
        text=True,
        check=True,
    )
    check_kept(tmp_path / "home")
    assert float(done.stdout) < 100


def test_a_stream_in_small_pieces_takes_no_longer() -> None:
    pieces = itertools.repeat(b"x" * 100, 3 * nomad_logs.LARGEST // 100)
    began = time.process_time()
    nomad_logs._copy_bounded(iter(pieces), io.BytesIO())
    assert time.process_time() - began < 5


NOISE = {
    "without a line end": b"x" * (4 * MB),
    "binary": bytes(range(256)) * (4 * MB // 256),
    "nothing but line ends": b"\n" * MB,
    "braces": b"{" * (4 * MB),
    "assignments": b"a=" * (2 * MB),
    "lines of braces": (b'{"level": "error"' + b"{" * 60_000 + b"\n") * 60,
    "lines that nest": (b'{"level": "error", "a": ' + b"[" * 60_000 + b"\n") * 60,
    "escapes": b"\x1b]" * (2 * MB),
    "an escape without an end": b"\x1b[" + b"0" * (4 * MB),
    "carriage returns": b"\r" * (4 * MB),
    "headers of tracebacks": b"Traceback (most recent call last):\n" * (4 * MB // 35),
    "causes": b"\nThe above exception was the direct cause of the following exception:\n" * 40_000,
    "failed items": b'{"event": "item failed", "item": "' * (4 * MB // 34),
}
CALM = b"a usual line of a usual log, as long as most lines of logs are\n"


def seconds_to_scan(data: bytes) -> float:
    began = time.process_time()
    scan(io.BytesIO(data), 1)
    return time.process_time() - began


@pytest.mark.alone
@pytest.mark.parametrize("name", NOISE)
def test_a_hostile_log_takes_little_longer_than_a_calm_one(name: str) -> None:
    data = NOISE[name]
    calm = CALM * (len(data) // len(CALM))
    assert min(seconds_to_scan(data) for _ in range(2)) < 0.2 + 4 * seconds_to_scan(calm)


@pytest.mark.alone
@pytest.mark.parametrize("unit", ["{", "a=", "0-", "/a", "a/", "1.1", "0x", "-", "~/", "9,", "é/"])
def test_what_is_alike_is_found_in_linear_time(unit: str) -> None:
    def seconds(length: int) -> float:
        text = (unit * length)[:length]
        began = time.process_time()
        for _ in range(20):
            normalised(text, "item")
        return time.process_time() - began

    assert min(seconds(16_000) for _ in range(3)) < 0.05 + 32 * min(seconds(1000) for _ in range(3))


@pytest.mark.parametrize("unit", ["{", "a=", "[", '"', "a: ", "- ", "\x1b[", "&a "])
def test_hostile_lines_elsewhere_take_no_time(unit: str) -> None:
    line = (unit * MB)[:MB]
    log = ItemLog("item", ["item"], only_model=False)
    began = time.process_time()
    list(log.feed(line))
    with pytest.raises(BadInput):
        parse_yaml(line[:900_000].encode(), "f.yml")
    assert time.process_time() - began < 5


def test_a_report_over_a_log_of_a_gigabyte(tmp_path: Path) -> None:
    logs = LogBuilder(tmp_path / "logs", steps=("say",))
    logs.submit("a")
    made = logs.crash("say", "a", b"")
    sparse(made.stream("worker", "stderr"), GB, b"first\n", b"\nValueError: last\n")
    code = (
        "import time\nfrom pathlib import Path\nfrom coordinator.reports import local_reports\n"
        "began = time.process_time()\n"
        "logs, report = map(Path, sys.argv[1:])\n"
        "local_reports(logs, run_list=None, report_dir=report, batch=None)\n"
        "print(time.process_time() - began)"
    )
    peak, said = peak_mb(code, logs.root, tmp_path / "report")
    messages = json.loads((tmp_path / "report/messages.json").read_text())
    assert "ValueError: last" in messages["unknown"][0]["message"]
    assert peak < 100
    assert float(said[0]) < 10


def test_an_outcome_that_is_no_size_for_one_is_told_and_not_read(tmp_path: Path) -> None:
    logs = LogBuilder(tmp_path / "logs", steps=("say",))
    logs.submit("a")
    made = logs.dispatch(
        "say",
        "a",
        outcomes={"a": outcome(failure=Failure(kind=K.BAD_INPUT, message="m"))},
        ending=Ending(exit_code=65),
    )
    sparse(made.outcome("a"), GB)
    summary = local_reports(logs.root, run_list=None, report_dir=tmp_path / "report", batch=None)
    assert any("not read" in note.problem for note in summary.notes)
    with pytest.raises(BadInput):
        read_run_list(sparse(tmp_path / "list", MB))
