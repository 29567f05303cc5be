"""A file in place of a folder, and a file that is not there: the way on is said."""

from pathlib import Path

import pytest

from coordinator.cli import main
from tests.log_trees import LogBuilder


@pytest.fixture
def flags(tmp_path: Path) -> list[str]:
    logs = LogBuilder(tmp_path / "logs")
    logs.through("a")
    return [f"--log_dir={logs.root}", f"--state_dir={tmp_path}/state"]


@pytest.mark.parametrize("below", ["", "/deeper/still"])
@pytest.mark.parametrize("verb", ["report b --report_dir", "fetch b --to"])
def test_a_file_is_no_folder(
    verb: str, below: str, flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "a-file"
    file.write_text("mine\n")
    assert main([*verb.split(), f"{file}{below}", *flags]) == 2
    said = capsys.readouterr().err
    assert f"error: {file} is a file, not a folder\n  try   choose another" in said
    assert file.read_text() == "mine\n"


@pytest.mark.parametrize("flag", ["--run_list", "--rules", "--settings"])
def test_a_file_that_is_not_there_is_told_with_the_next_step(
    flag: str, flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", "b", flag, str(tmp_path / "nope"), *flags]) == 2
    said = capsys.readouterr().err
    assert "nope cannot be read\n  why   No such file or directory\n  try   " in said
