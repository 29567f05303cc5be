"""Every score equals sacrebleu's to the last bit."""

import hashlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sentencepiece
from hypothesis import given, settings
from hypothesis import strategies as st
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.metrics.ter import TER

from coordinator.errors import BadInput
from coordinator.metrics import load_metric, parse_metrics, summed
from tests.corpora import damaged, sentences

FREE_TOKENIZERS = ["13a", "intl", "zh", "char", "none"]
CASES: list[tuple[str | dict[str, Any], Any]] = [
    *(({"name": "bleu", "tokenize": t}, lambda t=t: BLEU(tokenize=t)) for t in FREE_TOKENIZERS),
    ({"name": "bleu", "lowercase": True}, lambda: BLEU(lowercase=True)),
    ("chrf", CHRF),
    ("chrf++", lambda: CHRF(word_order=2)),
    ({"name": "chrf", "lowercase": True}, lambda: CHRF(lowercase=True)),
    ({"name": "chrf++", "whitespace": True}, lambda: CHRF(word_order=2, whitespace=True)),
    ("ter", TER),
    (
        {"name": "ter", "normalized": True, "asian_support": True},
        lambda: TER(normalized=True, asian_support=True),
    ),
    (
        {"name": "ter", "no_punct": True, "case_sensitive": True},
        lambda: TER(no_punct=True, case_sensitive=True),
    ),
]
IDS = [parse_metrics([entry])[0].name for entry, _ in CASES]


def assert_same(entry: str | dict[str, Any], oracle: Any, hyps: list[str], refs: list[str]) -> None:
    metric = load_metric(parse_metrics([entry])[0])
    rows = metric.statistics(hyps, metric.prepare([refs]))
    expected = oracle.corpus_score(hyps, [refs]).score
    assert metric.score(rows).hex() == float(expected).hex()
    assert rows.dtype == np.int64
    assert metric.score(np.array([summed(rows)])) == metric.score(rows)
    assert metric.signature() == str(oracle.get_signature())


@pytest.mark.parametrize(("entry", "oracle"), CASES, ids=IDS)
@pytest.mark.parametrize("seed", range(5))
def test_made_up_text(entry: Any, oracle: Any, seed: int) -> None:
    refs = sentences(seed, 15 if "ter" in str(entry) else 40)
    assert_same(entry, oracle(), damaged(refs, seed), refs)


@pytest.mark.parametrize(("entry", "oracle"), CASES, ids=IDS)
@pytest.mark.parametrize(
    ("hyps", "refs"),
    [
        (["", ""], ["a b c d e", "f"]),
        (["a b c d e", "f"], ["", ""]),
        ([""], [""]),
        (["one"], ["one"]),
        (["the same five words here"], ["the same five words here"]),
        (["x " * 300], ["x " * 200]),
        (["a\r", "b\u2028c"], ["a", "b c"]),
    ],
)
def test_edges(entry: Any, oracle: Any, hyps: list[str], refs: list[str]) -> None:
    assert_same(entry, oracle(), hyps, refs)


TEXT = st.text(max_size=40)


@pytest.mark.parametrize(("entry", "oracle"), CASES, ids=IDS)
@given(pairs=st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=6))
@settings(max_examples=25, deadline=None)
def test_any_text(entry: Any, oracle: Any, pairs: list[tuple[str, str]]) -> None:
    hyps, refs = (list(side) for side in zip(*pairs, strict=True))
    assert_same(entry, oracle(), hyps, refs)


@pytest.mark.needs_data
@pytest.mark.parametrize("target", ["deu", "jpn", "arb", "hin", "zho-CN"])
def test_real_text(target: str, test_data: Any) -> None:
    refs = test_data(f"ntrex101/{target}.txt").read_text("utf-8").split("\n")[:60]
    hyps = damaged(refs, 3)
    for entry, oracle in CASES:
        count = 8 if "ter" in str(entry) else 60  # TER takes its time over shuffled words
        assert_same(entry, oracle(), hyps[:count], refs[:count])


def test_floats_are_added_one_after_the_other() -> None:
    """As sacrebleu adds the mean lengths of several references; the exact sum would be 2."""
    assert summed(np.array([[1.0], [1e100], [1.0], [-1e100]])) == [0.0]


