"""What jobs use: measured beside them, bounded, and never a reason to fail."""

import csv
import io
import math
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, BinaryIO

import pytest

from coordinator.domain.handoff import Handoff, HandoffItem, parse_outcome
from coordinator.domain.paths import BatchKeys
from coordinator.domain.usage import COLUMNS, MAX_BYTES, MAX_ROWS, Row, Series, parse_series, used
from coordinator.domain.verdicts import Ending
from coordinator.errors import (
    AccessRefused,
    BadInput,
    StorageError,
    StorageUnavailable,
    UsageError,
)
from coordinator.reports import local_reports
from coordinator.reports.diagnostics import write_diagnostics
from coordinator.storage import Storage, open_storage
from coordinator.workers.frame import run_worker
from coordinator.workers.gpus import Gpus
from coordinator.workers.logs import WorkerLog
from coordinator.workers.monitor import Monitor
from coordinator.workers.sampler import Sampler
from tests.log_trees import LogBuilder, outcome
from tests.servers import wait_for
from tests.unit.test_driver import DONE, World

CORES, MEMORY = COLUMNS.index("cores"), COLUMNS.index("memory_mb")


def row(time: float, seconds: float = 1.0, **values: float) -> Row:
    return Row(time, seconds, tuple(values.get(column) for column in COLUMNS))


def of(row: Row, column: str) -> float:
    value = row.values[COLUMNS.index(column)]
    assert value is not None, column
    return value


SERIES = Series([row(1.0, 1.0, cores=1.0), row(2.0, 3.0, cores=5.0, memory_mb=7.0)])

# series


def test_means_are_weighted_by_time() -> None:
    found = used([row(1.0, 1.0, cores=4.0), row(4.0, 3.0, cores=0.0), row(5.0, 1.0)])
    assert (found["cores"].mean, found["cores"].peak) == (1.0, 4.0)
    assert found.keys() == {"cores"}


def test_an_interval_takes_the_rows_that_overlap_it_as_far_as_they_do() -> None:
    series = Series([row(float(end), 1.0, cores=float(end)) for end in range(1, 6)])
    use = series.since(3.5)["cores"]
    assert use.peak == 5.0
    assert math.isclose(use.mean, (4.0 * 0.5 + 5.0 * 1.0) / 1.5)
    assert series.since(5.0) == {}


def test_a_series_stays_bounded_and_keeps_means_and_peaks() -> None:
    series, count = Series(), 4 * MAX_ROWS
    for number in range(count):
        busy = 8.0 if number % 2 else 0.0
        series.add(row(number + 1.0, 1.0, cores=busy, memory_mb=float(number == 777)))
    assert len(series.rows) < MAX_ROWS
    assert sum(each.seconds for each in series.rows) == count
    found = used(series.rows)
    assert found["cores"].mean == 4.0 and found["memory_mb"].peak == 1.0
    assert len(series.to_csv()) < MAX_BYTES


def test_a_series_survives_its_file() -> None:
    series = Series([row(1.0, 0.5, cores=0.125, memory_mb=3.0), row(2.0)])
    assert parse_series(series.to_csv()) == series


HEADER = ",".join(("time", "seconds", *COLUMNS))
REST = "," * len(COLUMNS)


@pytest.mark.parametrize(
    "data",
    [
        b"", b"time,seconds\n1,2\n", b"\xff", b"x" * (MAX_BYTES + 1), f"{HEADER}\n1,2\n".encode(),
        f"{HEADER}\n,1{REST}\n".encode(), f"{HEADER}\nnan,1{REST}\n".encode(),
        f"{HEADER}\n1,-1{REST}\n".encode(), f"{HEADER}\n1,1,=cmd(){REST[1:]}\n".encode(),
        f"{HEADER}\n1,1,inf{REST[1:]}\n".encode(),
        (f"{HEADER}\n" + f"1,1{REST}\n" * (MAX_ROWS + 1)).encode(),
    ],
)  # fmt: skip
def test_what_is_no_series_is_refused(data: bytes) -> None:
    with pytest.raises(BadInput, match="measurements"):
        parse_series(data)


# looking

BURN = "import time; end = time.process_time() + {}\nwhile time.process_time() < end: pass"


