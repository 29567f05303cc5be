"""chrF and chrF++: every count and every score is sacrebleu's, to the last bit."""

import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sacrebleu.metrics.chrf import CHRF

from coordinator.errors import BadInput
from coordinator.metrics import Prepared
from coordinator.metrics.chrf import ChrfMetric
from coordinator.metrics.codes import Text
from coordinator.metrics.formulas import chrf_scores
from coordinator.metrics.keys import FIRST_ID, Tokens, matching_ngrams, prepare_ngrams
from coordinator.metrics.vocabulary import Words, prepare_vocabulary, word_ids
from tests.corpora import damaged, sentences

SWITCHES: list[dict[str, Any]] = [
    {"word_order": order, "lowercase": lowercase, "whitespace": whitespace}
    for order in (0, 2)
    for lowercase in (False, True)
    for whitespace in (False, True)
]
IDS = ["-".join(str(int(value)) for value in switches.values()) for switches in SWITCHES]
PLUS = {"word_order": 2}

ALL_SPACES = "".join(chr(code) for code in range(0x110000) if chr(code).isspace())
EDGES = [
    "",
    " ",
    "a",
    "ab",
    ".",
    "..",
    "(hi)",
    "'s",
    "a.b!",
    "one",
    "the same five words here",
    "e\u0301\u0301a\u0308 n\u0303",
    "nul\0in\0side \0",
    "🙂🙃👩\u200d👧 🏳\ufe0f\u200d🌈",
    "שלום, עולם!",
    "مرحبا \u202bبالعالم\u202c.",
    "line\r\nend\r",
    "\ud800 lone \udfff",
    "\ud83d\ude42",
    "🙂",
    "w".join(ALL_SPACES),
    ALL_SPACES,
    "ΣΑΣ ΣΑΣ. İI ǅ ß",
    "\U0010ffff\U0010fffe",
    "\u200b \ufeff \u180e \u2060",
]


LOOPS = ["numpy", ""]  # of COORDINATOR_SCORING: without numba, and with it


def assert_same(switches: dict[str, Any], hyps: Sequence[str], *references: Sequence[str]) -> None:
    """Taking sacrebleu's `corpus_score` and `sentence_score` apart, to count only once."""
    metric, oracle = ChrfMetric("chrf", **switches), CHRF(**switches)
    expected = oracle._extract_corpus_statistics(hyps, references)
    for loops in LOOPS:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("COORDINATOR_SCORING", loops)
            rows = metric.statistics(hyps, metric.prepare(references))
        assert rows.dtype == np.int64
        assert rows.tolist() == expected
    assert metric.score(rows).hex() == float(oracle._aggregate_and_compute(expected).score).hex()
    assert metric.signature(len(references)) == str(oracle.get_signature())
    alone = [float(oracle._aggregate_and_compute([row]).score) for row in expected]
    found = metric.sentence_scores(rows)
    assert [score.hex() for score in found.tolist()] == [score.hex() for score in alone]


@pytest.mark.parametrize("switches", SWITCHES, ids=IDS)
def test_every_edge_against_every_other(switches: dict[str, Any]) -> None:
    pairs = [(hyp, ref) for hyp in EDGES for ref in EDGES]
    assert_same(switches, [hyp for hyp, _ in pairs], [ref for _, ref in pairs])


@pytest.mark.parametrize("switches", SWITCHES, ids=IDS)
def test_made_up_text_with_several_references(switches: dict[str, Any]) -> None:
    first = sentences(4, 150)
    second, third = damaged(first, 5), damaged(first, 6)
    hyps = damaged(first, 7)
    assert_same(switches, hyps, first)
    assert_same(switches, hyps, first, second, third)
    assert_same(switches, hyps, first, first)


@pytest.mark.parametrize("switches", SWITCHES, ids=IDS)
def test_as_called_by_anybody(switches: dict[str, Any]) -> None:
    refs, others = sentences(5, 30), sentences(6, 30)
    hyps = damaged(refs, 7)
    metric, oracle = ChrfMetric("chrf", **switches), CHRF(**switches)
    rows = metric.statistics(hyps, metric.prepare([refs, others]))
    assert metric.score(rows).hex() == oracle.corpus_score(hyps, [refs, others]).score.hex()
    for score, hyp, *texts in zip(metric.sentence_scores(rows), hyps, refs, others, strict=True):
        assert score == oracle.sentence_score(hyp, texts).score


