"""Tables as a file or another program gets them, and in a narrow terminal."""

import pytest
from rich.table import Table

from coordinator.cli.outlook import models_a_day
from coordinator.cli.output import Output
from coordinator.cli.verbs_explain import reasons_table
from coordinator.commands.reasons import Reason


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


@pytest.mark.parametrize(
    ("number", "shown"), [(2.8234, "2.82"), (35.06, "35.1"), (99.99, "100"), (20571.4, "20,571")]
)
def test_models_a_day_are_a_number_that_one_can_read(number: float, shown: str) -> None:
    assert models_a_day(number) == shown