def test_what_processes_used_that_have_ended_is_counted() -> None:
    """At least what the child burned, and no more than there are cores for."""
    sampler = Sampler({"CUDA_VISIBLE_DEVICES": ""})
    subprocess.run([sys.executable, "-c", BURN.format(0.55)], check=True)
    found = sampler.look()
    assert 0.5 <= of(found, "cores") * found.seconds < 1.5
    after = sampler.look()
    assert of(after, "cores") * after.seconds < 0.3  # it is not counted twice


def test_memory_and_disk_of_processes_below_are_counted(tmp_path: Path) -> None:
    sampler = Sampler({"CUDA_VISIBLE_DEVICES": ""})
    before = of(sampler.look(), "memory_mb")
    hold = "import sys; held = b'x' * 100_000_000; print(len(held), flush=True); sys.stdin.read()"
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", hold], **pipes) as child:
        child.stdout.readline()
        found = sampler.look()
        child.stdin.close()
    assert of(found, "memory_mb") - before > 95
    assert of(found, "processes") >= 2
    assert 0 < of(found, "node_memory_percent") <= 100
    assert 0 <= of(found, "node_cpu_percent") <= 100


class FakeNvml(ModuleType):
    """NVIDIA's library with two cards, one of which is busy."""

    class NVMLError(Exception):
        """As the library's own."""

    def __init__(self, *, driver: bool = True) -> None:
        super().__init__("pynvml")
        self.driver, self.is_gone = driver, False

    def nvmlInit(self) -> None:
        if not self.driver:
            raise self.NVMLError

    def nvmlDeviceGetCount(self) -> int:
        return 2

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        if index > 1:
            raise self.NVMLError
        return index

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> int:
        return int(uuid.removeprefix("GPU-"))

    def nvmlDeviceGetUtilizationRates(self, handle: int) -> Any:
        if self.is_gone:
            raise self.NVMLError
        return SimpleNamespace(gpu=90 * handle)

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> Any:
        return SimpleNamespace(used=(handle + 1) * 10**9)


@pytest.mark.parametrize(
    ("environment", "seen"),
    [
        ({}, (45.0, 3000.0)),
        ({"CUDA_VISIBLE_DEVICES": "1"}, (90.0, 2000.0)),
        ({"CUDA_VISIBLE_DEVICES": "GPU-0, GPU-1"}, (45.0, 3000.0)),
        ({"CUDA_VISIBLE_DEVICES": ""}, None),
        ({"CUDA_VISIBLE_DEVICES": "7"}, None),
        ({"CUDA_VISIBLE_DEVICES": "none"}, None),
    ],
)
def test_only_the_gpus_of_the_job_are_asked(
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    seen: tuple[float, float] | None,
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml())
    assert Gpus(environment).look() == seen


def test_without_driver_or_library_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml(driver=False))
    assert Gpus({}).look() is None
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert Gpus({}).look() is None


def test_a_card_that_goes_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    nvml = FakeNvml()
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    sampler = Sampler({})
    assert of(sampler.look(), "gpu_percent") == 45.0
    nvml.is_gone = True
    assert sampler.look().values[COLUMNS.index("gpu_percent")] is None


# the monitor


class Looks:
    """Counts how often it was asked; fails or hangs where it is told to."""

    def __init__(self, error: Exception | None = None, seconds: float = 0.0) -> None:
        self.count, self.error, self.seconds = 0, error, seconds

    def look(self) -> Row:
        self.count += 1
        time.sleep(self.seconds)
        if self.error:
            raise self.error
        return row(time.time(), 0.01, cores=float(self.count))


def monitor(looks: Looks, saved: list[bytes] | None = None, interval: float = 0.01) -> Monitor:
    kept: list[bytes] = [] if saved is None else saved
    return Monitor(interval, looks, kept.append, WorkerLog())


def test_a_series_is_saved_while_it_grows() -> None:
    saved: list[bytes] = []
    watching = monitor(Looks(), saved)
    watching.start()
    wait_for(lambda: len(saved) >= 2)
    watching.close()
    sizes = [len(parse_series(data).rows) for data in saved]
    assert sizes == sorted(sizes) and sizes[-1] > sizes[0]


def test_looks_that_take_long_are_seldom() -> None:
    looks = Looks(seconds=0.02)
    watching = monitor(looks, interval=0.001)
    watching.start()
    time.sleep(0.5)
    watching.close()
    assert looks.count <= 2 + 0.5 / (50 * 0.02)


