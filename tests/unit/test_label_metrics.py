"""Accuracy and F1 over labels: scikit-learn's numbers, and counts that give them again."""

import builtins
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.errors import BadInput
from coordinator.metrics import Metric, load_metric, parse_metrics

pytest.importorskip("sklearn.metrics")  # and loaded before time is measured
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")

F1S = [{"name": "f1", "average": average} for average in ("macro", "micro", "weighted")]


def metric(entry: Any) -> Metric:
    return load_metric(parse_metrics([entry])[0])


def of_sklearn(entry: Any) -> Callable[[list[str], list[str]], float]:
    from sklearn.metrics import accuracy_score, f1_score

    if entry == "accuracy":
        return lambda right, said: float(accuracy_score(right, said))
    average = entry["average"]
    return lambda right, said: float(f1_score(right, said, average=average, zero_division=0.0))


LABELS = st.sampled_from(
    ["trade", "sport", "Sport", "weather", "", "été", "日本", "a b", "10", "9"]
)


@pytest.mark.parametrize("entry", ["accuracy", *F1S], ids=str)
@given(pairs=st.lists(st.tuples(LABELS, LABELS), min_size=1, max_size=40))
def test_the_same_number_as_scikit_learn(entry: Any, pairs: list[tuple[str, str]]) -> None:
    right, said = [a for a, _ in pairs], [b for _, b in pairs]
    found = metric(entry)
    rows = found.statistics(said, found.prepare([right]))
    assert found.score(rows).hex() == of_sklearn(entry)(right, said).hex()
    kept = np.array(rows.tolist())  # as statistics.json has them
    assert found.score(kept).hex() == found.score(rows).hex()
    assert rows.shape == (len(pairs), 2) and rows.dtype == np.int64


@pytest.mark.parametrize("entry", ["accuracy", *F1S], ids=str)
def test_every_line_scores_by_itself(entry: Any) -> None:
    found = metric(entry)
    rows = found.statistics(["a", "b", "c "], found.prepare([["a", "x", " c"]]))
    assert found.sentence_scores(rows).tolist() == [1.0, 0.0, 1.0]
    assert [found.score(row[None]) for row in rows] == [1.0, 0.0, 1.0]


def test_names_and_signatures_tell_the_average() -> None:
    import sklearn

    assert [metric(entry).name for entry in F1S] == ["f1-macro", "f1-micro", "f1-weighted"]
    assert metric(F1S[0]).signature() == f"nrefs:1|average:macro|sklearn:{sklearn.__version__}"


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("f1", "f1 needs `average` (one of macro, micro, weighted)"),
        ({"name": "f1", "average": "marco"}, "did you mean macro"),
        ({"name": "accuracy", "average": "macro"}, "unknown key 'average'"),
    ],
)
def test_settings_that_cannot_be_meant(entry: Any, said: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_metrics([entry])
    assert said in str(caught.value)


def test_a_line_has_one_label_and_each_its_prediction() -> None:
    found = metric("accuracy")
    with pytest.raises(BadInput, match="one label"):
        found.prepare([["a"], ["b"]])
    with pytest.raises(BadInput, match="2 hypotheses, but 1 references"):
        found.statistics(["a", "b"], found.prepare([["a"]]))


def test_without_scikit_learn_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *more: Any) -> Any:
        if name.startswith("sklearn"):
            raise ModuleNotFoundError(name)
        return real(name, *more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(BadInput) as caught:
        metric("accuracy")
    assert "coordinator[labels]" in caught.value.hint
