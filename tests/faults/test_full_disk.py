"""A disk that fills up: the batch waits or stops and says so, and goes on when there is room."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from coordinator.errors import UsageError
from coordinator.reports.files import write_report
from tests.contract.leftovers import end_jobs
from tests.faults.disks import fill, grow, small_disk
from tests.faults.points import Nursery, nursery
from tests.faults.small_batch import ITEMS, rows, witnessed

PLENTY = 5000  # kB


@pytest.fixture(scope="module")
def started() -> Iterator[Nursery]:
    with nursery() as loaded:
        yield loaded


@pytest.fixture(autouse=True)
def nothing_runs_on(tmp_path: Path) -> Iterator[None]:
    yield
    end_jobs(tmp_path)


def assert_goes_on(nursery: Nursery, folder: Path) -> None:
    """With room, the batch ends: every item once."""
    assert nursery.run(folder) == 0, said(folder)
    assert rows(folder, "SELECT DISTINCT state FROM items") == [("succeeded",)]
    assert witnessed(folder) == {f"{item} 1": 1 for item in ITEMS}


def said(folder: Path) -> str:
    return (folder / "said").read_text()


@pytest.mark.parametrize("part", ["state", "logs"])
def test_wherever_the_room_ends_nothing_is_lost(
    started: Nursery, tmp_path: Path, part: str
) -> None:
    """Disks of many sizes: each is full at another moment of the batch."""
    stopped = 0
    for size in range(8, 420, 28) if part == "state" else range(4, 60, 8):
        folder = tmp_path / str(size)
        with small_disk(folder / part, size):
            code = started.run(folder, patience=1.5)
            assert code in (0, 3), said(folder)
            stopped += code == 3
            assert "Traceback" not in said(folder) and "defect" not in said(folder)
            grow(folder / part, PLENTY)
            assert_goes_on(started, folder)
    assert stopped > 3


@pytest.mark.parametrize("part", ["state", "logs", "out"])
def test_a_disk_that_is_full_at_the_start_is_named(
    started: Nursery, tmp_path: Path, part: str
) -> None:
    folder = tmp_path / "b"
    with small_disk(folder / part, PLENTY):
        ballast = fill(folder / part)
        assert started.run(folder, patience=1.5) == 3
        assert "No space left" in said(folder) or "disk is full" in said(folder)
        assert str(folder) in said(folder)
        ballast.unlink()
        assert_goes_on(started, folder)


def test_a_report_is_old_or_new_where_there_is_no_room(tmp_path: Path) -> None:
    names = [f"list-{n}.txt" for n in range(8)]
    old, new = (dict.fromkeys(names, word * 4000) for word in ("old\n", "new\n"))
    with small_disk(tmp_path / "disk", 300) as disk:
        write_report(disk / "report", old)
        ballast = fill(disk)
        with pytest.raises(UsageError, match="cannot be written") as caught:
            write_report(disk / "report", new)
        assert "No space left" in caught.value.why and "free some space" in caught.value.hint
        kept = {path.name: path.read_text() for path in (disk / "report").iterdir()}
        assert kept.keys() == old.keys()
        assert all(text in (old[name], new[name]) for name, text in kept.items())
        ballast.unlink()
        write_report(disk / "report", new)
        assert {path.name: path.read_text() for path in (disk / "report").iterdir()} == new