def test_what_cannot_be_measured_or_saved_is_said_once(
    capfd: pytest.CaptureFixture[str],
) -> None:
    def refuse(_data: bytes) -> None:
        raise StorageUnavailable("no answer")

    looks = Looks(RuntimeError("broken"))
    watching = Monitor(0.01, looks, refuse, WorkerLog())
    watching.start()
    wait_for(lambda: looks.count > 3)
    assert watching.facts(time.time()) == {}
    watching.close()
    assert capfd.readouterr().err.count("not measured") == 1


def test_a_driver_that_hangs_holds_up_no_item() -> None:
    hangs = threading.Event()

    class Hanging(Looks):
        def look(self) -> Row:
            hangs.set()
            time.sleep(2.5)
            return super().look()

    watching = monitor(Hanging())
    watching.start()
    hangs.wait(10)
    began = time.monotonic()
    assert watching.facts(time.time()) == {}
    assert time.monotonic() - began < 2.0
    watching.close()


# beside a job


def handed(root: Path, script: str, items: Sequence[str], interval: float) -> str:
    """The key of a handoff whose items each run a shell script."""
    handoff = Handoff(
        batch="b",
        dispatch="d",
        step="s",
        job="command",
        output_root=str(root),
        options={"command": ["sh", "-c", script]},
        items=tuple(HandoffItem(item=item, attempt=1) for item in items),
        monitoring_interval=interval,
    )
    key = BatchKeys("b").handoff("d")
    open_storage(str(root)).write(key, handoff.model_dump_json().encode())
    return key


def facts_of(root: Path, item: str) -> dict[str, Any]:
    keys = BatchKeys("b").attempt(item, "s", 1)
    found = parse_outcome(open_storage(str(root)).read(keys.outcome))
    assert found is not None
    return found.facts


@pytest.mark.parametrize("script", ["exit 0", "sleep 0.3; exit 1"])
def test_each_item_carries_what_it_used(tmp_path: Path, script: str) -> None:
    run_worker(str(tmp_path), handed(tmp_path, script, ["one", "two"], interval=0.1))
    for item in ("one", "two"):
        resources = facts_of(tmp_path, item)["resources"]
        assert resources["memory_mb"]["peak"] >= resources["memory_mb"]["mean"] > 1
        assert resources.keys() <= set(COLUMNS)
    series = parse_series(open_storage(str(tmp_path)).read(BatchKeys("b").usage("d")))
    assert series.rows and all(each.seconds > 0 for each in series.rows)


def test_an_item_that_burns_is_told_from_one_that_sleeps(tmp_path: Path) -> None:
    """All but the last half second is looked at, however seldom the busy machine lets it."""
    burn = f'"{sys.executable}" -c "{BURN.format(2.0)}"'
    run_worker(str(tmp_path / "burn"), handed(tmp_path / "burn", burn, ["one"], interval=0.1))
    run_worker(str(tmp_path / "sleep"), handed(tmp_path / "sleep", "sleep 2", ["one"], 0.1))
    facts = [facts_of(tmp_path / name, "one") for name in ("burn", "sleep")]
    burnt, slept = (each["resources"]["cores"]["mean"] * each["seconds"] for each in facts)
    assert burnt > 1.2 > slept  # seconds of a core


def test_nothing_is_measured_unasked(tmp_path: Path) -> None:
    run_worker(str(tmp_path), handed(tmp_path, "exit 0", ["one"], interval=0.0))
    assert "resources" not in facts_of(tmp_path, "one")
    assert open_storage(str(tmp_path)).size(BatchKeys("b").usage("d")) is None


# from the store to the log tree


class Measured(World):
    """A world whose jobs leave measurements."""

    def __init__(self, folder: Path, data: bytes) -> None:
        super().__init__(folder, count=2)
        self.data = data
        self.batch = replace(self.batch, monitoring_interval=1.0)
        self.start()

    def work(self, ending: Ending = DONE) -> int:
        for job in self.cluster.running():
            dispatch = self.cluster.jobs[job].spec.name
            self.storage.write(self.batch.keys.usage(dispatch), self.data)
        return super().work(ending)

    def brought_home(self) -> list[bytes]:
        return [path.read_bytes() for path in self.folder.glob("logs/**/resource_usage.csv")]


def test_measurements_come_home_as_numbers(tmp_path: Path) -> None:
    world = Measured(tmp_path, SERIES.to_csv())
    world.finish()
    assert set(world.brought_home()) == {SERIES.to_csv()}


