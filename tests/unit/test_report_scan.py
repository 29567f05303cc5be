import io
import json
import random
import time
import tracemalloc

import pytest

from coordinator.reports import scan as scanning
from coordinator.reports import tree
from coordinator.reports.scan import MAX_MESSAGE, Scan, scan
from coordinator.reports.tree import MAX_LINE, numbered_lines

TRACEBACK = """Traceback (most recent call last):
  File "worker.py", line 3, in <module>
    boom()
    ^^^^^^
  [Previous line repeated 12 more times]
"""
DIRECT = "\nThe above exception was the direct cause of the following exception:\n\n"
DURING = "\nDuring handling of the above exception, another exception occurred:\n\n"


def scanned(text: str | bytes, exit_code: int | None = 1) -> Scan:
    return scan(io.BytesIO(text if isinstance(text, bytes) else text.encode()), exit_code)


def ended_by(text: str | bytes, exit_code: int | None = 1) -> tuple[int, str] | None:
    found = scanned(text, exit_code).ended_by
    return None if found is None else (found.line, found.text)


def item_failed(item: str, error: str, **more: object) -> str:
    entry = {"item": item, "kind": "model_error", "error": error, **more}
    return json.dumps({**entry, "event": "item failed", "level": "error"}) + "\n"


def test_the_exception_at_the_end_ended_the_process() -> None:
    assert ended_by(f"loading\n{TRACEBACK}ValueError: no length\n") == (7, "ValueError: no length")


def test_line_ends_colours_and_progress_bars_do_not_hide_it() -> None:
    bar = "\r 10%|#  | 1/10\r100%|####| 10/10 "
    text = f"{bar}{TRACEBACK}\x1b[1;31mValueError\x1b[0m: \x1b]8;;x\x07no\x1b]8;;\x07 length\n"
    assert ended_by(text.replace("\n", "\r\n")) == (6, "ValueError: no length")


def test_a_direct_cause_is_told_beside_the_last_exception() -> None:
    text = f"{TRACEBACK}OSError: disk\n{DIRECT}{TRACEBACK}KeyError: 'a'\n{DIRECT}"
    text += f"{TRACEBACK}RuntimeError: no\n"
    last = text.count("\n")
    assert ended_by(text) == (last, "RuntimeError: no (caused by OSError: disk)")


def test_an_exception_while_handling_another_stands_for_itself() -> None:
    text = f"{TRACEBACK}KeyError: 1\n{DURING}{TRACEBACK}ValueError: second\n"
    assert ended_by(text) == (15, "ValueError: second")


def test_a_message_over_several_lines_counts_by_its_first() -> None:
    text = f"{TRACEBACK}ValidationError: 2 errors\nname\n  field required\nsee the manual\n"
    assert ended_by(text) == (6, "ValidationError: 2 errors")
    assert ended_by(text, exit_code=70) is None  # it was caught: something else set that code


@pytest.mark.parametrize(
    "after",
    [
        '{"event": "going on", "level": "info"}',
        "2026-11-21 10:00:00 INFO going on",
        "10:00:01 going on",
        "INFO: going on",
        "[WARNING] going on",
    ],
)
def test_an_exception_that_was_handled_explains_nothing(after: str) -> None:
    assert ended_by(f"{TRACEBACK}TimeoutError: read\n{after}\nbye\n") is None


@pytest.mark.parametrize(
    "before",
    [
        "Exception ignored in: <function Pool.__del__ at 0x7f>",
        "Exception in thread Thread-1 (run):",
        "Error in atexit._run_exitfuncs:",
        "--- Logging error ---",
        "Task exception was never retrieved\nfuture: <Task finished>",
    ],
)
def test_an_exception_that_ends_no_process_explains_nothing(before: str) -> None:
    harmless = f"{before}\n{TRACEBACK}OSError: closed\n{DURING}{TRACEBACK}OSError: twice\n"
    assert ended_by(harmless) is None
    real = f"{TRACEBACK}ValueError: real\n"
    assert ended_by(real + harmless) == (6, "ValueError: real")
    assert ended_by(harmless + "some line\n" * 4 + real) is not None


def test_log_lines_between_the_frames_are_somebody_elses() -> None:
    other = '{"event": "batch"}\n2026-11-21 10:00:00 INFO going on\n'
    assert ended_by(f"{TRACEBACK}{other}  File x\nValueError: no\n", 70) == (9, "ValueError: no")


def test_a_traceback_cut_short_explains_nothing() -> None:
    assert ended_by(f"{TRACEBACK}ValueError: first\n{TRACEBACK}") is None


