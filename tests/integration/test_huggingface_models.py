"""Real networks through the real loading path: the demo's, and tiny NLLB and Marian ones."""

import json
import shutil
import socket
from itertools import permutations
from pathlib import Path

import pytest
from sacrebleu.metrics import BLEU
from sentencepiece import SentencePieceProcessor

from coordinator.domain.job_options import InferenceOptions
from coordinator.errors import BadInput, ModelError
from coordinator.inference import Model, load_model
from coordinator.inference.hf_folder import load_seq2seq
from coordinator.inference.load import load_backend
from coordinator.inference.torch_backend import TorchBackend
from tests.model_folders import LINES, make_marian, make_mbart50, make_nllb
from tests.support import REPOSITORY

DEMO = REPOSITORY / "inputs" / "demo"
FLOOR = 90.0  # BLEU that every tested direction must reach on the held-out sentences


def held_out(language: str) -> list[str]:
    return (DEMO / "text" / f"{language}.devtest").read_text(encoding="utf-8").splitlines()


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a model may not call anybody")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture(scope="module")
def demo() -> Model:
    return load_model(DEMO / "huggingface", device="cpu", batch_size=64)


@pytest.mark.parametrize(("source", "target"), list(permutations(("deu", "eng", "fra", "spa"), 2)))
def test_the_demo_model_translates_what_it_has_not_seen(
    demo: Model, source: str, target: str
) -> None:
    translations = demo.translate(held_out(source), source, target)
    assert BLEU().corpus_score(translations, [held_out(target)]).score >= FLOOR


def test_order_is_restored_and_blank_lines_stay_blank(demo: Model) -> None:
    sentences = ["The cat sleeps.", "", *held_out("eng")[:5], "  ", "The dogs sing."]
    together = demo.translate(sentences, "eng", "deu")
    alone = [demo.translate([sentence], "eng", "deu")[0] for sentence in sentences]
    assert together == alone
    assert together[0] == "Die Katze schläft." and together[1] == together[7] == ""
    assert demo.translate([], "eng", "deu") == []


def test_a_sentence_too_long_is_cut_and_counted() -> None:
    backend = load_backend(DEMO / "huggingface", InferenceOptions(), "cpu")
    [row] = backend.encode(["The cat sleeps. " * 400], "eng", "deu")
    assert (row.truncated, row.tokens) == (True, 512)
    [output] = backend.translate([row])
    assert backend.decode([output])[0] and output.tokens


def test_codes_of_the_tokenizer_are_taken_as_they_are(demo: Model) -> None:
    assert demo.translate(["The cat sleeps."], "en", "de") == ["Die Katze schläft."]


def test_a_language_that_is_not_known_is_bad_input(demo: Model) -> None:
    with pytest.raises(BadInput, match="'tlh'"):
        demo.translate(["x"], "eng", "tlh")


@pytest.mark.parametrize("target", ["fra", "fra_Latn", "zho-TW"])
def test_a_model_of_the_nllb_kind(tmp_path: Path, target: str) -> None:
    model = load_model(make_nllb(tmp_path / "nllb"), device="cpu", batch_size=3)
    translations = model.translate(LINES, "eng", target)
    assert len(translations) == len(LINES)
    assert not any("Latn" in text or "Hant" in text for text in translations)


def test_the_target_language_decides_what_nllb_writes(tmp_path: Path) -> None:
    model = load_model(make_nllb(tmp_path / "nllb"), device="cpu")
    written = {tuple(model.translate(LINES, "eng", code)) for code in ("fra", "deu", "ita", "spa")}
    assert len(written) > 1


def test_a_model_of_the_marian_kind(tmp_path: Path) -> None:
    folder = make_marian(tmp_path / "marian", source_lang="en", target_lang="fr")
    model = load_model(folder, device="cpu")
    assert len(model.translate(LINES, "eng", "fra")) == len(LINES)
    with pytest.raises(BadInput, match="'deu'"):
        model.translate(LINES, "deu", "fra")
    with pytest.raises(BadInput, match="'deu'"):
        model.translate(LINES, "eng", "deu")


