"""The demo's model through CTranslate2, as a backend and as a worker has it."""

import json
import shutil
import subprocess
import sys
from itertools import permutations
from pathlib import Path

import pytest
from sacrebleu.metrics import BLEU

from coordinator.domain.job_options import InferenceOptions
from coordinator.errors import BadInput, ModelError
from coordinator.inference import load_model
from coordinator.inference.backend import Row
from coordinator.inference.ctranslate2_backend import CTranslate2Backend
from coordinator.inference.load import load_backend
from tests.support import REPOSITORY

DEMO = REPOSITORY / "inputs" / "demo"
MODEL = DEMO / "model"
LANGUAGES = ("deu", "eng", "fra", "ita", "por", "spa")
FLOOR = 90.0  # BLEU that every direction must reach on the held-out sentences


def held_out(language: str) -> list[str]:
    return (DEMO / "text" / f"{language}.devtest").read_text(encoding="utf-8").splitlines()


def changed(folder: Path, **changes: object) -> Path:
    """A copy of the demo's model with another description."""
    shutil.copytree(MODEL, folder)
    family = json.loads((folder / "family.json").read_text())
    (folder / "family.json").write_text(json.dumps(family | changes))
    return folder


@pytest.fixture(scope="module")
def demo() -> CTranslate2Backend:
    return CTranslate2Backend(MODEL, "cpu", translators=2)


def say(model: CTranslate2Backend, texts: list[str], source: str, target: str) -> list[str]:
    return model.decode(model.translate(model.encode(texts, source, target)))


@pytest.mark.parametrize(("source", "target"), list(permutations(LANGUAGES, 2)))
def test_the_demo_model_translates_what_it_has_not_seen(
    demo: CTranslate2Backend, source: str, target: str
) -> None:
    translations = say(demo, held_out(source), source, target)
    assert BLEU().corpus_score(translations, [held_out(target)]).score >= FLOOR


def test_directions_share_a_batch_and_change_nothing(demo: CTranslate2Backend) -> None:
    """The plain loop: one sentence at a time, in one thread."""
    rows: list[Row] = []
    for source, target in permutations(LANGUAGES, 2):
        rows += demo.encode(held_out(source)[:20], source, target)
    plain = CTranslate2Backend(MODEL, "cpu", translators=1)
    alone = [plain.translate([row])[0] for row in rows]
    assert demo.translate(rows) == alone
    assert demo.translate(rows[::-1]) == alone[::-1]
    assert demo.translate([]) == []


def test_what_it_costs_is_told(demo: CTranslate2Backend) -> None:
    [row] = demo.encode(["The cat sleeps."], "eng", "deu")
    assert row.data["source"][0] == "__en__" and row.data["source"][-1] == "</s>"
    assert row.tokens == len(row.data["source"]) and not row.truncated
    [output] = demo.translate([row])
    assert demo.decode([output]) == ["Die Katze schläft."]
    assert output.tokens == len(output.data) + 1  # and the end


def test_rows_and_outputs_are_plain_data(demo: CTranslate2Backend) -> None:
    [row] = demo.encode(["The cat sleeps."], "en", "de")
    sent = json.loads(json.dumps(row.data))
    [output] = demo.translate([Row(row.tokens, sent)])
    assert json.loads(json.dumps(output.data)) == output.data


def test_a_sentence_too_long_is_cut_and_told(demo: CTranslate2Backend) -> None:
    [row] = demo.encode(["The cat sleeps. " * 400], "eng", "deu")
    assert row.truncated and row.tokens == 512 and row.data["source"][-1] == "</s>"
    [output] = demo.translate([row])
    assert output.data and (output.tokens or 0) <= 64


def test_a_translation_that_is_cut_off_is_told(demo: CTranslate2Backend, tmp_path: Path) -> None:
    texts = held_out("eng")[:40]
    whole = demo.translate(demo.encode(texts, "eng", "deu"))
    most = sorted(output.tokens or 0 for output in whole)[20] + 1  # the language's token counts
    short = CTranslate2Backend(changed(tmp_path / "model", most_new_tokens=most), "cpu")
    bound = short.translate(short.encode(texts, "eng", "deu"))
    assert not any(output.truncated for output in whole)
    cut = [(output.tokens or 0) + 1 > most for output in whole]
    assert [output.truncated for output in bound] == cut and len(set(cut)) == 2
    assert all(a.data == b.data[: len(a.data)] for a, b in zip(bound, whole, strict=True))


def test_what_is_cut_keeps_all_that_ends_it(tmp_path: Path) -> None:
    """The older kind of NLLB names the source language last, after the end."""
    model = CTranslate2Backend(changed(tmp_path / "model", language_last=True), "cpu")
    [row] = model.encode(["The cat sleeps. " * 400], "eng", "deu")
    assert row.truncated and row.tokens == 512
    assert row.data["source"][-2:] == ["</s>", "__en__"]


