"""The paired tests are sacrebleu's, to the last bit."""

import functools
from collections.abc import Sequence
from statistics import fmean, stdev
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.metrics.ter import TER
from sacrebleu.significance import PairedTest

from coordinator.errors import BadInput
from coordinator.metrics import Metric, Prepared, Statistics, load_metric, parse_metrics
from coordinator.metrics.formulas import bleu_scores, chrf_scores, ter_scores
from coordinator.metrics.resampling import (
    Drawn,
    coins,
    drawn,
    draws,
    sums_of_coins,
    sums_of_draws,
)
from coordinator.metrics.significance import (
    Estimate,
    PairedResult,
    effect_size,
    false_discoveries,
    paired_bootstrap,
    paired_randomization,
    paired_test,
    sacrebleu_seed,
)
from tests.corpora import damaged, sentences

METRICS: dict[str, Any] = {
    "bleu": BLEU,
    "chrf": CHRF,
    "chrf++": lambda: CHRF(word_order=2),
    "ter": TER,
}
METRIC = pytest.mark.parametrize("name", METRICS)


@functools.cache
def texts(seed: int, count: int) -> tuple[list[str], list[str], list[str]]:
    """A reference and two translations of it."""
    refs = sentences(seed, count)
    return refs, damaged(refs, seed), damaged(refs, seed + 1)


def statistics(name: str, refs: list[str], *systems: list[str]) -> tuple[Any, ...]:
    metric = load_metric(parse_metrics([name])[0])
    prepared = metric.prepare([refs])
    return metric, *(metric.statistics(system, prepared) for system in systems)


def of_sacrebleu(
    name: str, test: str, refs: list[str], a: list[str], b: list[str], **options: int
) -> list[Any]:
    found = PairedTest([("a", a), ("b", b)], {name: METRICS[name]()}, [refs], test, **options)()[1]
    return next(results for key, results in found.items() if key != "System")


def exact(number: float | None) -> str:
    return "" if number is None else float(number).hex()


def assert_same(found: PairedResult, expected: Sequence[Any]) -> None:
    for estimate, result in zip((found.baseline, found.system), expected, strict=True):
        assert exact(estimate.score) == exact(result.score)
        assert exact(estimate.mean) == exact(result.mean)
        assert exact(estimate.interval) == exact(result.ci)
    assert exact(found.p_value) == exact(expected[1].p_value)


@METRIC
@pytest.mark.parametrize("seed", range(3))
def test_bootstrap_is_sacrebleus(name: str, seed: int) -> None:
    refs, a, b = texts(seed, 12 if name == "ter" else 60)
    metric, rows_a, rows_b = statistics(name, refs, a, b)
    expected = of_sacrebleu(name, "bs", refs, a, b, n_samples=200)
    assert_same(paired_bootstrap(metric, rows_a, rows_b, resamples=200), expected)


@METRIC
@pytest.mark.parametrize("confidence", [-1, 100])
def test_randomization_is_sacrebleus(name: str, confidence: int) -> None:
    refs, a, b = texts(5, 12 if name == "ter" else 45)
    metric, rows_a, rows_b = statistics(name, refs, a, b)
    options = {"n_samples": 300, "n_ar_confidence": confidence}
    expected = of_sacrebleu(name, "ar", refs, a, b, **options)
    resamples = max(confidence, 0)
    found = paired_randomization(metric, rows_a, rows_b, trials=300, resamples=resamples)
    assert_same(found, expected)


@pytest.mark.parametrize(("test", "short"), [("bootstrap", "bs"), ("randomization", "ar")])
def test_sacrebleus_own_defaults(test: Any, short: str) -> None:
    refs, a, b = texts(8, 25)
    metric, rows_a, rows_b = statistics("bleu", refs, a, b)
    expected = of_sacrebleu("bleu", short, refs, a, b)
    assert_same(paired_test(test, metric, rows_a, rows_b), expected)


def test_another_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    refs, a, b = texts(2, 30)
    metric, rows_a, rows_b = statistics("chrf", refs, a, b)
    monkeypatch.setenv("SACREBLEU_SEED", "77")
    expected = of_sacrebleu("chrf", "bs", refs, a, b, n_samples=100)
    found = paired_bootstrap(metric, rows_a, rows_b, resamples=100, seed=sacrebleu_seed())
    assert_same(found, expected)
    assert found != paired_bootstrap(metric, rows_a, rows_b, resamples=100)


