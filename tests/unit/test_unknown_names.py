"""Every verb that takes a batch, an item or a kind meets a wrong one with those that are near."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from coordinator.cli import main
from coordinator.clock import SystemClock
from coordinator.domain.items import WorkItem
from coordinator.ledger import Ledger
from tests.log_trees import LogBuilder
from tests.unit.test_why import Place

BATCHES = [
    "status my-btch",
    "status my-btch --watch",
    "status my-btch eng-fra",
    "plan my-btch",
    "why my-btch eng-fra",
    "logs my-btch eng-fra",
    "fetch my-btch --to there",
    "pause my-btch",
    "resume my-btch",
    "set my-btch --stop_threshold 3",
    "stop my-btch",
    "purge my-btch",
    "rm my-btch",
    "resubmit my-btch",
    "rerun my-btch --from one",
    "rescore my-btch",
    "credentials my-btch",
    "submit my-btch --resume",
    "report my-btch",
    "failures my-btch",
    "compare my-btch my-batch",
    "compare my-batch my-btch",
    "rebuild-ledger my-btch --output_root .",
]
ITEMS = [
    "status my-batch eng-frb",
    "why my-batch eng-frb",
    "logs my-batch eng-frb",
    "stop my-batch eng-frb",
    "resubmit my-batch eng-frb",
    "rerun my-batch eng-frb --from one",
]
KINDS = ["explain timeot", "resubmit my-batch --kind timeot", "failures my-batch --kind timeot"]


@pytest.fixture(scope="module")
def flags(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """Where a batch of twenty items is, and its logs."""
    folder = tmp_path_factory.mktemp("names")
    place = Place(folder)
    place.ledger.close()
    made = [(WorkItem(name), "") for name in ("eng-fra", *(f"item-{n}" for n in range(19)))]
    with closing(Ledger.open(place.folder, SystemClock(), read_only=True)) as ledger:
        record = {**ledger.record(), "batch": "my-batch"}
    Ledger.create(folder / "state/my-batch", SystemClock(), record, made).close()
    logs = LogBuilder(folder / "logs", batch="my-batch")
    logs.submit("eng-fra")
    logs.through("eng-fra", scores={"bleu": 30.0})
    yield [f"--state_dir={folder / 'state'}", f"--log_dir={folder / 'logs'}"]


def hint(line: str, flags: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main([*line.split(), *flags]) == 2
    return " ".join(capsys.readouterr().err.split())


def test_a_wrong_step_of_a_log(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    said = hint("logs my-batch eng-fra --step oen", flags, capsys)
    assert "my-batch has no step 'oen' try did you mean one?" in said


@pytest.mark.parametrize("line", BATCHES)
def test_a_wrong_batch(
    line: str,
    flags: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "did you mean my-batch" in hint(line, flags, capsys)


@pytest.mark.parametrize("line", ITEMS)
def test_a_wrong_item(line: str, flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert "did you mean eng-fra? There are 20 items in all" in hint(line, flags, capsys)


@pytest.mark.parametrize("line", KINDS)
def test_a_wrong_kind(line: str, flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    said = hint(line, flags, capsys)
    assert "'timeot' is no kind of failure" in said
    assert "did you mean timeout? There are 9 kinds in all; coordinator explain lists them" in said
