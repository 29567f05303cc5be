"""Where a line ends, and where it does not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.domain.text import read_lines
from coordinator.errors import BadInput

CUTS_OF_SPLITLINES = "\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"", []),
        (b"\n", [""]),
        (b"\r\n", [""]),
        (b"a", ["a"]),
        (b"a\n", ["a"]),
        (b"a\n\n", ["a", ""]),
        (b"a\r\nb\n", ["a", "b"]),
        (b"a\rb\n", ["a\rb"]),
        (b"a\nb\r", ["a", "b\r"]),
        (b"a\r\r\n", ["a\r"]),
        (b"\xef\xbb\xbfa\n\xef\xbb\xbfb\n", ["a", "\ufeffb"]),
        (b"\xef\xbb\xbf", []),
    ],
)
def test_lines(data: bytes, lines: list[str]) -> None:
    assert read_lines(data) == lines


def test_only_a_newline_ends_a_line() -> None:
    sentence = f"a{CUTS_OF_SPLITLINES}b"
    assert len(sentence.splitlines()) > 1
    assert read_lines(f"{sentence}\nc\n".encode()) == [sentence, "c"]


@given(st.lists(st.text(st.characters(exclude_characters="\n\r", codec="utf-8"))))
def test_what_is_written_is_read(lines: list[str]) -> None:
    if lines and lines[0].startswith("\ufeff"):
        lines[0] = "x"
    assert read_lines("".join(f"{line}\n" for line in lines).encode()) == lines


def test_not_utf8_names_the_line() -> None:
    with pytest.raises(BadInput, match=r"line 3 is not UTF-8") as caught:
        read_lines(b"\xef\xbb\xbfa\nb\nc\xff\n")
    assert "0xff" in caught.value.why
