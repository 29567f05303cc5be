import json
from pathlib import Path
from typing import Any

import pytest

from coordinator.domain.model_folder import check_model, read_languages
from coordinator.errors import ModelError
from tests.llm_server import write_endpoint
from tests.model_folders import one_tensor, safetensors_bytes, write_handler, write_huggingface
from tests.support import REPOSITORY

GOOD_BODY = "def load(self, model_dir, device): ...\ndef translate(self, s, a, b): return s"


def refusal(folder: Path) -> ModelError:
    with pytest.raises(ModelError) as caught:
        check_model(folder)
    assert caught.value.hint
    return caught.value


def test_every_kind_is_recognised(tmp_path: Path) -> None:
    assert check_model(write_endpoint(tmp_path / "e", "https://llm.example.org/v1")) == "endpoint"
    assert check_model(write_handler(tmp_path / "h", GOOD_BODY)) == "handler"
    assert check_model(write_huggingface(tmp_path / "m")) == "huggingface"


def test_the_models_that_ship_pass() -> None:
    assert check_model(REPOSITORY / "inputs" / "demo" / "model") == "ctranslate2"
    assert check_model(REPOSITORY / "inputs" / "demo" / "huggingface") == "huggingface"
    for name in ("copy", "lexicon"):
        assert check_model(REPOSITORY / "inputs" / "models" / name) == "handler"


def test_a_handler_may_import_its_class(tmp_path: Path) -> None:
    (tmp_path / "handler.py").write_text("from real import Other as Handler\n")
    assert check_model(tmp_path) == "handler"


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    assert "no such folder" in str(refusal(tmp_path / "gone"))
    (tmp_path / "file").write_text("x")
    assert "it is a file" in str(refusal(tmp_path / "file"))
    assert "holds no model" in str(refusal(tmp_path))


def test_a_path_that_the_system_refuses_is_refused() -> None:
    assert "cannot be read: File name too long" in str(refusal(Path("x" * 5000)))


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("class Handler\n", "handler.py:1 cannot be used: it is not Python"),
        ("x = '\0'\n", "it is not Python"),
        ("class handler: pass\n", "it has no class Handler"),
    ],
)
def test_a_bad_handler_is_refused_without_running_it(
    tmp_path: Path, code: str, reason: str
) -> None:
    (tmp_path / "handler.py").write_text(code)
    assert reason in str(refusal(tmp_path))


def test_pickles_are_never_loaded(tmp_path: Path) -> None:
    folder = write_huggingface(tmp_path)
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04cos\nsystem\n(S'touch ran'\ntR.")
    error = refusal(folder)
    assert "pytorch_model.bin" in str(error) and "never loaded" in str(error)
    assert "safetensors" in error.hint


def test_pointers_of_git_lfs_are_told_from_files(tmp_path: Path) -> None:
    folder = write_huggingface(tmp_path)
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n"
    (folder / "model.safetensors").write_bytes(pointer)
    error = refusal(folder)
    assert "model.safetensors" in str(error) and "git-lfs pointer" in str(error)
    assert "git lfs pull" in error.hint


def test_cut_weights_are_refused(tmp_path: Path) -> None:
    folder = write_huggingface(tmp_path)
    (folder / "model.safetensors").write_bytes(safetensors_bytes(one_tensor(), bytes(3)))
    assert "cut off" in str(refusal(folder))


def test_weights_in_several_files_are_all_checked(tmp_path: Path) -> None:
    folder = write_huggingface(tmp_path)
    whole = (folder / "model.safetensors").rename(folder / "a.safetensors")
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"w": "a.safetensors"}}))
    assert check_model(folder) == "huggingface"
    names = ["a.safetensors", "b.safetensors", "../c.safetensors", "d.bin"]
    index.write_text(json.dumps({"weight_map": {name: name for name in names}}))
    whole.write_bytes(b"")
    shown = [str(problem) for problem in refusal(folder).problems]
    assert len(shown) == 4
    for name, problem in zip(sorted(names), shown, strict=True):
        assert name in problem


@pytest.mark.parametrize(
    "name",
    ["\x1b[2J.safetensors", "\0.safetensors", "y" * 5000 + ".safetensors", ["x"] * 5000],
    ids=["escape", "nothing", "long", "list"],
)
def test_a_name_in_an_index_is_neither_asked_for_nor_shown_whole(tmp_path: Path, name: Any) -> None:
    folder = write_huggingface(tmp_path)
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"w": name}}))
    said = str(refusal(folder))
    assert "not the name of a safetensors file" in said
    assert said.isprintable() and len(said) < 300 + len(str(folder))


def test_an_index_that_names_nothing_is_refused(tmp_path: Path) -> None:
    folder = write_huggingface(tmp_path)
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text("[]")
    assert "names no weight files" in str(refusal(folder))


