"""Damaged and hostile CTranslate2 folders are refused by a sentence that names the file."""

import json
import os
from pathlib import Path

import pytest

from coordinator.domain.ctranslate2_folder import Family, read_family
from coordinator.domain.model_folder import check_model
from coordinator.errors import ModelError
from tests.model_folders import ctranslate2_bytes, write_ctranslate2


def refusals(folder: Path) -> list[str]:
    with pytest.raises(ModelError) as caught:
        check_model(folder)
    assert caught.value.hint
    return [str(problem) for problem in caught.value.problems] or [str(caught.value)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_ctranslate2(tmp_path / "model")


def change(folder: Path, **changes: object) -> None:
    path = folder / "family.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_whole_folder_passes(folder: Path) -> None:
    assert check_model(folder) == "ctranslate2"
    assert read_family(folder).tokenizer == "sentencepiece.bpe.model"


@pytest.mark.parametrize("name", ["config.json", "family.json", "sentencepiece.bpe.model"])
def test_a_file_that_is_missing_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    [said] = refusals(folder)
    assert name in said and "missing" in said


def test_without_any_vocabulary_both_sides_are_named(folder: Path) -> None:
    (folder / "shared_vocabulary.json").unlink()
    assert all("shared_vocabulary.json is missing" in said for said in refusals(folder))


@pytest.mark.parametrize(
    ("vocabulary", "reason"),
    [
        (b"{}", "not a JSON list of tokens"),
        (b"[1, 2, 3, 4, 5]", "not a JSON list of tokens"),
        (b"[" * 100_000, "is not JSON"),
        (b"\xff\xfe", "is not JSON"),
        (b'["a", "a"]', "names a token twice"),
        (b'["__en__", "__fr__"]', "it has 2 tokens, the model 5"),
    ],
)
def test_a_vocabulary_that_cannot_be_the_model_s(
    folder: Path, vocabulary: bytes, reason: str
) -> None:
    (folder / "shared_vocabulary.json").write_bytes(vocabulary)
    assert reason in refusals(folder)[0]


@pytest.mark.parametrize("name", ["family.json", "config.json", "shared_vocabulary.json"])
def test_a_pipe_is_not_waited_for(folder: Path, name: str) -> None:
    (folder / name).unlink()
    os.mkfifo(folder / name)
    assert name in refusals(folder)[0] and "not a file" in refusals(folder)[0]


def test_each_side_s_own_vocabulary_is_checked(folder: Path) -> None:
    shared = (folder / "shared_vocabulary.json").rename(folder / "source_vocabulary.json")
    (folder / "target_vocabulary.json").write_text(
        json.dumps(["x", *json.loads(shared.read_text())])
    )
    [said] = refusals(folder)
    assert "target_vocabulary.json" in said and "6 tokens, the model 5" in said


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"family": "t5"}, "'family': "),
        ({"languages": ["en"]}, "'languages': "),
        ({"languages": {"en": 3}}, "'languages' 'en': "),
        ({"special_tokens": []}, "'special_tokens': "),
        ({"longest_source": 7}, "'longest_source': "),
        ({"longest_source": 10**9}, "'longest_source': "),
        ({"most_new_tokens": "64"}, "'most_new_tokens': "),
        ({"languages": {"\x1b[2J" * 99: 3}}, "'languages' '\\x1b[2J"),
        ({"\x1b[2J": 3}, "'\\x1b[2J': "),
        ({"tokenizer": "/etc/passwd"}, "'tokenizer': "),
        ({"languages": {"de": "__de__"}}, "1 of the tokens that it names are not in the source"),
        ({"end": "<end>"}, "1 of the tokens that it names are not in the source vocabulary"),
        ({"special_tokens": ["</s>", ""]}, "'special_tokens' '1': "),
    ],
)
def test_a_description_that_cannot_be_meant(
    folder: Path, changes: dict[str, object], place: str
) -> None:
    change(folder, **changes)
    said = refusals(folder)[0]
    assert "family.json" in said and place in said


def test_a_folder_of_its_own_for_each_fault_names_them_all(folder: Path) -> None:
    (folder / "model.bin").write_bytes(ctranslate2_bytes({"w": (2,)}, {})[:-6])
    (folder / "config.json").write_text("[]")
    (folder / "languages.json").write_text('{"eng": 1}')
    shown = "\n".join(refusals(folder))
    assert all(name in shown for name in ("model.bin", "config.json", "languages.json"))


def test_of_a_copy_s_beginning_no_more_is_asked(folder: Path) -> None:
    whole = ctranslate2_bytes({f"{number}": (100, 100) for number in range(9)}, {})
    begun = whole[: 1 << 18] + bytes(len(whole) - (1 << 18))
    (folder / "model.bin").write_bytes(begun)
    assert check_model(folder, 1 << 18) == "ctranslate2"
    assert "model.bin" in refusals(folder)[0]


def test_the_description_is_read_again_as_it_was_written() -> None:
    family = Family(
        family="marian",
        languages={"fra": ">>fra<<"},
        special_tokens=["</s>"],
        longest_source=512,
        most_new_tokens=511,
    )
    assert Family.model_validate_json(family.model_dump_json(exclude_defaults=True)) == family
