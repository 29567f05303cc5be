"""Languages and their groups, averages over them, and the matrix."""

from collections.abc import Callable
from pathlib import Path

import pytest

from coordinator.errors import BadInput
from coordinator.metrics import group_averages, matrix, read_languages

TABLE = read_languages()
DIRECTIONS = {
    f"{source}-{target}": (source, target)
    for source, target in [("eng", "deu"), ("deu", "eng"), ("hin", "deu"), ("eng", "hin")]
}
SCORES = {"eng-deu": {"m": 10.0}, "deu-eng": {"m": 20.0}, "hin-deu": {"m": 40.0}}


@pytest.mark.parametrize(
    ("code", "name", "script"),
    [
        ("fra", "French", "Latn"),
        ("fra-CA", "French", "Latn"),
        ("fr", "French", "Latn"),
        ("eng_Latn", "English", "Latn"),
        ("arb", "Arabic", "Arab"),
        ("srp-Cyrl", "Serbian", "Cyrl"),
        ("srp-Latn", "Serbian", "Latn"),
        ("zho_trad", "Chinese (Traditional)", "Hant"),
        ("zho-TW", "Chinese (Traditional)", "Hant"),
        ("zho_Hant", "Chinese", "Hant"),
        ("swa", "Swahili", "Latn"),
        ("no language", "unknown", "unknown"),
        ("", "unknown", "unknown"),
        ("xx-\x1b", "unknown", "unknown"),
    ],
)
def test_a_code_is_found_however_exactly_it_is_written(code: str, name: str, script: str) -> None:
    found = TABLE.find(code)
    assert (found.script, found.name.startswith(name)) == (script, True)


@pytest.mark.needs_data
def test_every_language_of_the_test_data_is_known(test_data: Callable[[str], Path]) -> None:
    codes = [path.stem for path in test_data("ntrex101").glob("*.txt")]
    assert len(codes) == 101
    assert [code for code in codes if TABLE.find(code).family == "unknown"] == []


def test_averages_of_groups() -> None:
    found = group_averages(SCORES, DIRECTIONS, ["m"], TABLE)
    by_group = {(each.way, each.by, each.group): each.average for each in found}
    assert len(by_group) == len(found)
    assert str(by_group["all", "", ""]) == "incomplete (3 of 4)"
    assert by_group["into", "language", "deu"].value == 25.0
    assert str(by_group["into", "language", "hin"]) == "incomplete (0 of 1)"
    assert str(by_group["out of", "language", "eng"]) == "incomplete (1 of 2)"
    assert by_group["out of", "language", "hin"].value == 40.0
    assert by_group["into", "script", "Latn"].value == pytest.approx(70 / 3)
    assert by_group["within", "script", "Latn"].value == 15.0
    assert ("within", "script", "Deva") not in by_group
    assert by_group["within", "family", "Indo-European"].expected == 4


def test_a_direction_without_languages_may_be_of_any_group() -> None:
    found = group_averages(SCORES, DIRECTIONS | {"?": ("", "")}, ["m"], TABLE)
    by_group = {(each.way, each.by, each.group): each.average for each in found}
    assert by_group["all", "", ""].expected == 5
    assert str(by_group["into", "language", "deu"]) == "incomplete (2 of 3)"
    assert not any(group == "unknown" for _, _, group in by_group)


def test_matrix() -> None:
    assert matrix(SCORES, DIRECTIONS, "m") == [
        ["source", "deu", "eng", "hin"],
        ["deu", None, 20.0, None],
        ["eng", 10.0, None, None],
        ["hin", 40.0, None, None],
    ]


def test_matrix_of_two_items_one_way() -> None:
    ways = {"a": ("x", "y"), "b": ("x", "y")}
    assert matrix({"a": {"m": 1.0}, "b": {"m": 2.0}}, ways, "m")[1] == ["x", 1.5]
    assert matrix({"a": {"m": 1.0}}, ways, "m")[1] == ["x", None]


def test_a_table_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "languages.csv"
    path.write_text("code,name,family,script,resource\ntlh,Klingon,Klingonic,Latn,none\n")
    assert read_languages(path).find("tlh").family == "Klingonic"
    assert read_languages(path).find("fra").family == "unknown"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not the header"),
        ("code,name\n", "not the header"),
        ("code,name,family,script,resource\na,b,c,d\nx,y,z,,w\n", ":3: not 5 cells"),
        ("code,name,family,script,resource\na,b,c,d,e\na,b,c,d,e\n", ":3 [a]: again"),
    ],
)
def test_a_table_that_cannot_be_used(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "languages.csv"
    path.write_text(text)
    with pytest.raises(BadInput) as caught:
        read_languages(path)
    assert any(words in str(problem) for problem in caught.value.problems)
