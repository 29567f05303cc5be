"""What lines mean: the table, how its patterns are found, and the trees that are read by it."""

import io
import json
import random
import re
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from coordinator.errors import BadInput
from coordinator.reports import local_reports
from coordinator.reports.rules import Rule, read_rules
from coordinator.reports.sieve import BLOCK, Sieve
from tests.support import REPOSITORY

FIM = REPOSITORY / "inputs/rules/fim-pipeline.yml"
PATTERNS = (
    r"Exit Code: 137\b",
    "ExpiredToken",
    r"^Traceback",
    r"response_code=5\d\d",
    "(?i)failed$",
)


def rules(*patterns: str) -> list[Rule]:
    return [Rule(pattern=pattern, kind="unknown") for pattern in patterns]


def found(patterns: Sequence[str], data: bytes) -> list[tuple[int, str]]:
    return [(hit.line, hit.rule.pattern) for hit in Sieve(rules(*patterns)).hits(io.BytesIO(data))]


def line_by_line(patterns: Sequence[str], data: bytes) -> list[tuple[int, str]]:
    """The same, each pattern over each line."""
    lines = enumerate(data.split(b"\n"), start=1)
    first = ((n, next((p for p in patterns if re.search(p.encode(), x)), None)) for n, x in lines)
    return [(number, pattern) for number, pattern in first if pattern]


# the sieve


@pytest.mark.parametrize("seed", range(20))
def test_each_line_is_found_by_its_first_rule(seed: int) -> None:
    chance = random.Random(seed)
    words = [
        "Exit Code: 137",
        "137",
        "ExpiredToken",
        "Traceback",
        "response_code=503",
        "failed",
        "x",
    ]
    lines = [" ".join(chance.choices(words, k=chance.randrange(6))) for _ in range(2_000)]
    data = "\n".join([*lines, "é" * chance.randrange(BLOCK)]).encode()
    assert found(PATTERNS, data) == line_by_line(PATTERNS, data) != []


def test_blocks_hide_nothing() -> None:
    for before in range(BLOCK - 30, BLOCK + 30, 7):
        data = b"a" * before + b"\nExpiredToken\n" + b"b" * BLOCK + b"\nTraceback of it"
        assert found(PATTERNS, data) == [(2, "ExpiredToken"), (4, "^Traceback")]


def test_a_line_longer_than_a_block_is_told_once() -> None:
    data = b"a" * (BLOCK - 5) + b"ExpiredToken" + b"b" * 3 * BLOCK + b" failed\nfailed\n"
    assert found(PATTERNS, data)[0] == (1, "ExpiredToken")
    assert [line for line, _ in found(PATTERNS, data)] == [1, 2]


def test_colours_hide_nothing() -> None:
    assert found(["Exit Code: 137"], b"Exit \x1b[31mCode\x1b[0m: 137\r\n") == [
        (1, "Exit Code: 137")
    ]


def test_bytes_that_are_no_text_hide_nothing() -> None:
    data = b"\xff\xc3\nfailed: \xfe\xff (ExpiredToken) \xc3\n\xc3\xa9\n"
    assert found(["failed: .*ExpiredToken.*$"], data) == [(2, "failed: .*ExpiredToken.*$")]


def test_a_carriage_return_ends_a_line_as_well() -> None:
    assert found(["failed$", "done$"], b"failed\r\nx\r\ndone\r\n") == [
        (1, "failed$"),
        (3, "done$"),
    ]


def test_no_pattern_takes_for_ever() -> None:
    assert found([r"(a+)+$"], b"a" * 100_000 + b"b\n") == []


# the table


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rules: [{pattern: '(', kind: lost}]", "missing )"),
        ("rules: [{pattern: 'a*', kind: lost}]", "matches an empty line"),
        ("rules: [{pattern: a, kind: lots}]", "kind"),
        ("rules: [{pattern: a}]", "either a kind, or ignorable"),
        ("rules: [{pattern: a, kind: lost, ignorable: true}]", "either a kind, or ignorable"),
        ("rules: [{patern: a, kind: lost}]", "patern"),
        ("lists: {a.txt: ../b.txt}", "not a plain file name"),
        ("layout: strange", "layout"),
    ],
)
def test_faults_of_a_table_are_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "rules.yml"
    path.write_text(text)
    with pytest.raises(BadInput) as caught:
        read_rules(path)
    assert any(said in str(problem) for problem in caught.value.problems), caught.value.problems


# trees of another batch system


@pytest.mark.needs_data
def test_every_verdict_that_logs_can_tell_is_right(
    test_data: Callable[[str], Path], tmp_path: Path
) -> None:
    tree = test_data("fim-logs")
    given = {"run_list": tree / "run_list.txt", "report_dir": tmp_path, "batch": None}
    summary = local_reports(tree / "local-logs", rules=read_rules(FIM), **given)  # type: ignore[arg-type]
    truth: dict[str, dict[str, Any]] = json.loads((tree / "truth.json").read_text())["items"]
    assert summary.counts.total == len(truth)
    decidable = {item: each for item, each in truth.items() if each["decidable"]}
    for verdict, name in {
        "succeeded": "unique_success_aoi_names.txt",
        "failed": "unique_fail_aoi_names.txt",
        "no_data": "early_exit",
        "not_run": "not_run.txt",
    }.items():
        said = set((tmp_path / name).read_text().split())
        assert said == {item for item, each in decidable.items() if each["verdict"] == verdict}
    kinds = {item: each["kind"] for item, each in decidable.items() if each["kind"]}
    assert {i: str(kind) for kind, items in summary.failed.items() for i in items} == kinds
    open_ones = set((tmp_path / "still_running.txt").read_text().split())
    assert open_ones == truth.keys() - decidable.keys()
    for messages in json.loads((tmp_path / "messages.json").read_text()).values():
        for message in messages:
            lines = (tree / "local-logs" / message["file"]).read_text().splitlines()
            line = lines[message["line"] - 1]
            time, said = line[:23], line[24:]
            assert (said, len(time.split())) == (message["message"], 2)
    for command in summary.next_commands:  # run here, they print what is to be run again there
        shown = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)
        assert set(shown.stdout.split()) in map(set, summary.failed.values())
    assert len(summary.next_commands) == len(summary.failed)
