"""What `failures` says of a log tree: every distinct error once, with what stands in the logs."""

import json
from pathlib import Path
from typing import Any

import pytest

from coordinator.cli import main
from coordinator.domain.handoff import Failure
from coordinator.domain.states import FailureKind
from coordinator.domain.verdicts import Ending
from coordinator.errors import BadInput
from coordinator.reports.excerpts import MOST_LINES
from coordinator.reports.failures import DistinctError, Example, Failures, Wanted, read_failures
from tests.log_trees import LogBuilder, outcome

K = FailureKind
FRAMES = [f'  File "deep.py", line {n}, in f{n}\n    f{n + 1}()' for n in range(60)]


@pytest.fixture
def logs(tmp_path: Path) -> LogBuilder:
    """Seven items: one succeeded, one runs, three failed alike, one crashed, one was killed."""
    builder = LogBuilder(tmp_path / "logs")
    builder.submit("good", "runs", "bad-1", "bad-2", "bad-3", "crashed", "killed")
    builder.through("good")
    builder.dispatch("translate", "runs")
    for number in (1, 2, 3):
        builder.fail("translate", f"bad-{number}", K.MODEL_ERROR, f"no word {number} in the book")
    builder.crash(
        "translate",
        "crashed",
        '{"event": "ready", "level": "info", "dispatch": "d"}\n'
        "loading\n"
        "Traceback (most recent call last):\n"
        '  File "h.py", line 3, in load\n'
        "    \x1b[31mopen(path)\x1b[0m\n"
        "FileNotFoundError: no file x\n",
    )
    builder.dispatch("translate", "killed", ending=Ending(oom_killed=True), stderr="half\nway\n")
    return builder


def read(logs: LogBuilder, **wanted: Any) -> Failures:
    return read_failures(logs.root, logs.batch, Wanted(**wanted))


def example_of(found: Failures, item: str) -> Example:
    return next(e for error in found.errors for e in error.examples if e.item == item)


def test_each_error_is_told_once_the_most_frequent_first(logs: LogBuilder) -> None:
    found = read(logs)
    assert (found.items, found.failed, found.notes) == (7, 5, 0)
    assert [(e.kind, e.count) for e in found.errors] == [
        (K.MODEL_ERROR, 3),
        (K.OUT_OF_MEMORY, 1),
        (K.UNKNOWN, 1),
    ]
    assert found.errors[0].error == "no word <n> in the book"
    assert [e.item for e in found.errors[0].examples] == ["bad-1", "bad-2", "bad-3"]


def test_an_example_says_which_attempt_where_and_what_the_log_says(logs: LogBuilder) -> None:
    example = example_of(read(logs), "crashed")
    assert (example.step, example.attempt, example.node) == ("translate", 1, "node-1")
    path, line = logs.root / example.file, example.line
    assert line is not None
    assert path.read_text().splitlines()[line - 1] == "FileNotFoundError: no file x"
    assert example.lines == (
        "Traceback (most recent call last):",
        '  File "h.py", line 3, in load',
        "    open(path)",
        "FileNotFoundError: no file x",
    )


def test_without_a_traceback_the_last_words_are_shown(logs: LogBuilder) -> None:
    assert example_of(read(logs), "killed").lines == ("half", "way")


def test_items_of_one_pack_each_have_their_own_traceback(tmp_path: Path) -> None:
    logs = LogBuilder(tmp_path)
    logs.submit("a", "b")
    lines = [
        {"event": "item failed", "level": "error", "item": item, "dispatch": "d", "error": "broke"}
        | {"traceback": ["Traceback (most recent call last):", f"ValueError: at {item}"]}
        for item in ("a", "b")
    ]
    failure = Failure(kind=K.MODEL_ERROR, message="broke")
    logs.dispatch(
        "translate",
        ["a", "b"],
        outcomes={item: outcome(failure=failure) for item in ("a", "b")},
        ending=Ending(exit_code=0),
        stderr="".join(f"{json.dumps(line)}\n" for line in lines),
    )
    found = read(logs)
    assert [e.lines[-1] for e in found.errors[0].examples] == [
        "ValueError: at a",
        "ValueError: at b",
    ]


def test_a_long_traceback_is_cut_and_says_by_how_much(tmp_path: Path) -> None:
    logs = LogBuilder(tmp_path)
    logs.submit("deep")
    trace = "\n".join(["Traceback (most recent call last):", *FRAMES, "RecursionError: too deep"])
    logs.crash("translate", "deep", f"{trace}\n")
    example = example_of(read(logs), "deep")
    assert len(example.lines) == MOST_LINES and example.lines[-1] == "RecursionError: too deep"
    assert example.left_out == len(trace.splitlines()) - MOST_LINES


def test_where_the_log_is_gone_the_outcome_tells_the_traceback(tmp_path: Path) -> None:
    logs = LogBuilder(tmp_path)
    logs.submit("a")
    failure = Failure(kind=K.BAD_INPUT, message="empty", traceback="Traceback\nValueError: empty\n")
    gone = logs.dispatch(
        "translate", "a", outcomes={"a": outcome(failure=failure)}, ending=Ending(exit_code=65)
    )
    gone.stream("worker", "stderr").unlink()
    example = example_of(read(logs), "a")
    assert example.lines == ("Traceback", "ValueError: empty")
    assert example.line is None and example.file.endswith("outcomes/a.json")


@pytest.mark.parametrize(
    ("wanted", "counts"),
    [
        ({"kinds": (K.UNKNOWN, K.OUT_OF_MEMORY)}, {K.UNKNOWN: 1, K.OUT_OF_MEMORY: 1}),
        ({"item_contains": "-2"}, {K.MODEL_ERROR: 1}),
        ({"kinds": (K.LOST,)}, {}),
    ],
)
def test_only_what_is_asked_for_is_told(
    logs: LogBuilder, wanted: dict[str, Any], counts: dict[K, int]
) -> None:
    found = read(logs, **wanted)
    assert {error.kind: error.count for error in found.errors} == counts
    assert found.failed == 5


def test_as_many_examples_as_asked_for(logs: LogBuilder) -> None:
    def shown(errors: tuple[DistinctError, ...]) -> int:
        return sum(len(error.examples) for error in errors)

    assert shown(read(logs, examples=1).errors) == 3
    assert shown(read(logs, examples=0).errors) == 0


def test_a_wrong_name_is_met_with_those_that_are_near(logs: LogBuilder) -> None:
    with pytest.raises(BadInput) as caught:
        read_failures(logs.root, "bb", Wanted())
    assert "did you mean b" in caught.value.hint


def test_the_verb_needs_the_logs_alone_and_nothing_hostile_reaches_the_screen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logs = LogBuilder(tmp_path / "logs")
    logs.submit("a")
    evil = "\x1b]52;c;aGk=\x07\u202egnp.exe\x1b[2J"
    logs.crash(
        "translate", "a", f"Traceback (most recent call last):\n  {evil}\nValueError: {evil}\n"
    )
    place = ["--log_dir", str(logs.root), "--state_dir", str(tmp_path / "none")]
    assert main(["failures", "b", *place]) == 0
    printed = capsys.readouterr().out
    assert "1 of 1 item failed: 1 distinct error" in printed
    assert "ValueError" in printed and "coordinator explain unknown" in printed
    assert "\x1b" not in printed and "\u202e" not in printed and "\x07" not in printed
