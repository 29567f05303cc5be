"""Averages over directions: all that was expected, or none."""

import random

import pytest

from coordinator.metrics import Average, average, averages


def test_all_there() -> None:
    found = average({"a": 10.0, "b": 20.0, "c": 60.0})
    assert found == Average(30.0, 3, 3)
    assert found.complete
    assert str(found) == "30.0"


@pytest.mark.parametrize("missing", [None, float("nan"), float("inf")])
def test_a_missing_one_is_said(missing: float | None) -> None:
    found = average({"a": 90.0, "b": missing, "c": 90.0})
    assert found == Average(None, 2, 3)
    assert not found.complete
    assert str(found) == "incomplete (2 of 3)"


def test_nothing_expected_is_no_average() -> None:
    assert str(average({})) == "incomplete (0 of 0)"


def test_a_zero_is_a_score() -> None:
    assert average({"a": 0.0, "b": 0.0}) == Average(0.0, 2, 2)


def test_the_order_makes_no_difference() -> None:
    rng = random.Random(3)
    scores = {str(i): rng.random() * 10 ** rng.randint(-8, 2) for i in range(2000)}
    shuffled = dict(rng.sample(sorted(scores.items()), len(scores)))
    assert average(scores).value == average(shuffled).value


def test_full_floats() -> None:
    value = average({"a": 0.1, "b": 0.2}).value
    assert value is not None
    assert float(str(average({"a": 0.1, "b": 0.2}))) == value


def test_over_metrics() -> None:
    """A failed item (no scores at all) and one that lacks a metric both count as missing."""
    scores = {"x": {"bleu": 1.0, "chrf": 2.0}, "y": {"bleu": 3.0}, "stranger": {"ter": 9.0}}
    assert averages(scores, ["x", "y"]) == {"bleu": Average(2.0, 2, 2), "chrf": Average(None, 1, 2)}
    assert averages(scores, ["x", "y", "failed"])["bleu"] == Average(None, 2, 3)
    assert averages(scores, ["x", "x"])["bleu"] == Average(1.0, 1, 1)
