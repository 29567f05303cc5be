"""TER is sacrebleu's to the last edit, also where its beam or its limits make it a worse answer."""

import os
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sacrebleu.metrics import lib_ter
from sacrebleu.metrics.ter import TER

from coordinator.metrics import Metric, Prepared, load_metric, parse_metrics
from tests.corpora import damaged, sentences

SWITCHES = ["normalized", "no_punct", "asian_support", "case_sensitive"]
LETTERS = st.sampled_from("abcdef")


@pytest.fixture(params=["numba", "numpy"])
def way(request: pytest.FixtureRequest) -> Iterator[str]:
    """Both ways to count; the second is the one without numba."""
    if request.param == "numba":
        pytest.importorskip("numba")
    with mock.patch.dict(os.environ, COORDINATOR_SCORING=request.param):
        yield request.param


def ter(*switches: str) -> Metric:
    return load_metric(parse_metrics([{"name": "ter"} | dict.fromkeys(switches, True)])[0])


def assert_same(hyps: Sequence[str], *refs: Sequence[str], switches: Sequence[str] = ()) -> None:
    metric, oracle = ter(*switches), TER(**dict.fromkeys(switches, True))
    rows = metric.statistics(hyps, metric.prepare(refs))
    expected = oracle._extract_corpus_statistics(hyps, refs)
    assert rows.tolist() == expected
    assert rows.dtype == (np.int64 if len(refs) == 1 else np.float64)
    score = oracle._aggregate_and_compute(expected).score  # all else that `corpus_score` does
    assert metric.score(rows).hex() == float(score).hex()


def words(prefix: str, count: int) -> list[str]:
    return [f"{prefix}{n}" for n in range(count)]


def moved(line: Sequence[str], begin: int, size: int, by: int) -> str:
    """`line` with a phrase put `by` words further on."""
    rest = [*line[:begin], *line[begin + size :]]
    return " ".join([*rest[: begin + by], *line[begin : begin + size], *rest[begin + by :]])


LONG = words("w", 70)
EDGES: list[tuple[str, str]] = [
    ("", ""),
    ("", "a b c"),
    ("a b c", ""),
    (" \u3000 ", "a"),
    ("a", "a"),
    ("a", "b"),
    ("a b", "b a"),
    ("a a a a a a", "a a"),
    ("a b a b a b a", "b a b a a a b b"),
    ("The cat.", "the cat ."),
    ("e f g h a b c d", "a b c d e f g h"),
    ("x a b y a b z", "a b x y z a b"),
    ("one", " ".join(words("w", 200))),
    ("w60 w199", " ".join(words("w", 200))),
    (" ".join(words("w", 200)), "w199 w60"),
    (" ".join(words("w", 160)), "w150 w20 w80"),
    *((moved(LONG, 5, 3, by), " ".join(LONG)) for by in (1, 25, 49, 50, 51, 52, 53, 60)),
    *((moved(LONG[:40], 7, size, 20), " ".join(LONG[:40])) for size in (9, 10, 11, 12)),
]


def test_edges(way: str) -> None:
    hyps, refs = zip(*EDGES, strict=True)
    assert_same(hyps, refs)


def test_the_beam_hides_what_is_far_from_the_diagonal(way: str) -> None:
    """All of the reference is there, 60 words late: nearer would be 120 edits."""
    kept = words("k", 200)
    hyp, ref = " ".join(words("h", 60) + kept), " ".join(kept + words("r", 60))
    assert_same([hyp], [ref])
    assert ter().statistics([hyp], ter().prepare([[ref]])).tolist() == [[260, 260]]


@pytest.mark.parametrize("lengths", [(70, 60), (30, 100), (90, 40)])
def test_long_lines_of_repeated_words(lengths: tuple[int, int]) -> None:
    pytest.importorskip("numba")
    rng = random.Random(lengths[0])
    hyp, ref = (" ".join(str(rng.randrange(90)) for _ in range(count)) for count in lengths)
    assert_same([hyp], [ref])


def test_a_search_that_is_given_up() -> None:
    """Two words in disorder make more candidates than are ever looked at."""
    pytest.importorskip("numba")
    rng = random.Random(1)
    hyp, ref = (" ".join(rng.choices("ab", k=40)) for _ in range(2))
    with mock.patch.object(lib_ter, "_shift", wraps=lib_ter._shift) as shift:
        assert_same([hyp], [ref])
        tried = shift.call_args.args[-1]
    with mock.patch.object(lib_ter, "_MAX_SHIFT_CANDIDATES", 10**6):
        further = TER().corpus_score([hyp], [[ref]]).num_edits
    assert tried < 1000
    assert further < ter().statistics([hyp], ter().prepare([[ref]]))[0, 0]