TEXT = st.text(max_size=40) | st.text("ab.' \u3000ß", max_size=40)


@pytest.mark.parametrize("switches", SWITCHES, ids=IDS)
@given(lines=st.lists(st.tuples(TEXT, TEXT, TEXT), min_size=1, max_size=6))
@settings(max_examples=20, deadline=None)
def test_any_text(switches: dict[str, Any], lines: list[tuple[str, str, str]]) -> None:
    hyps, refs, others = (list(side) for side in zip(*lines, strict=True))
    assert_same(switches, hyps, refs)
    assert_same(switches, hyps, refs, others)


SURROGATES = st.text(st.characters(categories=["Cs", "Zs", "Lu", "Po"]), max_size=12)


@given(hyp=SURROGATES, ref=SURROGATES)
@settings(max_examples=20, deadline=None)
def test_text_that_no_encoding_has(hyp: str, ref: str) -> None:
    assert_same(PLUS, [hyp, ref], [ref, hyp])


@pytest.mark.parametrize(
    "alphabet", ["ab", "abcdefghij klmnop", "".join(map(chr, range(0x4E00, 0x4E00 + 2500)))]
)
def test_a_line_of_ten_thousand(alphabet: str) -> None:
    """Also one with more different characters than a key can tell apart."""
    rng = random.Random(1)
    words = ["".join(rng.choices(alphabet, k=rng.randint(1, 6))) for _ in range(10_000)]
    shuffled = rng.sample(words, 9_000) + words[:2_000]
    hyps = ["before", " ".join(shuffled), "", "".join(shuffled), "after"]
    refs = ["before", " ".join(words), "x", "".join(words), "after it"]
    assert_same(PLUS, hyps, refs)


def test_thousands_of_lines_with_a_large_alphabet() -> None:
    """Blocks end within the text, and each segment has its own numbers."""
    rng = random.Random(2)
    alphabet = [chr(0x4E00 + n) for n in range(9_000)]
    refs = ["".join(rng.choices(alphabet, k=rng.randint(0, 12))) for _ in range(1_500)]
    hyps = [ref[::-1] if rng.random() < 0.3 else ref[1:] + ref[:2] for ref in refs]
    assert_same({}, hyps, refs)


