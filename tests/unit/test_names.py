"""Ids from outside at the door, and job names that can be taken apart again."""

import re
import string
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.domain import names
from coordinator.domain.names import (
    JobName,
    batch_name_problem,
    file_name_problem,
    item_id_problem,
    step_name_problem,
    unit_of_item,
    unit_of_pack,
)
from coordinator.domain.paths import BatchKeys, LogTree

LARGEST_PACK_NUMBER = 99_999_999
TAIL = "-1763737200-0a1b2c3d"

HOSTILE = {
    "traversal": "../../etc/passwd",
    "newline inside": "a\nb",
    "newline at the end": "a\n",
    "carriage return": "a\rb",
    "NUL": "a\0b",
    "escape": "a\x1b[31mb",
    "right-to-left override": "a\u202eb",
    "zero width": "a\u200bb",
    "soft hyphen": "a\u00adb",
    "NFD": unicodedata.normalize("NFD", "café"),
    "option": "-rf",
    "long option": "--help",
    "percent": "%2e%2e",
    "percent slash": "a%2fb",
    "empty": "",
    "space": " ",
    "space inside": "a b",
    "100 kB": "a" * 100_000,
    "dot": ".",
    "dots": "..",
    "hidden": ".ssh",
    "ends with a dot": "a.",
    "slash": "a/b",
    "backslash": "a\\b",
    "drive": "C:\\a",
    "home": "~root",
    "formula": "=1+1",
    "markup": "<script>",
    "quote": "a'b",
    "shell": "a;reboot",
    "variable": "a$HOME",
    "glob": "a*",
    "lone surrogate": "a\udc80",
    "line separator": "a\u2028b",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_ids_are_refused_with_a_short_reason(text: str) -> None:
    problem = item_id_problem(text)
    assert problem
    assert len(problem) < 200 and problem.isprintable()


@pytest.mark.parametrize("thing", [None, 7, 1.5, True, b"a", ["a"], {"id": "a"}])
def test_an_id_that_is_no_text_is_refused(thing: object) -> None:
    assert item_id_problem(thing)


@pytest.mark.parametrize(
    "text", ["deu-fra.dev", "a", "1", "x--y", "日本語", "Zürich", "a@b=c,d:e~f+g", "eng_Latn", "a-"]
)
def test_sensible_ids_pass(text: str) -> None:
    assert item_id_problem(text) is None


def test_the_longest_id_is_counted_in_bytes() -> None:
    assert item_id_problem("a" * names.MAX_ITEM_ID_BYTES) is None
    assert item_id_problem("a" * (names.MAX_ITEM_ID_BYTES + 1))
    assert item_id_problem("語" * (names.MAX_ITEM_ID_BYTES // 3)) is None
    assert item_id_problem("語" * (names.MAX_ITEM_ID_BYTES // 3 + 1))


@given(st.text(max_size=40))
def test_an_id_that_passes_is_one_segment_of_keys_and_paths(text: str) -> None:
    if item_id_problem(text):
        return
    attempt = BatchKeys("b").attempt(text, "s", 1)
    assert attempt.outcome.split("/") == ["b", "items", text, "s", "a1", "outcome.json"]
    logs = LogTree(Path("/logs"), "b").dispatch("s", "d")
    assert logs.outcome(text).parent == logs.outcomes
    assert text not in (".", "..") and "\0" not in text and text.isprintable()


@pytest.mark.parametrize("text", ["", "a--b", "-a", "a-", ".a", "a.", "a/b", "a b", "ä", "a\n"])
def test_batch_and_step_names_that_are_refused(text: str) -> None:
    assert batch_name_problem(text)
    assert step_name_problem(text)


def test_batch_and_step_names_have_a_length() -> None:
    assert batch_name_problem("b" * names.MAX_BATCH) is None
    assert batch_name_problem("b" * (names.MAX_BATCH + 1))
    assert step_name_problem("s" * names.MAX_STEP) is None
    assert step_name_problem("s" * (names.MAX_STEP + 1))


def test_a_step_name_has_no_dot() -> None:
    """`a.b` of item `c` and `a` of item `b.c` would be the same unit."""
    assert batch_name_problem("v1.2") is None
    assert step_name_problem("a.b")


@pytest.mark.parametrize(
    "name",
    [
        *("", ".", "..", ".hidden", "a/b", "../a", "/a", "a\0b", "a\nb", "a\\b"),
        *("outcome.json", "begun.json", "a" * 201, "a\udc80", "a\u202eb"),
    ],
)
def test_file_names_that_are_refused(name: str) -> None:
    assert file_name_problem(name)


@pytest.mark.parametrize(
    "name", ["stdout.txt", "translations.jsonl", "_SUCCESS", "a b", "日本.txt"]
)
def test_file_names_that_pass(name: str) -> None:
    assert file_name_problem(name) is None


# job names

SLUGS = st.from_regex(re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,20}[A-Za-z0-9])?"), fullmatch=True)
STEPS = SLUGS.filter(lambda text: step_name_problem(text) is None)
BATCHES = SLUGS.filter(lambda text: batch_name_problem(text) is None)
ID_PARTS = st.text(string.ascii_lowercase + string.digits + "-._@~:é日", min_size=1, max_size=70)
ITEM_IDS = ID_PARTS.filter(lambda text: item_id_problem(text) is None)


@given(BATCHES, STEPS, ITEM_IDS, st.integers(1, 10_000))
def test_a_job_name_gives_its_parts_back(batch: str, step: str, item: str, number: int) -> None:
    for unit in (unit_of_item(step, item), unit_of_pack(step, number)):
        name = JobName(batch, unit, number)
        assert re.fullmatch(r"[A-Za-z0-9_.-]+", str(name))
        assert JobName.parse(str(name)) == name
        assert JobName.parse(f"{batch}--{step}/dispatch-{name}{TAIL}") == name


@given(STEPS, STEPS, ITEM_IDS, ITEM_IDS)
def test_other_work_has_another_unit(step: str, other: str, item: str, twin: str) -> None:
    same = (step, item) == (other, twin)
    assert (unit_of_item(step, item) == unit_of_item(other, twin)) == same


def test_an_item_cannot_pass_for_a_pack() -> None:
    assert unit_of_item("score", "pack-000007") != unit_of_pack("score", 7)


def test_an_item_cannot_pass_for_the_hash_of_another() -> None:
    hashed = unit_of_item("score", "a@b")
    assert hashed.startswith("score.a_b-")
    assert unit_of_item("score", hashed.removeprefix("score.")) != hashed


def test_the_whole_id_stays_under_200_characters() -> None:
    batch, step = "b" * names.MAX_BATCH, "s" * names.MAX_STEP
    units = [
        unit_of_item(step, "i" * names.MAX_ITEM_ID_BYTES),
        unit_of_item(step, "日" * (names.MAX_ITEM_ID_BYTES // 3)),
        unit_of_pack(step, LARGEST_PACK_NUMBER),
    ]
    for unit in units:
        whole = f"{batch}--{step}/dispatch-{JobName(batch, unit, 99_999)}{TAIL}"
        assert len(whole) < 200
        assert JobName.parse(whole) == JobName(batch, unit, 99_999)


@pytest.mark.parametrize(
    "text",
    [
        *("", "x", "a--b", "a--b--c", "a--b--a1", "a--b--av1", "a--b--a1v2", "a--b--a1v12"),
        *("a--b--a1v1x", "a--b--c--a1v1", "a--b--a1v1-17-zz", "a--b--a1v1\n", "a--b\nc--a1v1"),
        *("../../x--y--a1v1", "a b--c--a1v1", "<b>--c--a1v1", "a--b--a٣v1"),
        f"a--b--a{'9' * 5000}v1",
    ],
)
def test_a_name_that_is_not_ours_has_no_parts(text: str) -> None:
    assert JobName.parse(text) is None
