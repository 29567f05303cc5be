"""Environments that lack what is taken for granted: a batch works there, or says what it needs."""

import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.batches import COORDINATOR
from tests.faults.disks import fill, small_disk
from tests.support import require_root

pytestmark = pytest.mark.timeout(180)

PIPELINE = """
name: act
steps:
  - name: act
    job: command
    outputs: [stdout.txt]
    pack: {size: 2}
    options: {command: [echo, "{property.what}"]}
"""
ITEMS = """{"id": "grüße-日本", "properties": {"what": "Grüße"}}
{"id": "plain", "properties": {"what": "plain"}}
{"id": "third", "properties": {"what": "third"}}
"""
SUBMIT = ("submit", "b", "--pipeline", "p.yml", "--catalog", "items.ndjson")
AS_NOBODY = """
import os, sys
from coordinator.cli import main, streams
from coordinator.cli.app import whole_app
whole_app()  # an interpreter in a home folder is out of reach afterwards
os.setuid(54321)  # no list knows it
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return prepared(tmp_path / "work")


def prepared(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "p.yml").write_text(PIPELINE, "utf-8")
    (folder / "items.ndjson").write_text(ITEMS, "utf-8")
    return folder


def bare(folder: Path, **variables: str) -> dict[str, str]:
    """Next to nothing: no HOME, no USER, no TERM, no LANG."""
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    return {**kept, "COORDINATOR_STATE_DIR": str(folder / "state"), **variables}


def run(
    folder: Path, *arguments: str, env: dict[str, str] | None = None, **more: Any
) -> subprocess.CompletedProcess[str]:
    """In a session of its own, and so without a terminal."""
    return subprocess.run(
        [str(COORDINATOR), *arguments],
        cwd=folder,
        env=bare(folder) if env is None else env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        start_new_session=True,
        check=False,
        **more,
    )


def assert_done(folder: Path, done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    for item, words in {"grüße-日本": "Grüße\n", "plain": "plain\n", "third": "third\n"}.items():
        left = folder / "outputs" / "b" / "items" / item / "stdout.txt"
        assert left.read_text("utf-8") == words


def test_no_home_no_terminal_and_no_user(folder: Path) -> None:
    done = run(folder, *SUBMIT)
    assert_done(folder, done)
    assert "3 items  =  3 succeeded" in done.stdout
    assert run(folder, "pause", "b").returncode == 0


def test_nowhere_to_keep_a_batch_is_said(folder: Path) -> None:
    """Neither HOME nor an entry in the list of users, and no folder was given."""
    require_root("run as a user that no list knows")
    folder.chmod(0o777)
    env = bare(folder)
    del env["COORDINATOR_STATE_DIR"]
    done = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, *SUBMIT],
        cwd=folder,
        env=env,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "no home folder" in done.stderr and "--state_dir" in done.stderr
    assert sorted(path.name for path in folder.iterdir()) == ["items.ndjson", "p.yml"]


@pytest.mark.parametrize(
    "variables",
    [{"LC_ALL": "C"}, {"LC_ALL": "xx_XX.nothing"}, {"PYTHONIOENCODING": "ascii"}],
    ids=str,
)
def test_any_locale(folder: Path, variables: dict[str, str]) -> None:
    env = bare(folder, **variables)
    assert_done(folder, run(folder, *SUBMIT, env=env))
    shown = run(folder, "resubmit", "b", "grüße-日本", env=env)
    assert shown.returncode == 2, shown.stderr
    assert "grüße-日本: did not fail" in shown.stderr or "gr\\xfc\\xdfe" in shown.stderr


def test_a_folder_that_cannot_be_written(folder: Path, tmp_path: Path) -> None:
    with small_disk(tmp_path / "readonly", 200) as disk:
        prepared(disk)
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        refused = run(disk, *SUBMIT, env=bare(tmp_path))
        assert refused.returncode == 2, refused.stderr
        assert "--output_root outputs cannot be written" in refused.stderr
        assert "local-logs cannot be written" in refused.stderr
        assert not (tmp_path / "state").exists()
        elsewhere = ("--output_root", str(folder / "outputs"), "--log_dir", str(folder / "logs"))
        assert_done(folder, run(disk, *SUBMIT, *elsewhere, env=bare(tmp_path)))


def test_a_full_folder_for_temporary_files(folder: Path, tmp_path: Path) -> None:
    """Another is taken."""
    with small_disk(tmp_path / "tmp", 20) as disk:
        fill(disk)
        assert_done(folder, run(folder, *SUBMIT, env=bare(folder, TMPDIR=str(disk))))


def test_an_open_umask_opens_nothing_that_matters(folder: Path) -> None:
    assert_done(folder, run(folder, *SUBMIT, umask=0))
    for path in (folder / "state" / "b" / "ledger.db", folder / "state" / "b" / "driver.lock"):
        assert path.stat().st_mode & 0o022 == 0


def test_few_file_descriptors(folder: Path) -> None:
    def few() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))

    assert_done(folder, run(folder, *SUBMIT, "--slots", "3", preexec_fn=few))


def closing(*descriptors: int) -> Callable[[], None]:
    def close() -> None:
        for descriptor in descriptors:
            os.close(descriptor)

    return close


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)], ids=str)
def test_closed_streams_write_into_nothing_else(folder: Path, closed: tuple[int, ...]) -> None:
    """A file that is opened where standard output was would be written to."""
    done = subprocess.run(
        [str(COORDINATOR), *SUBMIT],
        cwd=folder,
        env=bare(folder),
        preexec_fn=closing(*closed),
        stdout=None if 1 in closed else subprocess.PIPE,
        stderr=None if 2 in closed else subprocess.PIPE,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    assert not any(b"3 items  =  " in data for data in found)
    again = run(folder, "status", "b")
    assert "3 items  =  3 succeeded" in again.stdout, again.stderr


def test_a_result_that_cannot_be_printed_is_no_success(folder: Path) -> None:
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run(
            [str(COORDINATOR), "ls", "--json"],
            cwd=folder,
            env=bare(folder),
            stdout=full,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            check=False,
        )
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr and "defect" not in done.stderr
    assert "cannot be written" in done.stderr