@pytest.mark.parametrize("loops", LOOPS, ids=["numpy", "fast"])
def test_references_from_files(loops: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are plain arrays, which may be mapped from files, read-only."""
    monkeypatch.setenv("COORDINATOR_SCORING", loops)
    refs, others = sentences(1, 200), sentences(2, 200)
    hyps = damaged(refs, 8)
    metric = ChrfMetric("chrf++", word_order=2)
    prepared = metric.prepare([refs, others])
    mapped = {}
    for name, array in prepared.arrays.items():
        assert name.isidentifier()
        np.save(tmp_path / f"{name}.npy", array, allow_pickle=False)
        mapped[name] = np.load(tmp_path / f"{name}.npy", mmap_mode="r" if array.size else None)
    found = metric.statistics(hyps, Prepared(200, 2, mapped))
    assert found.tolist() == metric.statistics(hyps, prepared).tolist()
    assert type(found) is np.ndarray


def test_long_words_that_are_alike() -> None:
    """Thue-Morse words: polynomials modulo 2**64 do not tell them apart, whatever their base."""
    bits = [number.bit_count() % 2 for number in range(4096)]
    one, other = ("".join("ab"[bit ^ turn] for bit in bits) for turn in (0, 1))
    assert_same(PLUS, [one, other, f"{one} x"], [other, f"{one} {other}", f"{other} x"])


@pytest.mark.needs_data
@pytest.mark.parametrize("target", ["arb", "jpn", "zho-CN", "hin", "deu", "tha"])
def test_real_text(target: str, test_data: Any) -> None:
    refs = test_data(f"ntrex101/{target}.txt").read_text("utf-8").split("\n")[:300]
    hyps = damaged(refs, 3)
    hyps[20:30] = [line[::-1] for line in refs[20:30]]
    assert_same(PLUS, hyps, refs)
    assert_same({"word_order": 0, "whitespace": True}, hyps, refs, damaged(refs, 4))


def test_no_lines_at_all() -> None:
    metric = ChrfMetric("chrf++", word_order=2)
    rows = metric.statistics([], metric.prepare([[]]))
    assert rows.shape == (0, 24)
    assert metric.sentence_scores(rows).shape == (0,)


def test_line_counts_must_agree() -> None:
    metric = ChrfMetric("chrf", word_order=0)
    with pytest.raises(BadInput, match="2 hypotheses, but 1 references"):
        metric.statistics(["a", "b"], metric.prepare([["a"]]))


def test_what_is_prepared_differently_has_another_recipe() -> None:
    assert len({ChrfMetric("same", **switches).recipe for switches in SWITCHES}) == len(SWITCHES)
    assert ChrfMetric("a", 2).recipe == ChrfMetric("b", 2).recipe


COUNTS = st.integers(0, 9) | st.integers(0, 2**40)


@given(rows=st.lists(st.lists(COUNTS, min_size=24, max_size=24), min_size=1, max_size=5))
@settings(max_examples=200, deadline=None)
def test_the_vectorised_score_is_the_same_float(rows: list[list[int]]) -> None:
    oracle = CHRF(word_order=2)
    found = chrf_scores(np.array(rows)).tolist()
    assert [x.hex() for x in found] == [float(oracle._compute_f_score(row)).hex() for row in rows]


@pytest.mark.parametrize("size", [3, 40, 2_000, 70_000])
@pytest.mark.parametrize("order", [1, 2, 4, 6])
@pytest.mark.parametrize("loops", LOOPS, ids=["numpy", "fast"])
def test_shared_ngrams_of_any_order_and_vocabulary(
    loops: str, order: int, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COORDINATOR_SCORING", loops)
    rng = np.random.default_rng(order * size)
    lengths = rng.integers(0, 30, (2, 400))
    lengths[:, 7] = 3_000
    ref, hyp = (Tokens(rng.integers(FIRST_ID, size + FIRST_ID, n.sum()), n) for n in lengths)
    hyp.ids[rng.random(len(hyp.ids)) < 0.1] = 0
    found = matching_ngrams(prepare_ngrams(ref, order), hyp, order)
    for segment in (0, 5, 7, 8, 130, 399):
        sides = [side.ids[side.starts[segment] : side.starts[segment + 1]] for side in (hyp, ref)]
        for n in range(1, order + 1):
            ours, theirs = (_grams(side.tolist(), n) for side in sides)
            assert found[segment, n - 1] == sum((ours & theirs).values())


def _grams(ids: list[int], n: int) -> Counter[tuple[int, ...]]:
    return Counter(zip(*(ids[i:] for i in range(n)), strict=False))


@pytest.mark.parametrize("loops", LOOPS, ids=["numpy", "fast"])
def test_words_of_one_hash_are_kept_apart(loops: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the hash finds is compared: here it finds the wrong word."""
    monkeypatch.setenv("COORDINATOR_SCORING", loops)
    text = Text.of(["aa ab ba abc aa"])
    first, end, _ = text.words()
    words = Words(text.codes, first, end)
    vocabulary = prepare_vocabulary(Words(text.codes, first[:1], end[:1]))
    assert word_ids(vocabulary, words).tolist() == [FIRST_ID, 0, 0, 0, FIRST_ID]
    for other in words.hashes(0):
        vocabulary["hashes"][0], vocabulary["buckets"][:] = other, 0
        expected = [FIRST_ID if other == words.hashes(0)[0] else 0, 0, 0, 0]
        assert word_ids(vocabulary, words).tolist()[:4] == expected


def test_another_seed_where_two_words_of_the_reference_have_one_hash(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COORDINATOR_SCORING", "numpy")
    text = Text.of(["aa ab ba abc"])
    first, end, _ = text.words()
    good = Words.hashes
    monkeypatch.setattr(
        Words, "hashes", lambda self, seed: good(self, seed) * np.uint64(0 if seed < 3 else 1)
    )
    words = Words(text.codes, first, end)
    vocabulary = prepare_vocabulary(words)
    assert vocabulary["how"][0] == 3
    assert len(set(word_ids(vocabulary, words).tolist())) == 4
