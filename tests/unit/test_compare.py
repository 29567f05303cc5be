"""Two batches against each other."""

from itertools import product

import pytest

from coordinator.reports.compare import ComparisonRow, compare_scores, sign_test


def test_one_row_per_metric() -> None:
    a = {"x": {"bleu": 10.0, "ter": 50.0}, "y": {"bleu": 20.0}, "z": {"bleu": 5.0}}
    b = {"x": {"bleu": 12.0, "ter": 40.0}, "y": {"bleu": 20.0}, "w": {"chrf": 1.0}}
    rows = {row.metric: row for row in compare_scores(a, b)}
    assert list(rows) == ["bleu", "ter", "chrf"]
    assert rows["bleu"] == ComparisonRow("bleu", 15.0, 16.0, 1, 0, 1, 1.0, ("z",), ())
    assert (rows["bleu"].common, rows["bleu"].difference) == (2, 1.0)
    assert rows["chrf"] == ComparisonRow("chrf", None, None, 0, 0, 0, 1.0, (), ("w",))
    assert rows["chrf"].difference is None


def test_of_ter_less_is_better() -> None:
    row = compare_scores({"x": {"ter": 50.0}}, {"x": {"ter": 40.0}})[0]
    assert (row.better, row.worse, row.difference) == (1, 0, -10.0)


def test_a_score_that_is_no_number_is_missing() -> None:
    row = compare_scores({"x": {"bleu": float("nan")}}, {"x": {"bleu": 1.0}})[0]
    assert (row.common, row.only_b) == (0, ("x",))


def test_swapping_the_two_swaps_the_row() -> None:
    a = {str(i): {"bleu": float(i % 7)} for i in range(30)}
    b = {str(i): {"bleu": float(i % 5)} for i in range(3, 33)}
    forth, back = compare_scores(a, b)[0], compare_scores(b, a)[0]
    assert (forth.better, forth.worse, forth.equal) == (back.worse, back.better, back.equal)
    assert forth.difference == -(back.difference or 0)
    assert (forth.p_value, forth.only_a) == (back.p_value, back.only_b)


def test_nothing_to_compare() -> None:
    assert compare_scores({}, {"x": {}}) == ()


@pytest.mark.parametrize(
    ("better", "worse", "p"),
    [(0, 0, 1.0), (1, 0, 1.0), (5, 0, 0.0625), (3, 3, 1.0), (8, 2, 0.109375), (2, 8, 0.109375)],
)
def test_sign_test_by_hand(better: int, worse: int, p: float) -> None:
    assert sign_test(better, worse) == p


@pytest.mark.parametrize("count", range(1, 11))
def test_sign_test_by_counting_all_outcomes(count: int) -> None:
    outcomes = [sum(signs) for signs in product((0, 1), repeat=count)]
    for better in range(count + 1):
        uneven = abs(2 * better - count)
        extreme = sum(abs(2 * outcome - count) >= uneven for outcome in outcomes)
        assert sign_test(better, count - better) == extreme / len(outcomes)


def test_sign_test_over_many_items() -> None:
    assert sign_test(5050, 5050) == 1.0
    assert sign_test(10_100, 0) == 0.0  # below the smallest float
    assert 0.04 < sign_test(5150, 4950) < 0.05