@METRIC
def test_empty_and_equal_translations(name: str) -> None:
    """Scores of 0 make sacrebleu's arrays float64 where they are float32 else."""
    refs = ["a b c d e", "", "f g h i j k", "l"]
    empty = ["", "", "f g h i j k", ""]
    metric, rows_a, rows_b = statistics(name, refs, empty, refs)
    expected = of_sacrebleu(name, "bs", refs, empty, refs, n_samples=100)
    assert_same(paired_bootstrap(metric, rows_a, rows_b, resamples=100), expected)
    itself = paired_bootstrap(metric, rows_b, rows_b, resamples=100)
    assert_same(itself, of_sacrebleu(name, "bs", refs, refs, refs, n_samples=100))


def test_a_difference_that_is_there_is_found() -> None:
    refs = sentences(4, 80)
    bad = [" ".join(line.split(" ")[::2]) for line in refs]
    metric, worse, better = statistics("chrf", refs, bad, refs)
    assert paired_bootstrap(metric, worse, better).p_value < 0.01
    assert paired_randomization(metric, worse, better, trials=500).p_value < 0.01
    assert paired_randomization(metric, worse, worse, trials=500).p_value == 1 / 501


class ShareOfOnes(Metric):
    """A metric that is no sum."""

    def prepare(self, references: Sequence[Sequence[str]]) -> Prepared:
        return Prepared(len(references[0]), 1, {})

    def statistics(self, hypotheses: Sequence[str], prepared: Prepared) -> Statistics:
        return np.array([[hypothesis == "1"] for hypothesis in hypotheses], dtype=np.int64)

    def score(self, statistics: Statistics) -> float:
        return float(statistics.mean())

    def signature(self, references: int = 1) -> str:
        return ""


def test_a_metric_that_is_no_sum_is_scored_anew() -> None:
    metric = ShareOfOnes("ones")
    prepared = metric.prepare([["x"] * 40])
    some = metric.statistics(["1", "0"] * 20, prepared)
    most = metric.statistics(["1"] * 38 + ["0"] * 2, prepared)
    found = paired_bootstrap(metric, some, most, resamples=300)
    picked = np.random.default_rng(12345).choice(40, size=(300, 40), replace=True)
    assert found.system.mean == pytest.approx(most[picked].mean())
    assert (found.baseline.score, found.system.score) == (0.5, 0.95)
    assert found.p_value == 1 / 301
    trials = paired_randomization(metric, some, most, trials=300)
    assert trials.p_value < 0.02
    assert trials.system == Estimate(0.95)


@pytest.mark.parametrize("test", ["bootstrap", "randomization"])
def test_only_pairs_can_be_tested(test: Any) -> None:
    metric, rows = statistics("chrf", ["a", "b"], ["a", "b"])
    with pytest.raises(BadInput, match="2 sentences of one system, but 1 of the other"):
        paired_test(test, metric, rows, rows[:1])
    with pytest.raises(BadInput, match="no sentences"):
        paired_test(test, metric, rows[:0], rows[:0])


@pytest.mark.parametrize("cells", [1, 320, 5_000])
@pytest.mark.parametrize("segments", [1, 7, 32, 101])
def test_chunks_are_the_same_numbers(segments: int, cells: int) -> None:
    a, b, c, d = (np.random.default_rng(3) for _ in range(4))
    places = np.concatenate(list(draws(a, segments, 150, cells)))
    assert np.array_equal(places, b.choice(segments, size=(150, segments), replace=True))
    tossed = np.concatenate(list(coins(c, segments, 150, cells)))
    assert np.array_equal(tossed, d.integers(2, size=(150, segments), dtype=bool))
    assert a.random() == b.random()
    assert c.random() == d.random()


@pytest.mark.parametrize("largest", [50, 3_000_000])
@pytest.mark.parametrize("kind", [np.int64, np.float64])
def test_sums_are_those_of_float32(kind: Any, largest: int) -> None:
    """Above 2**24, where float32 drops ones, the order of the additions matters."""
    rng = np.random.default_rng(1)
    rows = rng.integers(largest, size=(60, 6)).astype(kind)
    (places,) = draws(rng, 60, 64)
    expected = [row.sum(0) for row in rows.astype(np.float32)[places]]
    assert np.array_equal(sums_of_draws(rows, Drawn(places)), expected)
    (tossed,) = coins(rng, 60, 64)
    others = rows[::-1] + 1
    assert np.array_equal(sums_of_coins(rows, others, tossed), tossed @ rows + ~tossed @ others)


