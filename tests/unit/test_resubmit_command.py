"""What `resubmit` says before anything runs again."""

import json
from pathlib import Path

import pytest

from coordinator.cli import main
from tests.fakes import HandClock
from tests.ledgers import Hand, make_batch


@pytest.fixture
def state(tmp_path: Path) -> str:
    """A batch of twelve: eleven are slow, and one has no luck with its model."""
    clock = HandClock()
    make_batch(tmp_path, clock, count=12)
    hand = Hand(tmp_path, clock)
    slow = [f"i{n}" for n in range(1, 12)]
    hand.end(hand.send(1), ["i0"])
    hand.end(hand.send(11), slow, "timeout")
    return f"--state_dir={tmp_path}/state"


def test_a_dry_run_names_the_first_items_with_their_kinds(
    state: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["resubmit", "b", "--dry-run", state]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[:3] == [
        "12 items of b would run again; nothing else is touched",
        "  i0  model_error",
        "  i1  timeout",
    ]
    assert said[11:] == ["  and 2 more; --as-list FILE writes them all"]
    assert main(["resubmit", "b", "i3", "--dry-run", "--json", state]) == 0
    assert json.loads(capsys.readouterr().out)["items"] == ["i3"]


@pytest.mark.parametrize("flags", [[], ["--dry-run"]])
def test_where_nothing_fits_it_says_what_failed(
    flags: list[str], state: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["resubmit", "b", "--kind", "lost", state, *flags]) == 0
    said = "0 items of b would run again; what failed is 1 x model_error, 11 x timeout\n"
    assert capsys.readouterr().out == said


def test_one_item_that_cannot_run_again_is_one(
    state: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["resubmit", "b", "i99", state]) == 2
    assert "error: 1 of the items cannot be resubmitted in b" in capsys.readouterr().err