def test_a_fatal_error_of_the_interpreter_ended_the_process() -> None:
    text = (
        "Fatal Python error: Segmentation fault\n\nCurrent thread 0x1 (most recent call first):\n"
    )
    assert ended_by(f"loading\n{text}  File x\n", -11) == (
        2,
        "Fatal Python error: Segmentation fault",
    )


def test_tracebacks_of_a_groups_members_are_not_its_own() -> None:
    text = (
        "  + Exception Group Traceback (most recent call last):\n"
        '  |   File "x.py", line 1, in <module>\n'
        "  | ExceptionGroup: two things (2 sub-exceptions)\n"
        "  +-+---------------- 1 ----------------\n"
        "    | Traceback (most recent call last):\n"
        '    |   File "x.py", line 2, in one\n'
        "    | ValueError: a\n"
        "    +---------------- 2 ----------------\n"
        "    | ExceptionGroup: inner (1 sub-exception)\n"
        "    +-+---------------- 1 ----------------\n"
        "      | KeyError: 1\n"
        "      +------------------------------------\n"
    )
    assert ended_by(text, 70) == (3, "ExceptionGroup: two things (2 sub-exceptions)")
    later = f"{text}{DIRECT}{TRACEBACK}RuntimeError: no\n"
    assert ended_by(later) == (
        later.count("\n"),
        "RuntimeError: no (caused by ExceptionGroup: two things (2 sub-exceptions))",
    )


def test_what_compiled_code_throws_and_nobody_catches_ended_the_process() -> None:
    text = "terminate called after throwing an instance of 'std::bad_alloc'\n  what():  no\n"
    assert ended_by(f"loading\n{text}Fatal Python error: Aborted\n", -6) == (
        2,
        "terminate called after throwing an instance of 'std::bad_alloc'",
    )


def test_an_exception_group_counts_by_its_own_line() -> None:
    text = (
        "  + Exception Group Traceback (most recent call last):\n"
        '  |   File "x.py", line 1, in <module>\n'
        "  | ExceptionGroup: two things (2 sub-exceptions)\n"
        "  +-+---------------- 1 ----------------\n"
        "    | ValueError: a\n"
        "    +------------------------------------\n"
    )
    assert ended_by(text) == (3, "ExceptionGroup: two things (2 sub-exceptions)")


@pytest.mark.parametrize(
    "text",
    [
        "checked 64 sentences: 0 errors\n",
        "fra: l'ordinateur est out of memory\n",
        'translated "Traceback (most recent call last): he said"\n',
        '{"event": "batch", "level": "info", "text": "error: out of memory"}\n',
        '{"event": "retry", "level": "warning", "error": "TimeoutError: slow"}\n',
        '{"level": "error"\n',
        '{"level": "error", "a": ' + "[" * 30_000 + "\n",
        "[1, 2]\n",
        "\x00\x01\xff binary error\n",
    ],
)
def test_a_line_that_only_mentions_an_error_explains_nothing(text: str) -> None:
    found = scanned(text)
    assert (found.ended_by, found.error, found.items) == (None, None, {})


def test_every_failed_item_of_a_pack_has_its_own_line() -> None:
    text = '{"event": "ready"}\n' + item_failed("a", "KeyError: x\nmore") + item_failed("b", "no")
    found = scanned(text)
    assert {item: (f.line, f.text) for item, f in found.items.items()} == {
        "a": (2, "KeyError: x"),
        "b": (3, "no"),
    }
    assert found.error is None


def test_an_items_line_is_found_though_it_is_too_long_to_keep() -> None:
    long = item_failed("a", "no", traceback=list(range(20_000)))
    assert len(long) > MAX_LINE
    found = scanned(f"first\n{long}last\n")
    assert (found.items["a"].line, found.items["a"].text) == (2, "")
    assert found.last is not None
    assert (found.last.line, found.last.text) == (3, "last")


def test_a_structured_error_of_the_whole_process_is_kept() -> None:
    entry = {"event": "dispatch failed", "level": "error", "error": "no such handoff"}
    found = scanned(json.dumps(entry) + "\nbye\n")
    assert found.error is not None
    assert (found.error.line, found.error.text) == (1, "no such handoff")


@pytest.mark.parametrize("event", ["ready", "batch", "item done"])
def test_an_error_that_the_process_survived_is_not_kept(event: str) -> None:
    error = json.dumps({"event": "the store answered 503", "level": "error"}) + "\n"
    work = json.dumps({"event": event, "level": "info"}) + "\n"
    assert scanned(error + work).error is None
    assert scanned(error + work + error).error is not None
    assert scanned(error + '{"event": "bye"}\n').error is not None