def test_a_language_that_is_not_known_is_bad_input(demo: CTranslate2Backend) -> None:
    for source, target in (("eng", "tlh"), ("tlh", "eng")):
        with pytest.raises(BadInput, match="'tlh'"):
            demo.encode(["x"], source, target)


def test_special_tokens_in_a_text_are_no_danger(demo: CTranslate2Backend) -> None:
    odd = ["</s>", "<pad> <s>", "__de__", "a</s>b", "\0", "🙂" * 50, "▁", "x" * 5000]
    assert len(say(demo, odd, "eng", "deu")) == len(odd)


@pytest.mark.parametrize("options", [{"beams": 4}, {"compute_type": "int8"}])
def test_other_ways_to_compute_serve_as_well(options: dict[str, object]) -> None:
    model = load_backend(MODEL, InferenceOptions.model_validate(options), "cpu")
    outputs = model.translate(model.encode(held_out("eng"), "eng", "deu"))
    assert BLEU().corpus_score(model.decode(outputs), [held_out("deu")]).score >= FLOOR


def test_several_beams_are_searched() -> None:
    one, four = (CTranslate2Backend(MODEL, "cpu", beams=beams, translators=1) for beams in (1, 4))
    rubbish = ["xyz qqq", "ab ab ab", "12 of none"]
    assert say(one, rubbish, "eng", "deu") != say(four, rubbish, "eng", "deu")


def test_as_one_model_the_order_is_restored_and_blank_lines_stay_blank() -> None:
    model = load_model(MODEL, device="cpu", batch_size=4)
    sentences = ["The cat sleeps.", "", *held_out("eng")[:5], "  ", "The dogs sing."]
    together = model.translate(sentences, "eng", "deu")
    assert together == [model.translate([text], "eng", "deu")[0] for text in sentences]
    assert together[0] == "Die Katze schläft." and together[1] == together[7] == ""


def test_languages_of_the_folder_s_own_table(tmp_path: Path) -> None:
    folder = shutil.copytree(MODEL, tmp_path / "model")
    (folder / "languages.json").write_text('{"tlh": "de", "qaa": "none"}')
    model = CTranslate2Backend(folder, "cpu")
    assert say(model, ["The cat sleeps."], "eng", "tlh") == ["Die Katze schläft."]
    with pytest.raises(BadInput, match="'qaa'"):
        model.encode(["The cat sleeps."], "eng", "qaa")


def test_a_marian_of_one_direction_is_held_to_it(tmp_path: Path) -> None:
    folder = changed(tmp_path / "model", family="marian", languages={}, source="en", target="fr")
    shutil.copy(folder / "sentencepiece.bpe.model", folder / "source.spm")
    model = CTranslate2Backend(folder, "cpu")
    [row] = model.encode(["a dog"], "eng", "fra")
    assert row.data["prefix"] == []
    for source, target in (("deu", "fra"), ("eng", "deu")):
        with pytest.raises(BadInput, match="'deu'"):
            model.encode(["a dog"], source, target)


@pytest.mark.parametrize("name", ["sentencepiece.bpe.model", "model.bin"])
def test_a_file_that_its_library_cannot_read_is_a_model_error(tmp_path: Path, name: str) -> None:
    folder = shutil.copytree(MODEL, tmp_path / "model")
    (folder / name).write_bytes(b"no pieces, no weights")
    with pytest.raises(ModelError, match="failed in loading") as caught:
        CTranslate2Backend(folder, "cpu")
    assert caught.value.hint


def test_a_tokenizer_that_makes_its_library_panic_is_a_model_error(tmp_path: Path) -> None:
    folder = changed(tmp_path / "model", family="nllb")
    (folder / "tokenizer.json").write_text('{"version": "1.0", "model": {"type": "BPE"}}')
    with pytest.raises(ModelError, match="failed in loading"):
        CTranslate2Backend(folder, "cpu")


def test_a_gpu_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctranslate2.get_cuda_device_count", lambda: 0)
    with pytest.raises(ModelError, match="there is no GPU here"):
        CTranslate2Backend(MODEL, "cuda")


def test_a_library_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    for module in [name for name in sys.modules if name.startswith("coordinator.inference.")]:
        monkeypatch.delitem(sys.modules, module)
    with pytest.raises(ModelError, match="torch") as caught:
        load_model(DEMO / "huggingface", device="cpu")
    assert "make setup-torch" in caught.value.hint


def test_it_runs_without_torch_and_transformers() -> None:
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from coordinator.inference import load_model\n"
        f"model = load_model(Path({str(MODEL)!r}), device='cpu')\n"
        "assert model.translate(['The cat sleeps.'], 'eng', 'fra') == ['Le chat dort.']\n"
        "sys.exit(bool({'torch', 'transformers', 'huggingface_hub'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
