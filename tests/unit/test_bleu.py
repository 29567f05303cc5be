"""BLEU's rows and scores equal sacrebleu's to the last bit: every tokenizer, numba and numpy."""

import functools
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sentencepiece
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.tokenizers.tokenizer_spm import TokenizerSPM

from coordinator.errors import BadInput
from coordinator.metrics import Metric, Prepared, compiled, load_metric, parse_metrics, pieces
from tests.corpora import damaged, sentences

LONG = " ".join(f"w{n % 700}" for n in range(10_000))
UNKNOWN = "\U00012000\U00012001 \U00012002 \U00012000"  # cuneiform, which no model here knows
EDGES: list[tuple[str, str]] = [
    ("", "a reference"),
    ("a hypothesis", ""),
    ("", ""),
    (" \t ", "  "),
    ("one", "one"),
    ("one", "two"),
    (UNKNOWN, UNKNOWN),
    (UNKNOWN, "\U00012003 \U00012000"),
    (f"a {UNKNOWN} b", f"a {UNKNOWN[:2]} b"),
    (LONG, LONG[:30_000]),
    (LONG[7:40_000], LONG),
    ("e\u0301clair nai\u0308ve", "éclair naïve"),
    ("nul\0here \0", "nul\0here"),
    ("👩\u200d👧 🙂🙂", "👩\u200d👧 🙂"),
    ("\u202bשלום עולם\u202c مرحبا", "שלום עולם مرحبا بالعالم"),
    ("ends in CRLF\r\n", "ends in CRLF"),
    ("in\r\nthe middle -\nof 3.14 it", "in the middle of 3.14 it"),
    ("wide\u3000space\u2028line\x85next\x1csep", "wide space line next sep"),
    ("\u3000\u3000x\u3000y", "x\u3000y"),
    ("<unk> <s> </s> <0x41> ▁ ▁▁", "<unk> <s> <0x41> </s> ▁"),
    ("&quot;a&quot; &amp;lt; <skipped>", '"a" &lt; <'),
    ("ﬁne ½ ｆｕｌｌ", "fine 1⁄2 full"),
]