def test_the_last_process_in_a_log_began_when_it_was_ready() -> None:
    text = '{"event": "ready"}\n' + item_failed("ready", "no") + '{"event": "ready"}\nbye\n'
    assert scanned(text).began == 3
    assert scanned("ready\n" + json.dumps({"event": "model", "line": '"ready"'})).began == 0


def test_nothing_at_all() -> None:
    assert scanned("") == Scan()
    assert scanned("\n \n\r\n") == Scan()
    assert scanned(f"\0\n{2_000_000 * chr(0)}\n\0\0 \0") == Scan()


def test_lines_are_numbered_and_long_ones_cut_in_the_middle() -> None:
    long = b"a" * MAX_LINE + b"b" * MAX_LINE + b"end"
    data = b"one\r\n" + long + b"\n\nlast"
    lines = list(numbered_lines(io.BytesIO(data)))
    assert [number for number, _ in lines] == [1, 2, 3, 4]
    assert [lines[0][1], lines[2][1], lines[3][1]] == [b"one", b"", b"last"]
    assert lines[1][1].startswith(b"aaa")
    assert lines[1][1].endswith(b"bbbend")
    assert len(lines[1][1]) < MAX_LINE + 10


@pytest.mark.parametrize("size", [MAX_LINE - 1, MAX_LINE, MAX_LINE + 1])
def test_lines_about_as_long_as_the_limit_keep_their_numbers(size: int) -> None:
    data = b"x" * (size - 1) + b"\n" + b"y" * size + b"\nlast\n"
    assert [number for number, _ in numbered_lines(io.BytesIO(data))] == [1, 2, 3]


class _Endless(io.RawIOBase):
    """`size` bytes without a line end, then a short line."""

    def __init__(self, size: int) -> None:
        self._left = size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if self._left <= 0:
            return 0
        part = min(len(buffer), self._left)
        buffer[:part] = b"x" * part
        self._left -= part
        return part


def test_a_line_of_50_mb_takes_little_memory() -> None:
    tracemalloc.start()
    try:
        found = scan(io.BufferedReader(_Endless(50_000_000)), None)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2_000_000
    assert found.last is not None
    assert found.last.line == 1
    assert len(found.last.text) <= MAX_MESSAGE


# blocks that say nothing are passed over


PIECES = (
    "Traceback (most recent call last):",
    '  File "x.py", line 1, in <module>',
    "ValueError: no",
    "",
    "The above exception was the direct cause of the following exception:",
    "During handling of the above exception, another exception occurred:",
    "Exception ignored in: <x>",
    "Fatal Python error: Segmentation fault",
    "2026-01-01 10:00:00,000 INFO on we go",
    '{"dispatch": "d", "event": "ready", "level": "info"}',
    '{"dispatch": "d", "event": "item failed", "item": "i", "level": "error", "error": "bad"}',
    '{"dispatch": "d", "event": "dispatch failed", "level": "error", "error": "worse"}',
    '{"dispatch": "d", "event": "item done", "item": "i", "level": "info"}',
    "\x1b[31mTraceback (most recent call last):\x1b[0m",
    "plain words",
    "\0\0\0",
    "   ",
    "a long line " * 40,
)


@pytest.mark.parametrize("seed", range(60))
def test_passing_over_what_says_nothing_changes_nothing(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(seed)
    weights = [chance.random() ** 3 for _ in PIECES]
    lines = chance.choices(PIECES, weights, k=400)
    data = chance.choice(["\n", "\r\n"]).join(lines).encode()
    monkeypatch.setattr(tree, "BLOCK", chance.choice([64, 300, 2_000]))
    quick = [scanning.scan(io.BytesIO(data), code) for code in (0, 1)]
    monkeypatch.setattr(scanning, "_tells", lambda _block: True)
    assert quick == [scanning.scan(io.BytesIO(data), code) for code in (0, 1)]


@pytest.mark.parametrize("line", ["x\n", "2026-01-01 10:00:00 INFO all is well\n", "é" * 50 + "\n"])
def test_a_log_that_says_nothing_is_read_in_blocks(
    line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = line.encode() * (4_000_000 // len(line.encode()))
    seconds = []
    for _ in range(2):
        began = time.process_time()
        found = scanning.scan(io.BytesIO(data), 1)
        seconds.append(time.process_time() - began)
        assert found.last == scanning.Found(data.count(b"\n"), line.strip())
        monkeypatch.setattr(scanning, "_tells", lambda _block: True)
    assert 3 * seconds[0] < seconds[1]
