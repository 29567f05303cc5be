"""The rule on skipping: by name outside CI, never inside it."""

from pathlib import Path

import pytest

from tests import support


def test_missing_program_skips_and_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "false")
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(support, "ADMIN_FOLDERS", ())
    with pytest.raises(pytest.skip.Exception, match=r"dockerd .* apt-get install docker\.io"):
        support.require_program("dockerd")


def test_missing_program_fails_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="allows no skipped test"):
        support.require_program("no-such-program")


def test_missing_data_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CI", "")
    monkeypatch.setenv(support.DATA_VARIABLE, str(tmp_path))
    with pytest.raises(pytest.skip.Exception, match="no some/file .* COORDINATOR_TEST_DATA"):
        support.require_data("some/file")


def test_data_that_is_there_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(support.DATA_VARIABLE, str(tmp_path))
    (tmp_path / "text").mkdir()
    assert support.require_data("text") == tmp_path / "text"
