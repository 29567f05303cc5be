"""Models of every family converted: CTranslate2 reads and writes what transformers does."""

import itertools
import json
import shutil
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_models import ARCHITECTURES, make
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

from coordinator.domain.ctranslate2_folder import Family, read_family
from coordinator.errors import ModelError
from coordinator.inference.backend import Row
from coordinator.inference.ctranslate2_backend import CTranslate2Backend
from tests.model_folders import make_marian
from tests.support import REPOSITORY

sys.path.append(str(REPOSITORY / "tools"))
from to_ctranslate2 import convert, main

DEMO = REPOSITORY / "inputs" / "demo"
LANGUAGES = {
    "m2m100": ("de", "fr"),
    "nllb": ("deu_Latn", "fra_Latn"),
    "mbart50": ("de_DE", "fr_XX"),
}
ODD = [
    "</s> a", "a <unk> b", ">>fra<< a", "x" * 500, "🙂 ok", "a\u3000b", " lead", "<s><pad>",
    "__de__ x", "deu_Latn z", "de_DE z", "<mask> m", "▁", "a  b", "e\u0301", "tab\there",
]  # fmt: skip


@dataclass
class Pair:
    """One model twice: as transformers has it, and converted."""

    name: str
    tokenizer: Any
    network: Any
    backend: CTranslate2Backend
    family: Family
    vocabulary: frozenset[str]

    def rows(self, texts: list[str]) -> list[Row]:
        return self.backend.encode(texts, "deu", "fra")

    def ids(self, text: str) -> list[int]:
        """What transformers reads, cut as the model needs it."""
        if self.name in LANGUAGES:
            self.tokenizer.src_lang = LANGUAGES[self.name][0]
        ids, longest = self.tokenizer(text).input_ids, self.family.longest_source
        return ids if len(ids) <= longest else [*ids[: longest - 1], ids[-1]]

    def plain(self, text: str) -> list[str]:
        """The plain loop: one sentence, greedy, by `generate`; the tokens before the end."""
        ids = torch.tensor([self.ids(text)])
        given = {} if self.name == "marian" else {"forced_bos_token_id": self._target()}
        with torch.inference_mode():
            [written] = self.network.generate(
                input_ids=ids, attention_mask=torch.ones_like(ids), **given
            ).tolist()
        after = written[1 + len(given) :]
        ended = itertools.takewhile(lambda number: number != self.tokenizer.eos_token_id, after)
        return list(self.tokenizer.convert_ids_to_tokens(list(ended)))

    def _target(self) -> int:
        code = LANGUAGES[self.name][1]
        token = f"__{code}__" if self.name == "m2m100" else code
        number: int = self.tokenizer.convert_tokens_to_ids(token)
        return number

    def known(self, tokens: list[str]) -> list[str]:
        """As transformers names them, which has but one name for all that it does not know."""
        named = self.vocabulary | {"<pad>"}
        kept = [token if token in named else "<unk>" for token in tokens]
        return ["<unk>" if token.startswith("<unused") else token for token in kept]


@pytest.fixture(scope="module")
def sentences(test_data: Callable[[str], Path]) -> list[str]:
    """Real ones, of four languages."""
    texts = [(test_data("ntrex101") / f"{name}.txt") for name in ("deu", "fra", "jpn", "eng-US")]
    lines = (text.read_text(encoding="utf-8").splitlines()[:100] for text in texts)
    return [line for line in itertools.chain.from_iterable(lines) if line.strip()]


@pytest.fixture(scope="module", params=ARCHITECTURES)
def pair(
    request: pytest.FixtureRequest, sentences: list[str], tmp_path_factory: pytest.TempPathFactory
) -> Pair:
    folder = tmp_path_factory.mktemp(request.param)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Recommended: pip install sacremoses")
        made = make(request.param, folder / "huggingface", sentences, pieces=800)
        convert(made, folder / "ctranslate2")
        tokenizer = AutoTokenizer.from_pretrained(made)
    network = AutoModelForSeq2SeqLM.from_pretrained(made, dtype=torch.float32).eval()
    network.generation_config.max_new_tokens = network.generation_config.max_length
    network.generation_config.max_length = None
    tokens = json.loads((folder / "ctranslate2" / "shared_vocabulary.json").read_text())
    converted = folder / "ctranslate2"
    backend = CTranslate2Backend(converted, "cpu", translators=2)
    family = read_family(converted)
    return Pair(request.param, tokenizer, network, backend, family, frozenset(tokens))


