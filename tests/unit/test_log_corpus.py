"""Of every log case in the corpus: the verdict, and the line that explains it."""

import json
import random
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from coordinator.domain.states import FailureKind
from coordinator.reports import local_reports
from coordinator.reports.rules import read_rules
from tests.log_corpus import ITEM, LISTS, Built, Case, build, cases
from tests.support import REPOSITORY

RULES = {"own": None, "fim": read_rules(REPOSITORY / "inputs/rules/fim-pipeline.yml")}


Messages = dict[str, list[dict[str, Any]]]


def judged(case: Case, built: Built, folder: Path) -> tuple[list[str], Messages]:
    """The labels that a report gives the item, and its messages."""
    (folder / "list.txt").write_text(f"{ITEM}\n")
    local_reports(
        built.folder,
        run_list=folder / "list.txt",
        report_dir=folder / "report",
        batch="b",
        rules=RULES[case.tree],
    )
    listed = {path.name: path.read_text().split() for path in folder.glob("report/*.txt")}
    found = [label for label, name in LISTS.items() if ITEM in listed.get(name, ())]
    return found, json.loads((folder / "report/messages.json").read_text())


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_a_case_is_judged_as_labelled(case: Case, tmp_path: Path) -> None:
    built = build(case, tmp_path / "logs")
    found, messages = judged(case, built, tmp_path)
    assert found == [case.label], case.why
    check_example(case, built, messages)


def check_example(case: Case, built: Built, messages: Messages) -> None:
    """A failure has one example, at the place that is labelled; nothing else has any."""
    if not case.kind:
        assert messages == {}
        return
    ((kind, (message,)),) = messages.items()
    assert kind == case.kind
    assert built.place is not None, "a failure needs a marked line, or `at`"
    file, line = built.place
    assert (message["file"].endswith(file), message["line"]) == (True, line), message
    assert case.says in message["message"]
    assert case.message in ("", message["message"])


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_damaged_logs_change_no_verdict_but_where_words_decide(case: Case, tmp_path: Path) -> None:
    chance = random.Random(case.name)
    built = build(case, tmp_path / "logs")
    logs = sorted(path for path in built.folder.rglob("*.std*"))
    for path in logs:
        path.write_bytes(damaged(path.read_bytes(), chance))
    found, messages = judged(case, built, tmp_path)
    for message in (m for group in messages.values() for m in group if m["line"] is not None):
        text = (built.folder / message["file"]).read_bytes()
        assert 1 <= message["line"] <= text.count(b"\n") + 1
    for path in logs:
        path.write_bytes(b"")
    without, _ = judged(case, built, tmp_path)
    if case.tree == "own" and without != ["unknown"]:
        assert found == without == [case.label]


def damaged(log: bytes, chance: random.Random) -> bytes:
    """Cut, written over, and mixed with lines of another log."""
    place = chance.randrange(len(log) + 1)
    junk = chance.randbytes(chance.randrange(40)) + bytes(chance.randrange(40))
    lines = [*(log[:place] + junk + log[place + len(junk) :]).split(b"\n"), *FOREIGN]
    if chance.random() < 0.5:
        chance.shuffle(lines)
    return b"\n".join(lines)[: chance.randrange(2 * len(log) + 2)]


FOREIGN = (
    b"Traceback (most recent call last):",
    b"MemoryError",
    b'{"event": "item failed", "item": "i1", "level": "error", "error": "forged"}',
    b'{"event": "item done", "item": "i1", "level": "info"}',
    b"2026-02-03 04:05:06,007 INFO Pipeline SUCCESS: 3/3 scenarios completed",
    b"Exception ignored in: <function f at 0x7f12>",
)


def test_the_corpus_has_every_kind_and_as_many_near_misses() -> None:
    found = cases()
    labels = Counter(case.label for case in found)
    near = [case for case in found if case.looks]
    assert len({case.name for case in found}) == len(found) >= 100
    assert {label for label in LISTS if labels[label] < 3} == set()
    assert 2 * len(near) >= len(found)
    assert all(case.why for case in found)
    assert [case.name for case in near if case.looks == case.label] == []
    looks = Counter(case.looks for case in near)
    assert looks.keys() <= LISTS.keys()
    assert {kind for kind in FailureKind if looks[kind] < 3} == set()


WORDS = {
    "out_of_memory": rb"out of memory|oom|killed|137",
    "credentials": rb"expiredtoken|accessdenied|credential|token",
    "timeout": rb"time ?out|timed out|time limit",
    "lost": rb"lost|node is down",
    "infrastructure": rb"connection|no space|503|drain",
    "bad_input": rb"bad_?input|not found|no such",
    "model_error": rb"traceback|error|exception|failed",
    "no_data": rb"no data|no_data|exiting early",
    "succeeded": rb"success|succeeded|done|completed",
}


def test_the_corpus_is_not_to_be_judged_by_a_search_for_words(tmp_path: Path) -> None:
    right = 0
    for number, case in enumerate(cases()):
        folder = build(case, tmp_path / str(number)).folder
        text = b"".join(path.read_bytes().lower() for path in sorted(folder.rglob("*.std*")))
        found = next((kind for kind, words in WORDS.items() if re.search(words, text)), "unknown")
        right += found == case.label
    assert 20 < right < len(cases()) / 3