@pytest.mark.parametrize("data", [b"=cmd()", b"\x00" * 9, b"9" * (MAX_BYTES + 1)])
def test_what_is_none_stays_where_it_is(tmp_path: Path, data: bytes) -> None:
    world = Measured(tmp_path, data)
    world.finish()
    assert world.brought_home() == []


@pytest.mark.parametrize("error", [StorageError("denied"), AccessRefused("denied")])
def test_measurements_that_cannot_be_read_hold_up_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    world = Measured(tmp_path, SERIES.to_csv())
    kind = type(world.storage)
    opened = kind.open

    def refused(storage: Storage, key: str) -> BinaryIO:
        if "/usage/" in key:
            raise error
        return opened(storage, key)

    monkeypatch.setattr(kind, "open", refused)
    world.finish()
    assert set(world.states().values()) == {"succeeded"} and world.brought_home() == []


# reports


def logs_with(tmp_path: Path, series: Series | bytes | None) -> Path:
    """Logs of one batch with two dispatches, each of which used this."""
    logs = LogBuilder(tmp_path / "logs")
    logs.submit("one", "two")
    for item in ("one", "two"):
        for step in ("translate", "score"):
            made = logs.dispatch(step, item, outcomes={item: outcome()}, ending=Ending(exit_code=0))
            if series is not None and step == "translate":
                data = series if isinstance(series, bytes) else series.to_csv()
                made.usage.write_bytes(data)
    return logs.root


def table_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text())))


def test_the_report_has_a_row_for_each_dispatch_and_step(tmp_path: Path) -> None:
    logs = logs_with(tmp_path, SERIES)
    report = local_reports(logs, run_list=None, report_dir=tmp_path / "r", batch=None)
    assert "aggregate_resource_usage.csv" in report.files
    rows = table_of(tmp_path / "r/aggregate_resource_usage.csv")
    assert [(r["step"], bool(r["dispatch"]), r["node"]) for r in rows] == [
        ("translate", True, "node-1"), ("translate", True, "node-1"), ("translate", False, ""),
    ]  # fmt: skip
    assert [float(r["cores_mean"]) for r in rows] == [4.0, 4.0, 4.0]
    assert [float(r["cores_max"]) for r in rows] == [5.0, 5.0, 5.0]
    assert rows[-1]["samples"] == "4" and float(rows[-1]["seconds"]) == 8.0
    assert float(rows[-1]["memory_mb_max"]) == 7.0 and rows[-1]["gpu_percent_mean"] == ""


def test_damaged_measurements_are_told_and_left_out(tmp_path: Path) -> None:
    logs = logs_with(tmp_path, b'"=cmd()"')
    report = local_reports(logs, run_list=None, report_dir=tmp_path / "r", batch=None)
    assert [note.file.endswith("resource_usage.csv") for note in report.notes] == [True, True]
    assert not (tmp_path / "r/aggregate_resource_usage.csv").exists()


def test_tensorboard_gets_the_run_diagnostics(tmp_path: Path) -> None:
    reading = pytest.importorskip("tensorboardX.proto.event_pb2")
    logs = logs_with(tmp_path, SERIES)
    for _ in range(2):  # the second takes the place of the first
        assert write_diagnostics(logs, None, tmp_path / "board") == 2
    [file] = (tmp_path / "board/Diagnostics").iterdir()
    found = [reading.Event.FromString(data) for data in records(file.read_bytes())]
    points = {
        (value.tag.split("/")[0], event.step, value.simple_value)
        for event in found
        for value in event.summary.value
    }
    assert points == {("cores", 1, 1.0), ("cores", 2, 5.0), ("memory_mb", 2, 7.0)}


def records(data: bytes) -> list[bytes]:
    """The records of an event file: 8 bytes length, 4 of a checksum, the record, 4 of another."""
    found, at = [], 0
    while at < len(data):
        length = int.from_bytes(data[at : at + 8], "little")
        found.append(data[at + 12 : at + 12 + length])
        at += 16 + length
    return found


def test_without_measurements_or_library_tensorboard_gets_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match="measured"):
        write_diagnostics(logs_with(tmp_path / "a", None), None, tmp_path / "board")
    monkeypatch.setitem(sys.modules, "tensorboardX.writer", None)
    with pytest.raises(UsageError) as caught:
        write_diagnostics(logs_with(tmp_path / "b", SERIES), None, tmp_path / "board")
    assert "coordinator[monitor]" in caught.value.hint
