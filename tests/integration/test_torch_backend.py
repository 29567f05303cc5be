"""Greedy writing in batches gives what the plain loop gives, for each architecture."""

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import pytest
import tiny_models
import torch
from greedy_identity import PlainLoop, Sentence, differences, in_batches, make_model, real_sentences
from predictions import Corpus
from transformers import GenerationConfig

from coordinator.errors import BadInput
from coordinator.inference.backend import Output
from coordinator.inference.generation import greedy_settings, is_understood
from coordinator.inference.torch_backend import TorchBackend, load_torch
from coordinator.inference.torch_probe import measured_budget
from tests.support import REPOSITORY

ARCHITECTURES = list(tiny_models.ARCHITECTURES)
DEMO = REPOSITORY / "inputs" / "demo"
SHORT = tiny_models.Shape(max_length=24, end_weight=4.0)
CODES = {"m2m100": ("en", "fr"), "nllb": ("eng_Latn", "fra_Latn"), "mbart50": ("en_XX", "fr_XX")}


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Of models so small, more threads are in each other's way."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def lines() -> list[str]:
    paths = sorted((DEMO / "text").glob("*.devtest"))
    return [line for path in paths for line in path.read_text("utf-8").splitlines()]


Make = Callable[[str], Path]


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory, lines: list[str]) -> Make:
    """The folder of a model of an architecture, made once."""
    made: dict[str, Path] = {}

    def folder(architecture: str) -> Path:
        if architecture not in made:
            path = tmp_path_factory.mktemp(architecture)
            made[architecture] = tiny_models.make(architecture, path, lines, shape=SHORT)
        return made[architecture]

    return folder


