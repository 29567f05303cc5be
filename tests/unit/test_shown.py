import csv
import io

import pytest

from coordinator.domain.shown import for_csv, for_terminal


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("\x1b[2J\x1b[31mred", r"\x1b[2J\x1b[31mred"),
        ("a\rb\nc\td", r"a\rb\nc\td"),
        ("\x9b31m", r"\x9b31m"),
        ("\x00\x7f", r"\x00\x7f"),
        ("evil\u202etxt.exe", r"evil\u202etxt.exe"),
        ("\u2066isolate\u2069\u200e", r"\u2066isolate\u2069\u200e"),
        ("line\u2028separator", r"line\u2028separator"),
        ("\ud800", r"\ud800"),
        ("\U000e0041", r"\U000e0041"),
        ("naïve 漢字 می\u200cشود", "naïve 漢字 می\u200cشود"),
    ],
)
def test_what_a_terminal_would_act_on_is_written_out(text: str, shown: str) -> None:
    assert for_terminal(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "=cmd|'/C calc'!A0",
        "+1",
        "-1+1",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "  =1",
        "\n=1",
        "＝1",
    ],
)
def test_a_formula_becomes_text(text: str) -> None:
    assert for_csv(text).startswith("'")


@pytest.mark.parametrize("text", ["a=b", "eng-fra", "", "a-1", "3.5", "it's", 'say "hi", twice'])
def test_other_text_stays_as_it_is(text: str) -> None:
    assert for_csv(text) == text


def test_a_cell_stays_on_one_line_through_the_csv_module() -> None:
    out = io.StringIO()
    csv.writer(out).writerow([for_csv('a,"b"\r\nc;=1'), for_csv("=1")])
    assert out.getvalue().count("\n") == 1
    assert next(csv.reader([out.getvalue()])) == [r'a,"b"\r\nc;=1', "'=1"]