def test_a_score_is_no_mean_of_segment_scores() -> None:
    metric = load_metric(parse_metrics(["chrf"])[0])
    rows = metric.statistics(
        ["a long and perfect sentence", "x"],
        metric.prepare([["a long and perfect sentence", "y"]]),
    )
    assert metric.score(rows) > 90 > (metric.score(rows[:1]) + metric.score(rows[1:])) / 2


@pytest.mark.parametrize("name", ["bleu", "chrf", "chrf++", "ter"])
@pytest.mark.parametrize("sizes", [(1, 2), (3, 1, 3), ()], ids=str)
def test_references_are_of_one_length(name: str, sizes: tuple[int, ...]) -> None:
    metric = load_metric(parse_metrics([name])[0])
    said = " and ".join(map(str, sizes)) or "no"
    with pytest.raises(BadInput, match=f"references of {said} lines"):
        metric.prepare([["a b"] * size for size in sizes])


@pytest.mark.parametrize(("hyps", "refs"), [(2, 1), (1, 2), (0, 3)])
def test_as_many_hypotheses_as_references(hyps: int, refs: int) -> None:
    metric = load_metric(parse_metrics(["bleu"])[0])
    prepared = metric.prepare([["a b c d e"] * refs])
    with pytest.raises(BadInput, match=f"{hyps} hypotheses, but {refs} references"):
        metric.statistics(["a b c d e"] * hyps, prepared)


@pytest.mark.parametrize(
    ("language", "module"), [("ja", "MeCab"), ("ko", "mecab_ko")], ids=["ja", "ko"]
)
def test_a_tokenizer_that_is_not_installed(
    language: str, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)  # also where it is installed
    monkeypatch.delitem(
        sys.modules, f"sacrebleu.tokenizers.tokenizer_{language}_mecab", raising=False
    )
    with pytest.raises(BadInput, match=f"{language}-mecab") as caught:
        load_metric(parse_metrics([{"name": "bleu", "tokenize": f"{language}-mecab"}])[0])
    assert f"sacrebleu[{language}]" in caught.value.hint


@pytest.fixture(scope="session")
def piece_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small SentencePiece model, trained on the made-up text."""
    folder = tmp_path_factory.mktemp("spm")
    text = folder / "text"
    lines = [line.replace("\n", " ").replace("\0", " ") for line in sentences(0, 400)]
    text.write_text("\n".join(lines), "utf-8")
    sentencepiece.SentencePieceTrainer.train(
        input=str(text), model_prefix=str(folder / "m"), vocab_size=120, minloglevel=2
    )
    return folder / "m.model"


def test_spbleu_is_bleu_of_the_pieces(piece_model: Path) -> None:
    """Cut beforehand and scored without a tokenizer, it must be the same."""
    processor = sentencepiece.SentencePieceProcessor(model_file=str(piece_model))
    refs = sentences(11, 60)
    hyps = damaged(refs, 11)

    def cut(lines: list[str]) -> list[str]:
        return [" ".join(processor.EncodeAsPieces(line.rstrip())) for line in lines]

    metric = load_metric(parse_metrics([{"name": "spbleu", "model": str(piece_model)}])[0])
    expected = BLEU(tokenize="none").corpus_score(cut(hyps), [cut(refs)]).score
    assert metric.score(metric.statistics(hyps, metric.prepare([refs]))).hex() == expected.hex()


def test_spbleu_names_its_file_by_hash(piece_model: Path) -> None:
    metric = load_metric(parse_metrics([{"name": "spbleu", "model": str(piece_model)}])[0])
    digest = hashlib.sha256(piece_model.read_bytes()).hexdigest()
    assert metric.tokenizer_sha256 == digest
    assert f"|tok:spm-{digest[:8]}|" in metric.signature()


@pytest.mark.parametrize("data", [b"", b"no model", b"\0" * 50])
def test_no_sentencepiece_file(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.model").write_bytes(data)
    spec = parse_metrics([{"name": "spbleu", "model": "x.model"}], base=tmp_path)[0]
    with pytest.raises(BadInput, match=r"x\.model is no SentencePiece model"):
        load_metric(spec)


def test_a_missing_sentencepiece_file(tmp_path: Path) -> None:
    spec = parse_metrics([{"name": "spbleu", "model": "gone.model"}], base=tmp_path)[0]
    with pytest.raises(BadInput, match=r"gone\.model cannot be read: No such file"):
        load_metric(spec)