def sentences(lines: list[str], architecture: str, count: int) -> list[Sentence]:
    source, target = CODES.get(architecture, ("", ""))
    pairs = [(source, target), (target, source)]
    chosen = lines[:: len(lines) // count][:count]
    return [Sentence(text, *pairs[number % 2]) for number, text in enumerate(chosen)]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_batch_writes_what_the_plain_loop_writes(
    make: Make, lines: list[str], architecture: str
) -> None:
    folder, asked = make(architecture), sentences(lines, architecture, 40)
    backend = load_torch(folder, "cpu")
    found = list(differences(backend, PlainLoop(folder), asked, budget=400))
    assert all(difference.is_rounding for difference in found)
    assert len(found) <= 2
    written = in_batches(backend, asked, budget=400)
    assert len({len(tokens) for tokens in written}) >= 4, "sentences must end at many lengths"


@pytest.mark.needs_data
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_real_sentences_are_written_as_by_the_plain_loop(
    test_data: Callable[[str], Path], tmp_path: Path, architecture: str
) -> None:
    corpus = Corpus(test_data("ntrex101"))
    folder = make_model(corpus, architecture, tmp_path)
    asked = real_sentences(corpus, architecture, 60)
    found = list(differences(load_torch(folder, "cpu"), PlainLoop(folder), asked, budget=2_000))
    print(*found, sep="\n")
    assert all(difference.is_rounding for difference in found)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_what_a_folder_s_generation_config_asks_for_is_done(
    make: Make, lines: list[str], tmp_path: Path, architecture: str
) -> None:
    """Banned words of one and of two tokens, repeats, the shortest and the longest length."""
    plain = PlainLoop(make(architecture))
    asked = sentences(lines, architecture, 12)
    said = max((plain.write(sentence) for sentence in asked), key=len)
    folder = tmp_path / "strict"
    plain.network.generation_config.update(
        bad_words_ids=[[said[0]], said[1:3]], no_repeat_ngram_size=2, repetition_penalty=1.3,
        min_length=4, max_length=9, forced_eos_token_id=tiny_models.END,
    )  # fmt: skip
    plain.network.save_pretrained(folder)
    plain.tokenizer.save_pretrained(folder)
    backend = load_torch(folder, "cpu")
    assert backend.mixes_directions
    found = list(differences(backend, PlainLoop(folder), asked, budget=400))
    assert all(difference.is_rounding for difference in found)
    for tokens in in_batches(backend, asked, budget=400):
        assert said[0] not in tokens and len(tokens) <= 9 and tokens[-1] == tiny_models.END


def test_settings_that_the_loop_does_not_know_go_to_the_library(
    make: Make, lines: list[str], tmp_path: Path
) -> None:
    plain = PlainLoop(make("m2m100"))
    plain.network.generation_config.update(encoder_no_repeat_ngram_size=1, max_length=20)
    plain.network.save_pretrained(tmp_path)
    plain.tokenizer.save_pretrained(tmp_path)
    backend, asked = load_torch(tmp_path, "cpu"), sentences(lines, "m2m100", 12)
    assert not backend.mixes_directions
    assert not is_understood(greedy_settings(plain.network.generation_config, 100))
    assert all(d.is_rounding for d in differences(backend, PlainLoop(tmp_path), asked, budget=400))


def test_plain_settings_are_understood() -> None:
    assert is_understood(greedy_settings(GenerationConfig(num_beams=5, max_length=200), 100))
    assert greedy_settings(GenerationConfig(max_length=200), 100).max_new_tokens == 100


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_beams_are_those_of_the_library(make: Make, lines: list[str], architecture: str) -> None:
    folder, asked = make(architecture), sentences(lines, architecture, 6)
    backend, plain = load_torch(folder, "cpu", beams=3), PlainLoop(folder)
    assert not backend.mixes_directions
    for sentence, tokens in zip(asked, in_batches(backend, asked, budget=400), strict=True):
        first = plain.first(sentence)
        written = plain.network.generate(
            **plain.inputs(sentence),
            forced_bos_token_id=first,
            max_new_tokens=SHORT.max_length,
            num_beams=3,
        )[0].tolist()
        assert written[1 if first is None else 2 :] == tokens


@pytest.fixture(scope="module")
def demo() -> TorchBackend:
    return load_torch(DEMO / "huggingface", "cpu")


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_what_was_cut_off_is_told(
    make: Make, lines: list[str], tmp_path: Path, architecture: str
) -> None:
    """It is what a model that may write more goes on with."""
    source, target = CODES.get(architecture, ("en", "fr"))
    free, bound = (
        load_torch(writes_at_most(most, make(architecture), tmp_path / str(most)), "cpu")
        for most in (48, 12)
    )
    rows = bound.encode(lines[::20], source, target)
    most = 12 - len(rows[0].data["start"])
    forced = architecture in ("mbart50", "marian")  # an end in the last place may be their own
    lengths = [output.tokens or 0 for output in free.translate(rows)]
    wanted = [length > most - forced for length in lengths]
    assert [output.truncated for output in bound.translate(rows)] == wanted
    assert len(set(wanted)) == 2, "some must be cut off, and some not"


def writes_at_most(tokens: int, model: Path, folder: Path) -> Path:
    """A copy of a model."""
    path = shutil.copytree(model, folder) / "generation_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"max_length": tokens}))
    return folder


def test_what_a_search_cut_off_is_told(make: Make, lines: list[str]) -> None:
    backend = load_torch(make("nllb"), "cpu", beams=2)
    outputs = backend.translate(backend.encode(lines[::20], "eng_Latn", "fra_Latn"))
    ends = [output.data[-1] == tiny_models.END for output in outputs]
    assert [output.truncated for output in outputs] == [not end for end in ends]
    assert len(set(ends)) == 2


def test_rows_are_plain_data_and_tell_what_they_cost(demo: TorchBackend) -> None:
    short, long = demo.encode(["The cat sleeps.", "The cat sleeps. " * 400], "eng", "deu")
    assert json.loads(json.dumps(short.data)) == short.data
    assert short.tokens == len(short.data["ids"]) and not short.truncated
    assert (long.tokens, long.truncated) == (512, True)


def test_directions_share_a_batch(demo: TorchBackend) -> None:
    asked = [("The cat sleeps.", "eng", "deu"), ("Die Katze schläft.", "deu", "fra")]
    rows = [demo.encode([text], source, target)[0] for text, source, target in asked]
    outputs = demo.translate([rows[0], rows[1], rows[0]])
    assert demo.decode(outputs) == ["Die Katze schläft.", "Le chat dort.", "Die Katze schläft."]
    assert [output.tokens for output in outputs] == [len(output.data) for output in outputs]


def test_nothing_in_nothing_out(demo: TorchBackend) -> None:
    assert demo.encode([], "eng", "deu") == demo.translate([]) == demo.decode([]) == []


def test_a_language_that_is_not_known_is_bad_input(demo: TorchBackend) -> None:
    with pytest.raises(BadInput, match="'tlh'"):
        demo.encode(["x"], "eng", "tlh")


def test_threads_that_encode_and_decode_do_not_disturb_each_other(make: Make) -> None:
    """The tokenizer holds the source language: it must not change under a thread's feet."""
    backend, texts = load_torch(make("nllb"), "cpu"), ["the house is red"] * 8
    expected = {code: backend.encode(texts, code, "fra_Latn") for code in ("eng_Latn", "deu_Latn")}
    wrong: list[str] = []

    def encode(code: str) -> None:
        for _ in range(30):
            if backend.encode(texts, code, "fra_Latn") != expected[code]:
                wrong.append(code)
            backend.decode([Output(1, list(expected[code][0].data["ids"]))])

    threads = [threading.Thread(target=encode, args=[code]) for code in list(expected) * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_token_budget_is_tried_with_the_longest_of_all(
    make: Make, monkeypatch: pytest.MonkeyPatch, architecture: str
) -> None:
    """No GPU is here: what torch says of one is made up, what is written is not."""
    backend = load_torch(make(architecture), "cpu")
    writer = backend.writer
    assert writer is not None and measured_budget(backend) is None
    assert writer.exhaust(2, 7) == 1 + SHORT.max_length
    tried: list[tuple[int, int]] = []
    monkeypatch.setattr(writer, "exhaust", lambda *given: tried.append(given))
    for name in ("empty_cache", "reset_peak_memory_stats"):
        monkeypatch.setattr(torch.cuda, name, lambda: None)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (60, 100))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda: 20)
    monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda: 10 * tried[-1][0])
    backend.device = "cuda"
    assert measured_budget(backend) == 4 * backend.longest
    assert tried == [(n, backend.longest) for n in (1, 2, 4, 8)]


def test_rows_that_have_ended_are_not_computed_on(make: Make, lines: list[str]) -> None:
    backend = load_torch(make("m2m100"), "cpu")
    rows = backend.encode(list(islice(lines, 64)), "en", "fr")
    outputs = backend.translate(rows)
    assert backend.writer is not None
    wanted = sum(output.tokens or 0 for output in outputs)
    padded = len(rows) * max(output.tokens or 0 for output in outputs)
    assert wanted <= backend.writer.computed < min(padded, 1.5 * wanted)