@pytest.mark.parametrize("count", [1, 3])
def test_scores_of_texts_and_of_sentences(count: int) -> None:
    texts = ["", "one two three", *sentences(2, 12)]
    refs = [texts, *(damaged(texts, seed) for seed in range(11, 10 + count))]
    hyps, metric, oracle = damaged(texts, 6), ter(), TER()
    rows = metric.statistics(hyps, metric.prepare(refs))
    assert metric.score(rows).hex() == float(oracle.corpus_score(hyps, refs).score).hex()
    assert metric.signature(count) == str(oracle.get_signature())
    found = metric.sentence_scores(rows).tolist()
    for score, hyp, *of_hyp in zip(found, hyps, *refs, strict=True):
        assert score.hex() == float(oracle.sentence_score(hyp, of_hyp).score).hex()


@pytest.mark.parametrize("switches", [(), *([s] for s in SWITCHES), SWITCHES])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_switches_and_several_references(switches: Sequence[str], count: int, way: str) -> None:
    texts = sentences(3, 12)
    refs = [texts, *(damaged(texts, seed) for seed in range(7, 6 + count))]
    assert_same(damaged(texts, 5), *refs, switches=switches)


@given(pairs=st.lists(st.tuples(st.text(), st.text(), st.text()), min_size=1, max_size=4))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_text(way: str, pairs: list[tuple[str, str, str]]) -> None:
    hyps, first, second = zip(*pairs, strict=True)
    assert_same(hyps, first)
    assert_same(hyps, first, second, switches=SWITCHES)


@given(
    pairs=st.lists(
        st.tuples(st.lists(LETTERS, max_size=13), st.lists(LETTERS, max_size=13)), min_size=1
    )
)
@settings(max_examples=100, deadline=None)
def test_shifts_that_tie(pairs: list[tuple[list[str], list[str]]]) -> None:
    pytest.importorskip("numba")
    hyps, refs = ([" ".join(line) for line in side] for side in zip(*pairs, strict=True))
    assert_same(hyps, refs)


@given(order=st.permutations(range(16)), extra=st.lists(st.integers(0, 20), max_size=5))
@settings(max_examples=100, deadline=None)
def test_words_in_another_order(order: list[int], extra: list[int]) -> None:
    pytest.importorskip("numba")
    assert_same([" ".join(map(str, order + extra))], [" ".join(map(str, range(16)))])


def test_references_from_files_that_cannot_be_written(tmp_path: Path, way: str) -> None:
    texts = sentences(8, 20)
    metric, hyps = ter(), damaged(texts, 9)
    prepared = metric.prepare([texts, damaged(texts, 1)])
    arrays = {}
    for name, array in prepared.arrays.items():
        np.save(tmp_path / f"{name}.npy", array, allow_pickle=False)
        arrays[name] = np.load(tmp_path / f"{name}.npy", mmap_mode="r", allow_pickle=False)
    stored = Prepared(prepared.segments, prepared.references, arrays)
    expected = metric.statistics(hyps, prepared)
    assert np.array_equal(metric.statistics(hyps, stored), expected)
    assert expected[:, 0].any()


def test_what_is_prepared_depends_on_the_switches() -> None:
    recipes = {ter(*switches).recipe for switches in ([], *([s] for s in SWITCHES), SWITCHES)}
    assert len(recipes) == len(SWITCHES) + 2


def test_limits_are_those_of_sacrebleu() -> None:
    pytest.importorskip("numba")
    from coordinator.metrics import ter_kernels

    for name in ("BEAM_WIDTH", "MAX_SHIFT_SIZE", "MAX_SHIFT_DIST", "MAX_SHIFT_CANDIDATES"):
        assert getattr(ter_kernels, name) == getattr(lib_ter, f"_{name}")


@pytest.mark.needs_data
@pytest.mark.parametrize("target", ["deu", "jpn", "arb", "hin", "zho-CN"])
def test_real_text(target: str, test_data: Callable[[str], Path]) -> None:
    pytest.importorskip("numba")
    refs = test_data(f"ntrex101/{target}.txt").read_text("utf-8").split("\n")[:60]
    rng = random.Random(4)
    hyps = [_moved_about(line.split(), rng) for line in refs]
    assert_same(hyps, refs)
    assert_same(hyps[:20], refs[:20], switches=["normalized", "asian_support"])


def _moved_about(line: list[str], rng: random.Random) -> str:
    for _ in range(3):
        begin = rng.randint(0, len(line))
        line = moved(line, begin, rng.randint(1, 5), rng.randint(-begin, 9)).split()
        place = rng.randint(0, len(line))
        line[place : place + rng.randint(0, 2)] = rng.choice([line[:1], ["unlikely"], []])
    return " ".join(line)
