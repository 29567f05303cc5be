"""Tables as a file or another program gets them, and in a narrow terminal."""

from pathlib import Path

import pytest
from rich.table import Table

from coordinator.cli import main
from coordinator.cli.outlook import models_a_day
from coordinator.cli.output import Output
from coordinator.cli.verbs_explain import reasons_table
from coordinator.commands.reasons import Reason
from tests.fakes import HandClock
from tests.ledgers import Hand, make_batch


def test_no_line_of_a_table_ends_in_blanks(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("item", "reason", box=None, pad_edge=False)
    table.add_row("a", "a long reason")
    table.add_row("b", "")
    Output().result({}, table, "the end")
    assert capsys.readouterr().out == "item  reason\na     a long reason\nb\nthe end\n"


def test_a_long_path_is_never_cut(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    path = f"/logs/{'x' * 100}/worker.stderr.0"
    Output().result({}, reasons_table((Reason("home", f"see {path}", "read it"),)))
    shown = capsys.readouterr().out
    assert path in "".join(line[7:] for line in shown.split("\n"))
    assert "…" not in shown


@pytest.mark.parametrize("line", ["status b i0", "status b --failed"])
def test_of_what_failed_nothing_is_cut_in_a_narrow_terminal(
    line: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = HandClock()
    make_batch(tmp_path, clock)
    hand = Hand(tmp_path, clock)
    kind = "out_of_memory"
    hand.end(hand.send(1), ["i0"], kind)
    monkeypatch.setenv("COLUMNS", "60")
    assert main([*line.split(), f"--state_dir={tmp_path}/state"]) == 0
    shown = capsys.readouterr().out
    assert "…" not in shown
    lines = shown.splitlines()
    header, *rows = lines[next(n for n, text in enumerate(lines) if "reason" in text) :]
    at, end = header.index("reason"), header.index("dispatch") if "dispatch" in header else None
    reason = "".join(row[at:end].replace(" ", "") for row in rows)
    assert reason == f"no luck with {kind}".replace(" ", "")


@pytest.mark.parametrize(
    ("number", "shown"), [(2.8234, "2.82"), (35.06, "35.1"), (99.99, "100"), (20571.4, "20,571")]
)
def test_models_a_day_are_a_number_that_one_can_read(number: float, shown: str) -> None:
    assert models_a_day(number) == shown