@pytest.mark.parametrize("config", ["{", "[]", '{"model_type": "bert"}', "{}"])
def test_other_configurations_are_refused(tmp_path: Path, config: str) -> None:
    folder = write_huggingface(tmp_path)
    (folder / "config.json").write_text(config)
    assert "config.json" in str(refusal(folder))


def test_of_an_unknown_model_type_the_beginning_is_shown(tmp_path: Path) -> None:
    folder = write_huggingface(tmp_path)
    (folder / "config.json").write_text(json.dumps({"model_type": "\x1b" + "t" * 5000}))
    said = str(refusal(folder))
    assert "\\x1bttt" in said and len(said) < 300 + len(str(folder))


def test_all_problems_are_named_at_once(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "t5"}')
    (tmp_path / "languages.json").write_text('{"eng": 1}')
    error = refusal(tmp_path)
    shown = "\n".join(map(str, error.problems))
    for fault in ("'t5'", "model.safetensors", "no tokenizer", "languages.json"):
        assert fault in shown
    assert "4 problems" in str(error)


def test_the_table_of_languages(tmp_path: Path) -> None:
    assert read_languages(tmp_path) == {}
    (tmp_path / "languages.json").write_text('{"eng": "en"}')
    assert read_languages(tmp_path) == {"eng": "en"}
    (tmp_path / "languages.json").write_text('["eng"]')
    with pytest.raises(ModelError, match=r"languages\.json"):
        read_languages(tmp_path)


URL = "https://llm.example.org/v1"


def described(folder: Path, **more: object) -> str:
    """What is wrong with such a description."""
    (folder / "endpoint.json").write_text(json.dumps({"url": URL, "model": "m", **more}))
    error = refusal(folder)
    return "\n".join(map(str, error.problems)) or str(error)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"url": "ftp://host/v1"}, "not an address like https://host/v1"),
        ({"url": "file:///etc/passwd"}, "not an address"),
        ({"url": "https://me:secret@host/v1"}, "no user, password, ? or #"),
        ({"url": "https://host/v1?key=secret"}, "no user, password, ? or #"),
        ({"url": "https://host:99999/v1"}, "Port out of range"),
        ({"url": "https://host/\x1b[31m"}, "not an address"),
        ({"url": 3}, "valid string"),
        ({"model": ""}, "at least 1 character"),
        ({"api_key_variable": "AWS_SECRET_ACCESS_KEY"}, "must end with _API_KEY"),
        ({"api_key_variable": "_API_KEY"}, "must end with _API_KEY"),
        ({"tasks": {}}, "at least 1 item"),
        ({"tasks": {"translate": {"user": "Translate this."}}}, "does not hold $sentence"),
        ({"tasks": {"t": {"user": "$sentence for $5"}}}, "a dollar sign itself is written $$"),
        ({"tasks": {"t": {"user": "$sentence $sentense"}}}, "$sentense is unknown"),
        ({"tasks": {"t": {"user": "$sentence", "system": "$x"}}}, "$x is unknown"),
        ({"concurrency": 0}, "greater than or equal to 1"),
        ({"concurrency": "8"}, "valid integer"),
        ({"timeout_seconds": 1e9}, "less than or equal to 3600"),
        ({"temprature": 1}, "Extra inputs are not permitted"),
        ({"refusals": "ignore"}, "'fail' or 'empty'"),
        ({"\x1b[31m": 1}, r"\x1b[31m"),
    ],
)
def test_a_description_of_an_endpoint_is_checked(
    tmp_path: Path, changed: dict[str, object], reason: str
) -> None:
    found = described(tmp_path, **changed)
    assert reason in found and "endpoint.json" in found
    assert found.isprintable() and "secret@" not in found and "key=secret" not in found


@pytest.mark.parametrize("text", ["", "[]", "{", "\0", "[" * 100_000, " " * (1 << 20) + "{}"])
def test_what_is_no_description_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "endpoint.json").write_text(text)
    assert "endpoint.json cannot be used" in str(refusal(tmp_path))


def test_all_that_is_wrong_with_a_description_is_named(tmp_path: Path) -> None:
    found = described(tmp_path, url="x", concurrency=0, temperature=-1)
    for field in ("url", "concurrency", "temperature"):
        assert f"endpoint.json: {field}: " in found


def test_mbart_50_is_known_and_older_mbart_is_not(tmp_path: Path) -> None:
    folder = write_huggingface(tmp_path / "m")
    (folder / "config.json").write_text('{"model_type": "mbart"}')
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "MBart50Tokenizer"}')
    assert check_model(folder) == "huggingface"
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "MBartTokenizer"}')
    with pytest.raises(ModelError, match="before mBART-50"):
        check_model(folder)
