"""Text files of one sentence a line: one way to cut them, for the check, the model and the scores.

`str.splitlines` also cuts at U+2028, U+0085, vertical tab and others that occur inside sentences,
so it would shift every line below. Here only a newline ends a line.
"""

import codecs

from coordinator.errors import BadInput


def read_lines(data: bytes) -> list[str]:
    r"""The lines of `data`, without their ends (`\n` or `\r\n`; the last end may be missing).

    A byte order mark at the start is left out. No data gives no lines; empty lines are kept.

    Raises:
        BadInput: not UTF-8; the message names the line, not the file.
    """
    try:
        text = data.removeprefix(codecs.BOM_UTF8).decode("utf-8")
    except UnicodeDecodeError as error:
        raise _not_utf8(error) from error
    if not text:
        return []
    lines = text.removesuffix("\n").split("\n")
    if "\r" not in text:
        return lines
    ended = len(lines) if text.endswith("\n") else len(lines) - 1
    return [line.removesuffix("\r") for line in lines[:ended]] + lines[ended:]


def is_whole(text: str) -> bool:
    """Whether it can be written as UTF-8: JSON can spell half a character, a lone surrogate."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _not_utf8(error: UnicodeDecodeError) -> BadInput:
    line = error.object.count(b"\n", 0, error.start) + 1
    return BadInput(
        f"line {line} is not UTF-8",
        why=f"byte 0x{error.object[error.start]:02x} cannot stand there",
        hint="convert the file to UTF-8, e.g. with iconv",
    )