def test_a_marian_model_of_several_targets_is_told_which(tmp_path: Path) -> None:
    pieces = (">>fra<<", ">>ita<<")
    folder = make_marian(tmp_path / "marian", pieces=pieces, source_lang="en", target_lang="roa")
    model = load_model(folder, device="cpu")
    assert model.translate(LINES, "eng", "ita") != model.translate(LINES, "eng", "fra")
    with pytest.raises(BadInput, match="'deu'"):
        model.translate(["a dog"], "eng", "deu")


def test_a_tokenizer_of_sentencepiece_s_file_alone(tmp_path: Path) -> None:
    """As mBART-50 is published; transformers makes its own tokenizer of that file."""
    folder = make_mbart50(tmp_path / "model")
    assert not (folder / "tokenizer.json").exists()
    backend = load_backend(folder, InferenceOptions(), "cpu")
    pieces = SentencePieceProcessor(model_file=str(folder / "sentencepiece.bpe.model"))
    for row, line in zip(backend.encode(LINES, "eng", "fra"), LINES, strict=True):
        code, *ids, end = row.data["ids"]
        # Four special tokens come first; SentencePiece has three of its own.
        assert ids == [number + 1 for number in pieces.encode(line)][: len(ids)]
        assert len(ids) > 15 and end == 2 and code != row.data["start"][0]
    assert len(set(load_model(folder, device="cpu").translate(LINES, "en", "fr"))) > 1


def test_what_is_cut_keeps_all_that_ends_it(tmp_path: Path) -> None:
    """The older kind of NLLB names the source language last, after the end."""
    folder = make_nllb(tmp_path / "model")
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"legacy_behaviour": True}))
    model = load_seq2seq(folder, "cpu")
    backend = TorchBackend(model)
    short, long = backend.encode(["a dog", "a dog " * 99], "eng_Latn", "fra_Latn")
    assert long.truncated and long.tokens == model.longest
    assert long.data["ids"][-2:] == short.data["ids"][-2:]
    assert long.data["ids"][-2] == model.tokenizer.eos_token_id


@pytest.mark.parametrize("positions", [0, -1, 2])
def test_a_model_that_can_read_nothing_is_refused(tmp_path: Path, positions: int) -> None:
    folder = make_nllb(tmp_path / "model")
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"model_max_length": positions}))
    with pytest.raises(ModelError, match=f"reads {positions} tokens at most"):
        load_model(folder, device="cpu")


def test_languages_of_the_folder_s_own_table(tmp_path: Path) -> None:
    folder = shutil.copytree(DEMO / "huggingface", tmp_path / "model")
    (folder / "languages.json").write_text('{"tlh": "de", "qaa": "none"}')
    model = load_model(folder, device="cpu")
    assert model.translate(["The cat sleeps."], "eng", "tlh") == ["Die Katze schläft."]
    with pytest.raises(BadInput, match="'qaa'"):
        model.translate(["The cat sleeps."], "eng", "qaa")


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    folder = shutil.copytree(DEMO / "huggingface", tmp_path / "model")
    config = (folder / "config.json").read_text()
    (folder / "config.json").write_text(
        config.replace('"encoder_layers": 3', '"encoder_layers": 4')
    )
    with pytest.raises(ModelError, match="tensors are missing"):
        load_model(folder, device="cpu")


def test_a_tokenizer_that_cannot_be_read_is_a_model_error(tmp_path: Path) -> None:
    folder = shutil.copytree(DEMO / "huggingface", tmp_path / "model")
    (folder / "sentencepiece.bpe.model").write_bytes(b"no pieces")
    with pytest.raises(ModelError, match="failed in loading"):
        load_model(folder, device="cpu")


def test_a_gpu_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ModelError, match="there is no GPU here"):
        load_model(DEMO / "huggingface", device="cuda")


def test_code_in_a_model_folder_is_never_run(tmp_path: Path) -> None:
    folder = shutil.copytree(DEMO / "huggingface", tmp_path / "model")
    config = (folder / "config.json").read_text()
    mapped = '{"auto_map": {"AutoModelForSeq2SeqLM": "evil.Evil"},'
    (folder / "config.json").write_text(config.replace("{", mapped, 1))
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Evil: ...\n")
    assert load_model(folder, device="cpu").translate(["The cat sleeps."], "eng", "deu")
    assert not (tmp_path / "ran").exists()
