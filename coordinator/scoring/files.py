"""The two texts that are scored, read and checked."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from coordinator.domain.text import is_whole, read_lines
from coordinator.errors import BadInput, Problem

_SHOWN = 10  # faulty lines named in one message: one missing line makes all below it faulty


@contextmanager
def about(name: str) -> Iterator[None]:
    """Put `name` in front of what a BadInput from inside says."""
    try:
        yield
    except BadInput as error:
        raise BadInput(
            f"{name}: {error.what}", why=error.why, hint=error.hint, problems=error.problems
        ) from None


def read_file(path: Path, hint: str = "check the path") -> bytes:
    """The bytes of a file.

    Raises:
        BadInput: it cannot be read; `hint` says what to check.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        why = error.strerror or str(error)
        raise BadInput(f"{path} cannot be read", why=why, hint=hint) from error


@dataclass(frozen=True)
class Text:
    """Sentences, and the hash of the file that they came from.

    White space at the end of a sentence is dropped, as sacrebleu's command line does.
    """

    sentences: list[str]
    sha256: str


def read_hypotheses(path: Path, *, jsonl: bool) -> Text:
    """The translations in a file of JSON lines (see `read_translations`), or else one a line.

    Raises:
        BadInput: the file cannot be used.
    """
    with about("translations"):
        data = read_file(path)
        return _text(read_translations(data) if jsonl else read_lines(data), data)


def read_reference(path: Path) -> Text:
    """The sentences of a text file, one a line.

    Raises:
        BadInput: the file cannot be read, is not UTF-8, or holds nothing but white space.
    """
    with about("reference"):
        data = read_file(path)
        text = _text(read_lines(data), data)
        if not any(text.sentences):
            raise BadInput("the text is empty", why="there is nothing to compare with")
        return text


def read_source(path: Path) -> Text:
    """The sentences that were translated, one a line; they are only compared with.

    Raises:
        BadInput: the file cannot be read, or is not UTF-8.
    """
    with about("source"):
        data = read_file(path)
        return _text(read_lines(data), data)


def read_translations(data: bytes) -> list[str]:
    """The translations in `translations.jsonl`: `{"line": 1, "translation": "..."}` and so on.

    Other keys are left alone. Lines must be numbered from 1 in order, so that a cut or shuffled
    file is never scored.

    Raises:
        BadInput: the faulty lines, the first ten by number.
    """
    lines = read_lines(data)
    read = [_translation(number, line) for number, line in enumerate(lines, start=1)]
    problems = [found for found in read if isinstance(found, Problem)]
    if problems:
        raise _faulty(problems, len(lines))
    return [found for found in read if isinstance(found, str)]


def _translation(number: int, line: str) -> str | Problem:
    """The translation on one line, or what is wrong with it."""
    where = f"line {number}"
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return Problem(where, "not JSON; the file may be cut off")
    if not isinstance(record, dict):
        return Problem(where, "not a JSON object")
    if "line" not in record:
        return Problem(where, "no number", field="line")
    if type(record["line"]) is not int or record["line"] != number:
        return Problem(where, f"not numbered {number}", field="line")
    text = record.get("translation")
    if not isinstance(text, str):
        return Problem(where, "no text", field="translation")
    if not is_whole(text):
        return Problem(where, "half a surrogate pair, which is no character", field="translation")
    return text


def _faulty(problems: list[Problem], lines: int) -> BadInput:
    left_out = len(problems) - _SHOWN
    shown = "; ".join(str(problem) for problem in problems[:_SHOWN])
    return BadInput(
        f"{len(problems)} of {lines} lines cannot be used",
        why=shown + (f"; and {left_out} more" if left_out > 0 else ""),
        hint='a line is {"line": NUMBER, "translation": TEXT}; if one is cut off, translate again',
        problems=problems[:_SHOWN],
    )


def _text(lines: list[str], data: bytes) -> Text:
    return Text([line.rstrip() for line in lines], hashlib.sha256(data).hexdigest())