@pytest.fixture(params=["numba", "numpy"], autouse=True)
def loops(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "numpy":
        monkeypatch.setenv("COORDINATOR_SCORING", "numpy")
        return
    pytest.importorskip("numba")
    monkeypatch.delenv("COORDINATOR_SCORING", raising=False)
    assert compiled.kernels() is not None


# Models beyond the usual: what is not normalized keeps white space inside pieces; bytes instead of
# unknown pieces.
SMALL: dict[str, dict[str, Any]] = {
    "unigram": {"vocab_size": 150},
    "bpe": {"vocab_size": 200, "model_type": "bpe"},
    "bytes": {"vocab_size": 400, "byte_fallback": True},
    "raw": {
        "vocab_size": 220,
        "normalization_rule_name": "identity",
        "remove_extra_whitespaces": False,
        "user_defined_symbols": ["x\u3000y", "\u3000", "\x85next", "a\u2028"],
    },
    "char": {"vocab_size": 120, "model_type": "char", "character_coverage": 0.98},
}


@functools.cache
def trained(kind: str, folder: Path) -> Path:
    lines = [line.replace("\n", " ").replace("\0", " ") for line in sentences(0, 400)]
    (folder / "text").write_text("\n".join(lines), "utf-8")
    sentencepiece.SentencePieceTrainer.train(
        input=str(folder / "text"),
        model_prefix=str(folder / kind),
        minloglevel=2,
        hard_vocab_limit=False,
        **SMALL[kind],
    )
    return folder / f"{kind}.model"


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("spm")


@pytest.fixture(scope="session", params=SMALL)
def small(request: pytest.FixtureRequest, folder: Path) -> Path:
    return trained(request.param, folder)


@pytest.fixture(
    scope="session",
    params=[
        *SMALL,
        pytest.param("unigram256k", marks=pytest.mark.needs_data),
        pytest.param("bpe256k", marks=pytest.mark.needs_data),
    ],
)
def model(request: pytest.FixtureRequest, folder: Path) -> Path:
    """The small ones, and two of real size."""
    if request.param in SMALL:
        return trained(request.param, folder)
    return Path(request.getfixturevalue("test_data")(f"spm/{request.param}.model"))


@functools.cache
def of_file(model: Path, **settings: Any) -> Metric:
    return load_metric(parse_metrics([{"name": "spbleu", "model": str(model)} | settings])[0])


@functools.cache
def processor(model: Path) -> Any:
    return sentencepiece.SentencePieceProcessor(model_file=str(model))


def original(model: Path, **settings: Any) -> BLEU:
    """sacrebleu's BLEU with sacrebleu's tokenizer, but for the file that it would download."""
    tokenizer = TokenizerSPM.__new__(TokenizerSPM)
    tokenizer.sp = processor(model)
    scorer = BLEU(tokenize="none", **settings)
    scorer.tokenizer = tokenizer
    return scorer


def assert_same(
    metric: Metric, scorer: BLEU, hyps: Sequence[str], refs: Sequence[Sequence[str]]
) -> Prepared:
    prepared = metric.prepare(refs)
    rows = metric.statistics(hyps, prepared)
    assert rows.dtype == np.int64
    assert rows.tolist() == scorer._extract_corpus_statistics(hyps, refs)
    assert metric.score(rows).hex() == float(scorer.corpus_score(hyps, refs).score).hex()
    return prepared


def assert_edges(metric: Metric, scorer: BLEU) -> None:
    hyps, refs = (list(side) for side in zip(*EDGES, strict=True))
    assert_same(metric, scorer, hyps, [refs])
    assert_same(metric, scorer, refs[:9], [hyps[:9], refs[8::-1]])
    for hyp, ref in EDGES:
        if LONG not in (hyp, ref):  # the original takes its time
            assert_same(metric, scorer, [hyp], [[ref]])


def test_edges_of_pieces(model: Path) -> None:
    assert_edges(of_file(model), original(model))


@pytest.mark.parametrize("tokenize", ["13a", "intl", "zh", "char", "none"])
def test_edges_of_words(tokenize: str) -> None:
    metric = load_metric(parse_metrics([{"name": "bleu", "tokenize": tokenize}])[0])
    assert_edges(metric, BLEU(tokenize=tokenize))


@pytest.mark.parametrize(("language", "module"), [("ja", "MeCab"), ("ko", "mecab_ko")])
def test_words_of_mecab(language: str, module: str) -> None:
    pytest.importorskip(module)
    name = f"{language}-mecab"
    metric = load_metric(parse_metrics([{"name": "bleu", "tokenize": name}])[0])
    refs = ["水を食べる人", "한국어 문장입니다", ""]
    assert_same(metric, BLEU(tokenize=name), ["水を食べる", "한국어 문장", "x"], [refs])


TEXT = st.text(max_size=30) | st.lists(
    st.sampled_from([*"ab.,-3\u3000\u2028\x85\0 ", "x\u3000y", "Haus", "水", UNKNOWN]), max_size=12
).map("".join)
PAIRS = st.lists(st.tuples(TEXT, TEXT, TEXT), min_size=1, max_size=5)
MANY = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def assert_any(metric: Metric, scorer: BLEU, triples: list[tuple[str, str, str]]) -> None:
    hyps, refs, more = (list(side) for side in zip(*triples, strict=True))
    assert_same(metric, scorer, hyps, [refs])
    assert_same(metric, scorer, hyps, [refs, more, hyps[::-1]])


def test_any_text_in_pieces(model: Path) -> None:
    metric, scorer = of_file(model), original(model)
    lower, lower_scorer = of_file(model, lowercase=True), original(model, lowercase=True)

    @given(PAIRS)
    @MANY
    def check(triples: list[tuple[str, str, str]]) -> None:
        assert_any(metric, scorer, triples)
        assert_any(lower, lower_scorer, triples)

    check()


@given(triples=PAIRS)
@MANY
def test_any_text_in_words(triples: list[tuple[str, str, str]]) -> None:
    assert_any(load_metric(parse_metrics(["bleu"])[0]), BLEU(), triples)


@pytest.mark.needs_data
@pytest.mark.parametrize("kind", ["unigram256k", "bpe256k"])
@pytest.mark.parametrize("target", ["deu", "zho-CN", "amh", "urd"])
def test_real_text(kind: str, target: str, test_data: Callable[[str], Path]) -> None:
    model = test_data(f"spm/{kind}.model")
    refs = test_data(f"ntrex101/{target}.txt").read_text("utf-8").split("\n")[:150]
    others = test_data("ntrex101/eng-US.txt").read_text("utf-8").split("\n")[:150]
    assert_same(of_file(model), original(model), damaged(refs, 5), [refs])
    assert_same(of_file(model), original(model), damaged(refs, 6), [damaged(refs, 7), others])


def test_the_closest_reference_and_of_two_the_shorter() -> None:
    metric = load_metric(parse_metrics(["bleu"])[0])
    refs = [["a b c d e f", "a"], ["a b", "a b c"], ["a b c d e f g", "a b c"]]
    rows = metric.statistics(["a b c d", "a b"], metric.prepare(refs))
    assert rows[:, 1].tolist() == [2, 1]
    assert rows.tolist() == BLEU()._extract_corpus_statistics(["a b c d", "a b"], refs)


def test_prepared_references_kept_in_files(small: Path, tmp_path: Path) -> None:
    refs, metric = sentences(4, 80), of_file(small)
    prepared = assert_same(metric, original(small), damaged(refs, 4), [refs, damaged(refs, 9)])
    for name, array in prepared.arrays.items():
        np.save(tmp_path / f"{name}.npy", array, allow_pickle=False)
    arrays = {path.stem: np.load(path, mmap_mode="r") for path in tmp_path.glob("*.npy")}
    kept = Prepared(prepared.segments, prepared.references, arrays)
    for seed in (4, 5):
        hyps = damaged(refs, seed)
        expected = metric.statistics(hyps, prepared).tolist()
        assert of_file(small).statistics(hyps, kept).tolist() == expected


def test_one_metric_and_several_references_in_turn(small: Path) -> None:
    """What is remembered of one text must not be taken for another's."""
    metric, one, two = of_file(small), [f"{UNKNOWN} a"], [f"b {UNKNOWN[3:]}"]
    prepared = [metric.prepare([one]), metric.prepare([two])]
    for _ in range(2):
        for texts, kept in zip((one, two), prepared, strict=True):
            assert metric.score(metric.statistics(texts, kept)) > 0
            rows = metric.statistics([one[0] + two[0]], kept).tolist()
            assert rows == original(small)._extract_corpus_statistics([one[0] + two[0]], [texts])


def test_sentence_scores_are_those_of_sacrebleu() -> None:
    metric = load_metric(parse_metrics(["bleu"])[0])
    scorer, refs = BLEU(effective_order=True), sentences(2, 40)
    hyps = damaged(refs, 2)
    scores = metric.sentence_scores(metric.statistics(hyps, metric.prepare([refs])))
    expected = [scorer.sentence_score(h, [r]).score for h, r in zip(hyps, refs, strict=True)]
    assert [score.hex() for score in scores.tolist()] == [float(e).hex() for e in expected]


@pytest.mark.parametrize("leaderboard", [False, True])
def test_half_a_character_is_refused(folder: Path, leaderboard: bool) -> None:
    metric = of_file(trained("bpe", folder), leaderboard=leaderboard)
    with pytest.raises(BadInput, match=r"line \d cannot be cut into pieces: it holds half a char"):
        metric.statistics(["a", "b \ud800"], metric.prepare([["a", "b"]]))


@pytest.mark.parametrize("references", [1, 3])
@pytest.mark.parametrize("lowercase", [False, True])
def test_signatures(small: Path, references: int, lowercase: bool) -> None:
    metric, scorer = of_file(small, lowercase=lowercase), original(small, lowercase=lowercase)
    scorer.tokenizer_signature = f"spm-{metric.tokenizer_sha256[:8]}"
    scorer.num_refs = references
    assert metric.signature(references) == str(scorer.get_signature())


def test_a_published_name_needs_the_published_bytes(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a file's name nor one of its two hashes is enough."""
    data = trained("bpe", folder).read_bytes()
    sha256, md5 = hashlib.sha256(data).hexdigest(), hashlib.md5(data).hexdigest()
    ((real_sha256, real_md5),) = pieces.PUBLISHED

    def signature(*published: str) -> str:
        (folder / "flores200.model").write_bytes(data)
        monkeypatch.setattr(pieces, "PUBLISHED", {published: "flores200"})
        return of_file.__wrapped__(folder / "flores200.model").signature()

    for wrong in [(real_sha256, real_md5), (sha256, real_md5), (real_sha256, md5)]:
        assert f"|tok:spm-{sha256[:8]}|" in signature(*wrong)
    assert "|tok:flores200|" in signature(sha256, md5)


def test_recipes_differ_where_the_arrays_would(small: Path, tmp_path: Path) -> None:
    trained = sentencepiece.SentencePieceTrainer.train
    (tmp_path / "text").write_text("a b c\n" * 50, "utf-8")
    trained(
        input=str(tmp_path / "text"),
        model_prefix=str(tmp_path / "m"),
        vocab_size=20,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    metrics = [
        of_file(small),
        of_file(small, lowercase=True),
        of_file(small, leaderboard=True),
        of_file(tmp_path / "m.model"),
        *(
            load_metric(spec)
            for spec in parse_metrics(["bleu", {"name": "bleu", "tokenize": "zh"}])
        ),
    ]
    assert len({metric.recipe for metric in metrics}) == len(metrics)
    assert of_file(small, label="other").recipe == metrics[0].recipe


class TestLeaderboard:
    """Pieces joined by spaces, given to sacrebleu as if they were text."""

    @staticmethod
    def cut(model: Path, lines: Sequence[str]) -> list[str]:
        return [" ".join(processor(model).EncodeAsPieces(line.strip())) for line in lines]

    def assert_same(self, model: Path, hyps: list[str], refs: list[str]) -> None:
        metric, scorer = of_file(model, leaderboard=True), BLEU(force=True)
        hyp_pieces, ref_pieces = self.cut(model, hyps), self.cut(model, refs)
        rows = metric.statistics(hyps, metric.prepare([refs]))
        assert rows.tolist() == scorer._extract_corpus_statistics(hyp_pieces, [ref_pieces])
        expected = scorer.corpus_score(hyp_pieces, [ref_pieces]).score
        assert metric.score(rows).hex() == float(expected).hex()

    def test_edges(self, model: Path) -> None:
        hyps, refs = (list(side) for side in zip(*EDGES, strict=True))
        self.assert_same(model, hyps, refs)

    def test_made_up_text(self, model: Path) -> None:
        refs = sentences(8, 60)
        self.assert_same(model, damaged(refs, 8), refs)

    @pytest.mark.needs_data
    def test_it_is_another_number(self, test_data: Callable[[str], Path]) -> None:
        model = test_data("spm/unigram256k.model")
        hyps, refs = ["It costs 3.14$ (or so)."], ["It costs 2.71$ (or so)."]
        plain, leaderboard = (
            metric.score(metric.statistics(hyps, metric.prepare([refs])))
            for metric in (of_file(model), of_file(model, leaderboard=True))
        )
        assert plain != leaderboard

    def test_it_is_named_everywhere(self, small: Path) -> None:
        metric = of_file(small, leaderboard=True)
        assert metric.name == "spbleu-leaderboard"
        assert of_file(small, leaderboard=True, label="bpe").name == "spbleu-leaderboard-bpe"
        assert f"|tok:leaderboard-spm-{metric.tokenizer_sha256[:8]}-13a|" in metric.signature()

    def test_it_is_never_in_lower_case(self) -> None:
        entry = {"name": "spbleu", "model": "m", "leaderboard": True, "lowercase": True}
        with pytest.raises(BadInput, match="the leaderboard's spBLEU has no lowercase"):
            parse_metrics([entry])
