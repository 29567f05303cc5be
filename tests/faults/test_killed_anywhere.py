"""Killed at any system call, and again while it recovers: nothing is lost, nothing runs twice."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.contract.leftovers import end_jobs
from tests.faults.points import Nursery, Point, failing, nursery
from tests.faults.small_batch import NAMES, assert_each_ran_once, rows, text_of, witnessed

EVERY = 7  # of the points, where there is no time for all


@pytest.fixture(scope="module")
def started() -> Iterator[Nursery]:
    with nursery() as loaded:
        yield loaded


@pytest.fixture(autouse=True)
def nothing_runs_on(tmp_path: Path) -> Iterator[None]:
    yield
    end_jobs(tmp_path)


def survives(nursery: Nursery, folder: Path, kills: Sequence[Point]) -> int:
    """Kill each of some starts, then let one come to its end; how many kills were met."""
    met = sum(nursery.run(folder, point.options) == -9 for point in kills)
    assert nursery.run(folder) == 0, (folder / "said").read_text()
    assert_each_ran_once(folder)
    assert (folder / "said").read_text() == ""
    return met


def sweep(nursery: Nursery, folder: Path, every: int) -> int:
    """Kills, one a run. A run that waits less makes fewer calls: some points are not met."""
    points = nursery.points(folder / "calm")[::every]
    met = [
        survives(nursery, folder / f"{number} {point}", [point])
        for number, point in enumerate(points)
    ]
    assert sum(met) > 0.8 * len(points)
    return sum(met)


def test_a_kill_at_any_system_call_loses_and_doubles_nothing(
    started: Nursery, tmp_path: Path
) -> None:
    assert sweep(started, tmp_path, EVERY) > 30


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_a_kill_at_every_system_call_loses_and_doubles_nothing(
    started: Nursery, tmp_path: Path, say: Callable[[str], None]
) -> None:
    say(f"\n{sweep(started, tmp_path, 1)} kills, one at each system call: nothing lost or doubled")


def recoveries(nursery: Nursery, folder: Path, every: int) -> int:
    """A kill amid the batch, then one at each point of the recovery, twice."""
    points = nursery.points(folder / "calm")
    middle = [point for point in points if point.call in ("pwrite64", "rename")][::3]
    met = 0
    for number, point in enumerate(points[::every]):
        first = middle[number % len(middle)]
        met += survives(nursery, folder / f"{number} {point}", [first, point, point])
    return met


def test_kills_during_recovery_converge(started: Nursery, tmp_path: Path) -> None:
    assert recoveries(started, tmp_path, 6 * EVERY) > 10


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_kills_at_every_system_call_of_a_recovery_converge(
    started: Nursery, tmp_path: Path, say: Callable[[str], None]
) -> None:
    say(f"\n{recoveries(started, tmp_path, 1)} kills, of batches and of their recoveries")


def test_a_power_cut_takes_the_jobs_too_and_costs_an_attempt_at_most(
    started: Nursery, tmp_path: Path
) -> None:
    points = [point for point in started.points(tmp_path / "calm") if point.call == "pwrite64"]
    for number, point in enumerate(points[len(points) // 2 :: 16]):
        folder = tmp_path / f"{number} {point}"
        assert started.run(folder, point.options) in (-9, 0)
        end_jobs(folder)
        assert started.run(folder) == 0, (folder / "said").read_text()
        assert rows(folder, "SELECT DISTINCT state FROM items") == [("succeeded",)]
        assert max(witnessed(folder).values()) == 1, "an attempt ran twice"
        assert max(number for (number,) in rows(folder, "SELECT number FROM attempts")) <= 2


def test_a_report_and_a_list_are_old_or_new_whenever_the_writer_is_killed(
    started: Nursery, tmp_path: Path
) -> None:
    points = started.points(tmp_path / "calm", "report")
    old, new = text_of("old"), text_of("new")
    for number, point in enumerate(points):
        folder = tmp_path / f"{number} {point}"
        (folder / "report").mkdir(parents=True)
        for name in (*NAMES, "list.txt"):
            (folder / "report" / name).write_text(old)
        assert started.run(folder, point.options, duty="report") == -9
        found = [(folder / "report" / name).read_text() for name in (*NAMES, "list.txt")]
        assert set(found) <= {old, new}
    assert len(points) > 10


def test_a_sync_that_fails_stops_at_once_and_is_built_on_by_nothing(
    started: Nursery, tmp_path: Path
) -> None:
    """What was not synced may be lost: no job is sent on the word of such a move, then or later."""
    for first in (1, 9, 10, 11, 14):
        folder = tmp_path / str(first)
        assert started.run(folder, failing("fdatasync", first)) == 3
        said = (folder / "said").read_text()
        assert "disk I/O error" in said and "--resume" in said and "Traceback" not in said
        (folder / "said").unlink()
        assert survives(started, folder, []) == 0