def test_draws_of_one_seed_are_kept_for_texts_of_the_same_length() -> None:
    """And they are those of a fresh generator, as all of sacrebleu's tests expect."""
    (first,), (again,) = drawn(12345, 40, 100), drawn(12345, 40, 100)
    assert first is again
    expected = np.random.default_rng(12345).choice(40, size=(100, 40), replace=True)
    assert np.array_equal(first.places, expected)
    for other in (drawn(12346, 40, 100), drawn(None, 40, 100)):
        assert not np.array_equal(next(iter(other)).places, expected)


@METRIC
def test_effect_size_is_the_mean_difference_in_standard_deviations(name: str) -> None:
    refs, one, two = texts(5, 30)
    metric, a, b = statistics(name, refs, one, two)
    apart = [x - y for x, y in zip(*map(metric.sentence_scores, (b, a)), strict=True)]
    expected = fmean(apart) / stdev(apart)
    assert effect_size(metric, a, b) == pytest.approx(expected)
    assert effect_size(metric, b, a) == pytest.approx(-expected)


def test_no_effect_size_where_nothing_varies() -> None:
    metric, rows = statistics("chrf", ["a", "b"], ["a", "b"])
    assert effect_size(metric, rows, rows) is None
    assert effect_size(metric, rows[:1], rows[1:]) is None


COUNT = st.integers(0, 60) | st.just(0)
WIDTHS = {"bleu": 10, "chrf": 18, "chrf++": 24, "ter": 2}
FORMULAS: dict[str, Any] = {
    "bleu": bleu_scores,
    "chrf": chrf_scores,
    "chrf++": chrf_scores,
    "ter": ter_scores,
}


@METRIC
@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int64])
@given(data=st.data())
def test_formulas_are_sacrebleus(name: str, kind: Any, data: st.DataObject) -> None:
    row = st.lists(COUNT, min_size=WIDTHS[name], max_size=WIDTHS[name])
    rows = np.array(data.draw(st.lists(row, min_size=1, max_size=5)), dtype=kind)
    oracle = METRICS[name]()
    expected = np.array([oracle._compute_score_from_stats(row.copy()).score for row in rows])
    found = FORMULAS[name](rows)
    assert [exact(score) for score in found] == [exact(score) for score in expected]
    assert found.dtype == expected.dtype


@given(rows=st.lists(st.lists(COUNT, min_size=10, max_size=10), min_size=1, max_size=5))
def test_effective_order_is_sacrebleus(rows: list[list[int]]) -> None:
    oracle = BLEU(effective_order=True)
    expected = [oracle._compute_score_from_stats(list(row)).score for row in rows]
    found = bleu_scores(np.array(rows), effective_order=True)
    assert [exact(score) for score in found] == [exact(score) for score in expected]


def test_false_discoveries_by_hand() -> None:
    """The third is raised to 0.04 * 4/3, which the fourth, not raised at all, undercuts."""
    assert false_discoveries([0.04, 0.005, 0.04, 0.045]) == [0.045, 0.02, 0.045, 0.045]
    assert false_discoveries([0.9, 0.01]) == [0.9, 0.02]
    assert false_discoveries([]) == []


@given(st.lists(st.floats(0, 1)))
def test_false_discoveries_only_raise(values: list[float]) -> None:
    found = false_discoveries(values)
    assert all(before <= after <= 1 for before, after in zip(values, found, strict=True))
    order = sorted(range(len(values)), key=values.__getitem__)
    assert [found[n] for n in order] == sorted(found)


@pytest.mark.parametrize(("text", "seed"), [("5", 5), ("None", None), ("0", 0)])
def test_the_seed_of_the_environment(text: str, seed: int | None) -> None:
    assert sacrebleu_seed({"SACREBLEU_SEED": text}) == seed
    assert sacrebleu_seed({}) == 12345


@pytest.mark.parametrize("text", ["", "x", "-1", "1.5", "²"])
def test_no_seed(text: str) -> None:
    with pytest.raises(BadInput, match="SACREBLEU_SEED"):
        sacrebleu_seed({"SACREBLEU_SEED": text})
