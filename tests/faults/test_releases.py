"""What released versions left is opened, upgraded, resumed and reported by the code of today."""

import json
import re
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from coordinator.cli import main
from coordinator.clock import SystemClock
from coordinator.commands.record import record_of
from coordinator.domain.states import ItemState
from coordinator.errors import LedgerError
from coordinator.ledger import FILE, Ledger, PortableLedger
from coordinator.ledger.ledger import VERSION
from tests.acceptance.batches import Workplace

RELEASES = Path(__file__).parent.parent / "data" / "releases"
FORMATS = sorted(path.name for path in RELEASES.glob("format-*"))
PLACE = "/batches"  # in what is stored, for the folder that it was made in

Restored = Callable[[str], Path]


@dataclass(frozen=True)
class User:
    """Runs verbs in `tmp_path`, in this process: making a new one for each takes longer."""

    capfd: pytest.CaptureFixture[str]

    def says(self, *arguments: str) -> tuple[int, str]:
        """A verb's exit code, and all that it prints."""
        self.capfd.readouterr()
        code = main(list(arguments))
        return code, "".join(self.capfd.readouterr())


@pytest.fixture
def user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> User:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COORDINATOR_STATE_DIR", str(tmp_path / "state"))
    return User(capfd)


@pytest.fixture(params=FORMATS)
def release(request: pytest.FixtureRequest) -> Path:
    return RELEASES / str(request.param)


@pytest.fixture
def restored(release: Path, tmp_path: Path) -> Restored:
    """Puts a stored ledger in place below `tmp_path`; its folder."""

    def restore(batch: str) -> Path:
        folder = tmp_path / "state" / batch
        folder.mkdir(parents=True)
        text = (release / f"{batch}.sql").read_text("utf-8").replace(PLACE, str(tmp_path))
        with closing(sqlite3.connect(folder / FILE)) as db:
            db.executescript(text)
            db.execute("PRAGMA journal_mode = WAL")  # as a ledger's is; no dump tells that
        return folder

    return restore


def opened(folder: Path, *, read_only: bool = False) -> Ledger:
    return Ledger.open(folder, SystemClock(), read_only=read_only)


def format_of(folder: Path) -> int:
    with closing(sqlite3.connect(folder / FILE)) as db:
        return int(db.execute("SELECT value FROM batch WHERE key = 'version'").fetchone()[0])


