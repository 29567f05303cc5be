"""Accuracy and F1 over labels, one a line: the numbers are scikit-learn's own (from 0 to 1)."""

import warnings
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coordinator.errors import BadInput
from coordinator.metrics.metric import Metric, Prepared, Statistics, check_counts
from coordinator.metrics.texts import pack, unpack


class LabelMetric(Metric):
    """A score of predicted labels against the right ones.

    A row of the statistics is the right label and the predicted one, as places in the sorted list
    of all labels that occur in the text: scikit-learn gives the same score for these numbers as
    for the labels, to the last bit, because it adds up in the order of the labels.

    Raises:
        BadInput: scikit-learn is not installed.
    """

    is_of_texts = False

    def __init__(
        self, name: str, score: Callable[[ModuleType, Any, Any], float], what: str
    ) -> None:
        super().__init__(name)
        self._score, self._what, self._library = score, what, _scikit_learn()

    def prepare(self, references: Sequence[Sequence[str]]) -> Prepared:
        """Raises BadInput: several references, of which no one label could be the right one."""
        if len(references) != 1:
            raise BadInput(
                f"{self.name} with {len(references)} references", why="a line has one label"
            )
        return Prepared(len(references[0]), 1, pack(references[0]))

    def statistics(self, hypotheses: Sequence[str], prepared: Prepared) -> Statistics:
        check_counts(hypotheses, prepared)
        right = [label.strip() for label in unpack(prepared.arrays)]
        predicted = [label.strip() for label in hypotheses]
        places = {label: place for place, label in enumerate(sorted({*right, *predicted}))}
        pairs = [(places[a], places[b]) for a, b in zip(right, predicted, strict=True)]
        return np.array(pairs, dtype=np.int64).reshape(-1, 2)

    def score(self, statistics: Statistics) -> float:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of few lines with many labels, for instance
            return float(self._score(self._library, statistics[:, 0], statistics[:, 1]))

    def sentence_scores(self, statistics: Statistics) -> NDArray[np.float64]:
        """Of one line, accuracy and any F1 are the same: 1 or 0."""
        return np.asarray(statistics[:, 0] == statistics[:, 1], dtype=np.float64)

    def signature(self, references: int = 1) -> str:
        """`nrefs:1|average:macro|sklearn:1.8.0`"""
        return f"nrefs:{references}|{self._what}|sklearn:{_version()}"


def accuracy(name: str) -> LabelMetric:
    """The share of right labels."""
    return LabelMetric(name, lambda library, a, b: library.accuracy_score(a, b), "normalize:yes")


def f1(name: str, average: str) -> LabelMetric:
    """F1 over all labels that occur; what is never predicted, or never right, counts as 0."""
    return LabelMetric(
        name,
        lambda library, a, b: library.f1_score(a, b, average=average, zero_division=0.0),
        f"average:{average}",
    )


def _scikit_learn() -> ModuleType:
    try:
        import sklearn.metrics
    except ImportError as error:
        raise BadInput(
            "label metrics need scikit-learn, which is not installed",
            hint="pip install 'coordinator[labels]' where the scoring runs",
        ) from error
    found: ModuleType = sklearn.metrics
    return found


def _version() -> str:
    import sklearn

    return str(sklearn.__version__)
