import subprocess
import sys
import traceback
from pathlib import Path

import pytest

from coordinator.errors import BadInput, ModelError, WorkInterrupted
from coordinator.inference import load_model, sample_sentences, try_handler
from tests.model_folders import write_handler
from tests.support import REPOSITORY

LOAD = "def load(self, model_dir, device): self.told = (model_dir, device)\n"
TRANSLATE = "def translate(self, sentences, source, target):\n    "


def translate_with(folder: Path, returned: str) -> list[str]:
    model = load_model(write_handler(folder, LOAD + TRANSLATE + returned))
    return model.translate(["one", "two", "three"], "eng", "fra")


def test_a_handler_translates(tmp_path: Path) -> None:
    returned = "return [f'{source}>{target} {s} {self.told[1]}' for s in sentences]"
    model = load_model(write_handler(tmp_path, LOAD + TRANSLATE + returned), device="cuda")
    assert model.translate(["one"], "eng", "fra") == ["eng>fra one cuda"]
    assert model.translate([], "eng", "fra") == []


@pytest.mark.parametrize(
    ("returned", "why"),
    [
        ("return sentences[:2]", "expected 3 translations, got 2"),
        ("return sentences * 2", "expected 3 translations, got 6"),
        ("return [*sentences[:2], None]", "translation 3 is a value of type NoneType, not str"),
        ("return 'abc'", "returned a value of type str, not a list"),
        ("return None", "returned a value of type NoneType"),
        ("yield 'x'", "returned a value of type generator"),
        ("sentences.pop(); return sentences", "expected 3 translations, got 2"),
    ],
)
def test_a_broken_contract_is_named(tmp_path: Path, returned: str, why: str) -> None:
    with pytest.raises(ModelError) as caught:
        translate_with(tmp_path, returned)
    assert why in str(caught.value) and "handler.py" in str(caught.value)


def test_an_error_of_the_handler_keeps_its_own_traceback(tmp_path: Path) -> None:
    (tmp_path / "deeper.py").write_text("def fall(text):\n    raise ValueError(f'bad {text}')\n")
    with pytest.raises(ModelError) as caught:
        translate_with(tmp_path, "from deeper import fall; fall(sentences[0])")
    error = caught.value
    assert f"{tmp_path}/handler.py:4 failed in translate" in str(error)
    assert "ValueError: bad one" in str(error)
    shown = "".join(traceback.format_exception(error.__cause__))
    assert "in translate" in shown and "in fall" in shown
    assert "coordinator/inference" not in shown


@pytest.mark.parametrize("bad", [0, 1, 57, 99])
def test_the_line_that_a_handler_fails_at_is_found(tmp_path: Path, bad: int) -> None:
    lines = [f"line {number}" for number in range(100)]
    body = f"assert 'line {bad}' not in sentences; return sentences"
    model = load_model(write_handler(tmp_path, LOAD + TRANSLATE + body))
    with pytest.raises(ModelError) as caught:
        model.translate(lines, "eng", "fra")
    assert f"line {bad + 1} («line {bad}»): " in str(caught.value)
    assert isinstance(caught.value.__cause__, AssertionError)


@pytest.mark.parametrize("then", ["return sentences", "return sentences[7]"])
def test_no_line_is_named_where_each_is_fine_or_fails_otherwise(tmp_path: Path, then: str) -> None:
    with pytest.raises(ModelError) as caught:
        translate_with(tmp_path, f"assert len(sentences) < 3; {then}")
    assert str(caught.value).startswith(f"{tmp_path}/handler.py:4 failed in translate")
    assert "AssertionError" in str(caught.value)


@pytest.mark.parametrize(
    ("returned", "why"),
    [("raise SystemExit(3)", "SystemExit: 3"), ("return 1 / 0", "ZeroDivisionError")],
)
def test_no_end_of_a_handler_ends_the_worker(tmp_path: Path, returned: str, why: str) -> None:
    with pytest.raises(ModelError, match=why):
        translate_with(tmp_path, returned)


def test_running_out_of_memory_is_told_apart(tmp_path: Path) -> None:
    with pytest.raises(MemoryError):
        translate_with(tmp_path / "a", "raise MemoryError")
    lent = "class OutOfMemoryError(RuntimeError): ...\n    raise OutOfMemoryError('CUDA')"
    with pytest.raises(MemoryError, match="CUDA"):
        translate_with(tmp_path / "b", lent)


@pytest.mark.parametrize("error", [BadInput, WorkInterrupted])
def test_errors_of_the_coordinator_pass_through(tmp_path: Path, error: type[Exception]) -> None:
    raising = f"from coordinator.errors import {error.__name__} as E; raise E('x')"
    with pytest.raises(error):
        translate_with(tmp_path, raising)


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("import no_such_module\nclass Handler: ...", "ModuleNotFoundError"),
        ("class Handler:\n    def load(self, d, e): ...", "no translate in Handler"),
        ("Handler = 3", "no class Handler"),
        ("class Handler:\n  def __init__(self, x): ...\n  load = translate = print", "TypeError"),
        ("class Handler:\n  def load(self): ...\n  translate = print", "TypeError"),
        ("if False:\n    class Handler: ...", "no class Handler"),
    ],
)
def test_a_handler_that_cannot_be_made_is_refused(tmp_path: Path, code: str, why: str) -> None:
    (tmp_path / "handler.py").write_text(code)
    with pytest.raises(ModelError, match=why) as caught:
        load_model(tmp_path)
    assert "handler.py" in str(caught.value)


def test_a_long_error_is_cut_to_a_line(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        translate_with(tmp_path, "raise ValueError('x' * 10_000 + chr(10) + 'second')")
    assert len(caught.value.why) == 300 and "second" not in str(caught.value)


def test_nothing_is_written_beside_the_handler(tmp_path: Path) -> None:
    (tmp_path / "neighbour.py").write_text("WORD = 'x'\n")
    (tmp_path / "handler.py").write_text(
        "from neighbour import WORD\nclass Handler:\n  load = print\n  translate = print\n"
    )
    load_model(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["handler.py", "neighbour.py"]


def test_a_relative_folder_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_handler(tmp_path / "model", LOAD + TRANSLATE + "return [str(self.told[0])]")
    monkeypatch.chdir(tmp_path)
    assert load_model(Path("model")).translate(["x"], "a", "b") == [str(tmp_path / "model")]


def test_a_handler_does_not_pay_for_torch() -> None:
    code = (
        "import sys; from pathlib import Path; from coordinator.inference import load_model\n"
        "load_model(Path('inputs/models/copy')).translate(['x'], 'eng', 'fra')\n"
        "sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=False).returncode == 0


def test_the_example_handlers() -> None:
    models = REPOSITORY / "inputs" / "models"
    tried = try_handler(models / "copy", "eng", "fra")
    assert tried == [(sentence, sentence) for sentence in sample_sentences()]
    lexicon = load_model(models / "lexicon")
    assert lexicon.translate(["The cat sleeps.", ""], "eng", "deu") == ["Die Katze schläft.", ""]
    with pytest.raises(BadInput, match="tlh"):
        lexicon.translate(["The cat."], "eng", "tlh")


@pytest.mark.parametrize("name", ["copy", "lexicon"])
def test_the_example_handlers_run_by_themselves(name: str) -> None:
    path = REPOSITORY / "inputs" / "models" / name / "handler.py"
    done = subprocess.run([sys.executable, path], capture_output=True, text=True, check=True)
    assert done.stdout.count("->") >= 3
