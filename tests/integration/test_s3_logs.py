"""A log tree that lies in a bucket is read from there."""

import json
from pathlib import Path

import pytest

from coordinator.cli import main
from coordinator.domain.states import FailureKind
from coordinator.storage import open_storage
from tests.log_trees import LogBuilder

pytestmark = [pytest.mark.needs_s3]


@pytest.fixture
def logs(tmp_path: Path) -> LogBuilder:
    logs = LogBuilder(tmp_path / "logs")
    logs.submit("a", "b", "c")
    logs.through("a")
    logs.fail("translate", "b", FailureKind.MODEL_ERROR, "no length")
    return logs


def put(folder: Path, address: str) -> None:
    storage = open_storage(address)
    for path in folder.rglob("*"):
        if path.is_file():
            storage.upload(path, str(path.relative_to(folder)))


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "place"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize("below", ["", "/b"])
def test_it_is_read_as_from_a_folder(
    place: Path, logs: LogBuilder, s3_bucket: str, below: str, capsys: pytest.CaptureFixture[str]
) -> None:
    address = f"s3://{s3_bucket}/kept/logs"
    put(logs.root, address)
    found = []
    for where in (address + below, f"{logs.root}{below}"):
        assert main(["report", "--log_dir", where, "--json"]) == 0
        found.append(json.loads(capsys.readouterr().out)["report"])
        assert (place / "local-reports/b/unique_fail_item_names.txt").read_text() == "b\n"
    there, here = found
    assert there["log_dir"] == address + below
    assert all(there[name] == here[name] for name in ("counts", "kinds", "groups", "files"))


def test_an_empty_prefix_is_said(s3_bucket: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "--log_dir", f"s3://{s3_bucket}/nothing"]) == 2
    assert f"there are no logs at s3://{s3_bucket}/nothing" in capsys.readouterr().err


def test_keys_that_are_no_paths_are_refused(
    logs: LogBuilder, s3_bucket: str, capsys: pytest.CaptureFixture[str]
) -> None:
    address = f"s3://{s3_bucket}/kept"
    put(logs.root, address)
    open_storage(address).write("b/translate/x\u202ey/dispatch.json", b"{}")
    assert main(["report", "--log_dir", address]) == 2
    said = capsys.readouterr().err
    assert "not a plain path" in said
    assert "\u202e" not in said


def test_of_other_batches_nothing_is_fetched(
    logs: LogBuilder, s3_bucket: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nor is it looked at: what cannot be a path here stops nobody who asks for another."""
    address = f"s3://{s3_bucket}/kept"
    put(logs.root, address)
    open_storage(address).write("other/translate/x\u202ey/dispatch.json", b"{}")
    assert main(["report", "--log_dir", address, "--json"]) == 2
    capsys.readouterr()
    assert main(["report", "b", "--log_dir", address, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["report"]["counts"]["succeeded"] == 1
    for name in ("other", "../b"):
        assert main(["report", name, "--log_dir", address, "--json"]) == 2
        assert "not a plain path" in capsys.readouterr().out