def content(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Every row of every table but the format and what was not there before."""
    with closing(sqlite3.connect(folder / FILE)) as db:
        db.row_factory = sqlite3.Row
        tables = db.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY 1")
        found = {
            name: [dict(row) for row in db.execute(f"SELECT * FROM {name} ORDER BY 1, 2")]
            for (name,) in tables.fetchall()
        }
    found["batch"] = [row for row in found["batch"] if row["key"] != "version"]
    return found


def test_there_is_a_stored_ledger_of_every_format() -> None:
    assert [int(name.removeprefix("format-")) for name in FORMATS] == list(range(1, VERSION + 1))


def test_stored_ledgers_are_of_their_format(release: Path, restored: Restored) -> None:
    assert format_of(restored("done")) == int(release.name.removeprefix("format-"))


@pytest.mark.parametrize("batch", ["done", "half"])
def test_reading_changes_nothing(restored: Restored, batch: str) -> None:
    folder = restored(batch)
    before = (folder / FILE).read_bytes()
    ledger = opened(folder, read_only=True)
    told(ledger)
    ledger.close()
    assert (folder / FILE).read_bytes() == before


@pytest.mark.parametrize("batch", ["done", "half"])
def test_an_upgrade_keeps_every_row(restored: Restored, batch: str) -> None:
    folder = restored(batch)
    before = content(folder)
    reader = opened(folder, read_only=True)
    said = told(reader)
    reader.close()
    for _ in range(2):  # the second finds nothing to do
        ledger = opened(folder)
        assert told(ledger) == said
        ledger.close()
        after = content(folder)
        assert format_of(folder) == VERSION
        assert after.keys() >= before.keys()
        for table, rows in before.items():
            kept = [
                {column: now[column] for column in row}
                for row, now in zip(rows, after[table], strict=True)
            ]
            assert kept == rows


def told(ledger: Ledger) -> list[str]:
    """All that a ledger can be asked."""
    record = record_of(ledger)
    items = list(ledger.items(*ItemState))
    dispatches = [row for item in items for row in ledger.history(item.id)]
    sent = sorted({row["dispatch"] for row in dispatches if row["dispatch"]})
    attempts = [ledger.attempts_of(ledger.dispatch(number)) for number in sent]
    portable = PortableLedger(ledger)
    parts = (
        record, items, dispatches, attempts, ledger.tally(), ledger.out(), list(ledger.events()),
        [ledger.published(item.id) for item in items], list(ledger.item_ids()),
        ledger.was_paused(),
        list(ledger.purgeable(include_running=True)), portable.lineage, portable.has_gap,
    )  # fmt: skip
    return [str(part) for part in parts]


def test_what_they_tell_is_right(restored: Restored) -> None:
    ledger = opened(restored("done"))
    items = {row.id: (row.state, row.kind) for row in ledger.items(*ItemState)}
    failed, no_data = (ItemState.FAILED, "bad_input"), (ItemState.SUCCEEDED, None)
    assert items["bad-1"] == failed
    assert items["fine-1"] == items["fine-2"] == no_data
    assert ledger.out() == [] and "count.txt" in ledger.published("fine-2")
    ledger.close()


@pytest.mark.parametrize("batch", ["done", "half"])
def test_they_can_be_asked_what_they_take(restored: Restored, user: User, batch: str) -> None:
    restored(batch)
    code, said = user.says("plan", batch)
    assert (code, said.startswith(f"batch      {batch}")) == (0, True), said


def test_a_saved_copy_goes_on_as_a_ledger_of_today(restored: Restored, tmp_path: Path) -> None:
    ledger = opened(restored("half"), read_only=True)
    copy = tmp_path / "ledger.db.fetched"
    PortableLedger(ledger).backup(copy)
    said = told(ledger)
    ledger.close()
    fetched = Ledger.at(copy, SystemClock())
    assert told(fetched) == said
    assert PortableLedger(fetched).begin_lineage(gap=True) == PortableLedger(fetched).lineage
    fetched.close()


def test_a_batch_that_was_killed_goes_on_to_its_end(
    release: Path, restored: Restored, tmp_path: Path, user: User
) -> None:
    folder = restored("half")
    shutil.copytree(release / "outputs", tmp_path / "outputs" / "half")
    place = Workplace(tmp_path)
    done = place.resume("half")
    assert done.returncode == 0, done.stderr
    batch = place.batch("half")
    assert {row["state"] for row in batch.rows("SELECT state FROM items")} == {"succeeded"}
    assert batch.count("attempts WHERE state IN ('claimed', 'submitted', 'running')") == 0
    assert format_of(folder) == VERSION
    for verb in (("status", "half"), ("logs", "half", "fine-3"), ("report", "half"), ("ls",)):
        code, text = user.says(*verb)
        assert code == 0, text


def test_a_report_over_a_stored_tree_says_what_it_said(
    release: Path, tmp_path: Path, user: User
) -> None:
    shutil.copytree(release / "logs", tmp_path / "local-logs" / "done")
    code, text = user.says("report", "done")
    assert code == 0, text
    then, now = (lists(folder) for folder in (release / "reports", tmp_path / "local-reports"))
    assert {name: now.get(name) for name in then} == then
    assert then["fail_bad_input.txt"] == "bad-1\n"


def lists(folder: Path) -> dict[str, str]:
    """Of items: name -> content."""
    return {path.name: path.read_text() for path in folder.rglob("*.txt")}


NEWER = {
    "a ledger": ("batch SET value = '99' WHERE key = 'version'", "newer coordinator (format 99)"),
    "no ledger": ("batch SET value = 'soon' WHERE key = 'version'", "its version is 'soon'"),
}


@pytest.mark.parametrize("what", NEWER)
def test_what_is_newer_is_refused_with_a_sentence(
    restored: Restored, user: User, what: str
) -> None:
    change, sentence = NEWER[what]
    folder = restored("done")
    with closing(sqlite3.connect(folder / FILE)) as db, db:
        db.execute(f"UPDATE {change}")
    before = (folder / FILE).read_bytes()
    for read_only in (True, False):
        with pytest.raises(LedgerError, match=re.escape(sentence)) as caught:
            opened(folder, read_only=read_only)
        assert caught.value.hint
    for verb in (("status", "done"), ("resubmit", "done"), ("logs", "done", "bad-1")):
        code, text = user.says(*verb)
        assert code == 3 and sentence in text and "  try " in text
        assert "Traceback" not in text
    assert (folder / FILE).read_bytes() == before


@pytest.mark.parametrize("name", ["batch.json", "dispatch.json", "outcomes/fine-1.json"])
def test_a_newer_log_tree_is_no_crash(release: Path, tmp_path: Path, user: User, name: str) -> None:
    tree = tmp_path / "local-logs" / "done"
    shutil.copytree(release / "logs", tree)
    (path, *_) = tree.rglob(name)
    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, "format": 99, "what": "nobody knows yet"}))
    code, text = user.says("report", "done")
    assert code in (0, 1, 2), text
    assert "Traceback" not in text and "defect" not in text