@pytest.mark.needs_data
def test_text_is_cut_into_the_same_tokens(pair: Pair, sentences: list[str]) -> None:
    texts = [*sentences, *ODD]
    for text, row in zip(texts, pair.rows(texts), strict=True):
        wanted = pair.tokenizer.convert_ids_to_tokens(pair.ids(text))
        assert pair.known(row.data["source"]) == wanted, text


@pytest.mark.needs_data
def test_tokens_become_the_same_text(pair: Pair, sentences: list[str]) -> None:
    outputs = pair.backend.translate(pair.rows(sentences[:100]))
    for output in outputs:
        tokens = [token for token in output.data if not token.startswith("<unused")]
        ids = pair.tokenizer.convert_tokens_to_ids(tokens)
        wanted = pair.tokenizer.decode(ids, skip_special_tokens=True).strip()
        assert pair.backend._tokens.join(tokens) == wanted


@pytest.mark.needs_data
def test_greedy_writes_what_transformers_writes_one_by_one(
    pair: Pair, sentences: list[str]
) -> None:
    """Two libraries add up in another order: a token may differ where two are next to equal."""
    texts = sentences[::10]
    outputs = pair.backend.translate(pair.rows(texts))
    pairs = [(pair.plain(t), pair.known(o.data)) for t, o in zip(texts, outputs, strict=True)]
    other = [(plain, found) for plain, found in pairs if plain != found]
    assert len(other) <= len(texts) * 0.05, other[:3]
    assert len({len(plain) for plain, _ in pairs}) > 1  # else little would be shown


@pytest.mark.needs_data
def test_a_batch_writes_what_each_sentence_alone_gives(pair: Pair, sentences: list[str]) -> None:
    rows = pair.rows(sentences)
    alone = [pair.backend.translate([row])[0] for row in rows]
    differ = [a != b for a, b in zip(pair.backend.translate(rows), alone, strict=True)]
    print(f"{pair.name}: {sum(differ)} of {len(rows)} sentences differ from the plain loop")
    assert sum(differ) <= len(rows) * 0.01


def test_the_demo_s_model_is_the_converted_one(tmp_path: Path) -> None:
    convert(DEMO / "huggingface", tmp_path / "model")
    for path in sorted((DEMO / "model").iterdir()):
        assert (tmp_path / "model" / path.name).read_bytes() == path.read_bytes(), path.name


def test_a_marian_of_several_targets_is_told_which(tmp_path: Path) -> None:
    pieces = (">>fra<<", ">>ita<<")
    made = make_marian(tmp_path / "made", pieces=pieces, source_lang="en", target_lang="roa")
    convert(made, tmp_path / "out")
    model = CTranslate2Backend(tmp_path / "out", "cpu")
    [row] = model.encode(["a dog"], "eng", "ita")
    assert row.data["source"][0] == ">>ita<<" and row.data["prefix"] == []
    assert read_family(tmp_path / "out").languages == {"fra": ">>fra<<", "ita": ">>ita<<"}


def test_a_pickle_is_refused(tmp_path: Path) -> None:
    folder = shutil.copytree(DEMO / "huggingface", tmp_path / "made")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="never loaded"):
        convert(folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_converted_is_said_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(DEMO / "huggingface", tmp_path / "made")
    (folder / "sentencepiece.bpe.model").write_bytes(b"no pieces")
    monkeypatch.setattr(sys, "argv", ["to_ctranslate2.py", str(folder), str(tmp_path / "out")])
    assert main() == 2
    said = capsys.readouterr().err
    assert "failed in loading" in said and "save it again" in said and "Traceback" not in said
    assert [path.name for path in tmp_path.iterdir()] == ["made"]


def test_no_more_is_written_than_the_model_has_places_for(tmp_path: Path) -> None:
    folder = shutil.copytree(DEMO / "huggingface", tmp_path / "made")
    path = folder / "generation_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"max_length": 60_000}))
    convert(folder, tmp_path / "out")
    positions = json.loads((folder / "config.json").read_text())["max_position_embeddings"]
    assert read_family(tmp_path / "out").most_new_tokens == positions


def test_what_is_there_is_not_written_over(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is there"):
        convert(DEMO / "huggingface", tmp_path)
    with pytest.raises(ModelError, match="of kind ctranslate2"):
        convert(DEMO / "model", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
