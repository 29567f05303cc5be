"""Manifests as a user meets them: made, compared, taken along by a batch."""

import json
from pathlib import Path

import pytest

from coordinator.commands.models import checked_model, compare_manifest, make_manifest
from coordinator.domain.manifest import MANIFEST
from coordinator.domain.model_folder import LANGUAGES
from coordinator.errors import ModelError
from tests.model_folders import write_handler, write_huggingface


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return write_huggingface(tmp_path / "weights")


@pytest.fixture
def handler(tmp_path: Path) -> Path:
    return write_handler(tmp_path / "handler", "def load(self, folder, device): pass")


def test_a_manifest_is_made_once_and_compared_at_will(weights: Path) -> None:
    read: list[int] = []
    made = make_manifest(str(weights), read.append)
    assert {file.name for file in made.files} == {
        path.name for path in weights.iterdir() if path.name != MANIFEST
    }
    assert sum(read) == made.size
    assert compare_manifest(str(weights)) == make_manifest(str(weights)) == made
    assert checked_model(str(weights)).manifest == made


@pytest.mark.parametrize("hashed", [True, False])
def test_a_file_of_another_size_is_refused_before_anything_runs(
    weights: Path, hashed: bool
) -> None:
    make_manifest(str(weights))
    (weights / "vocab.json").write_text('{"a": 1}')
    with pytest.raises(ModelError) as caught:
        checked_model(str(weights), hashed=hashed)
    assert f"{weights}/vocab.json: it has 8 bytes, the manifest says 2" in str(caught.value)


def test_a_file_of_the_same_size_takes_a_hash(weights: Path) -> None:
    make_manifest(str(weights))
    (weights / "vocab.json").write_text("[]")
    assert checked_model(str(weights), hashed=False).manifest
    for check in (checked_model, compare_manifest):
        with pytest.raises(ModelError, match=r"vocab\.json: its content"):
            check(str(weights))


def test_all_that_differs_is_named(weights: Path) -> None:
    make_manifest(str(weights))
    (weights / "vocab.json").write_text("[]")
    (weights / "sentencepiece.bpe.model").write_bytes(b"pieceS")
    with pytest.raises(ModelError) as caught:
        compare_manifest(str(weights))
    assert [Path(problem.where).name for problem in caught.value.problems] == [
        "sentencepiece.bpe.model", "vocab.json",
    ]  # fmt: skip


def test_weights_get_a_manifest_for_the_batch_without_the_table_to_mend(weights: Path) -> None:
    (weights / LANGUAGES).write_text(json.dumps({"eng": "en"}))
    manifest = checked_model(str(weights)).manifest
    assert manifest is not None and not (weights / MANIFEST).exists()
    names = {file.name for file in manifest.files}
    assert "model.safetensors" in names and LANGUAGES not in names
    assert checked_model(str(weights), hashed=False).manifest is None


def test_a_handler_has_one_only_if_its_user_made_it(handler: Path) -> None:
    assert checked_model(str(handler)).manifest is None
    made = make_manifest(str(handler))
    assert checked_model(str(handler)).manifest == made
    (handler / "handler.py").write_text("class Handler: pass")
    with pytest.raises(ModelError, match=r"handler\.py"):
        checked_model(str(handler))


def test_without_a_manifest_there_is_nothing_to_compare(weights: Path) -> None:
    with pytest.raises(ModelError) as caught:
        compare_manifest(str(weights))
    assert "model-manifest" in caught.value.hint


@pytest.mark.parametrize("text", ["", "{}", '{"format": 1, "files": []}', '{"format": 2}'])
def test_a_damaged_manifest_is_said_with_what_to_do(weights: Path, text: str) -> None:
    (weights / MANIFEST).write_text(text)
    with pytest.raises(ModelError) as caught:
        checked_model(str(weights))
    assert MANIFEST in str(caught.value) and str(weights) in caught.value.hint


def test_what_is_no_model_gets_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(ModelError):
        make_manifest(str(tmp_path))
    assert list(tmp_path.iterdir()) == []
