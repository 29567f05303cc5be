"""sacrebleu's metrics as they are, taken apart into segments: exact, and slow."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coordinator.metrics.metric import Prepared, Statistics, SummedMetric, check_counts
from coordinator.metrics.texts import pack, unpack


class SacrebleuMetric(SummedMetric):
    """A metric made of sacrebleu's own methods; those with an underscore are what its
    `corpus_score` consists of. References are prepared anew for each text.
    """

    def __init__(self, name: str, scorer: Any) -> None:
        super().__init__(name)
        self._scorer = scorer

    def prepare(self, references: Sequence[Sequence[str]]) -> Prepared:
        texts = [sentence for reference in references for sentence in reference]
        return Prepared(len(references[0]), len(references), pack(texts))

    def statistics(self, hypotheses: Sequence[str], prepared: Prepared) -> Statistics:
        check_counts(hypotheses, prepared)
        texts, size = unpack(prepared.arrays), len(prepared)
        references = [texts[n * size : (n + 1) * size] for n in range(prepared.references)]
        cache = self._scorer._cache_references(references)
        rows = [
            self._scorer._compute_segment_statistics(self._scorer._preprocess_segment(text), kept)
            for text, kept in zip(hypotheses, cache, strict=True)
        ]
        return _exact(np.array(rows))

    def score_of_sum(self, row: Sequence[int | float]) -> float:
        return float(self._scorer._compute_score_from_stats(list(row)).score)

    def scores_of_sums(self, rows: Statistics) -> NDArray[Any]:
        return np.array([self._scorer._compute_score_from_stats(row).score for row in rows])

    def signature(self, references: int = 1) -> str:
        self._scorer.num_refs = references  # it asks for references else
        return str(self._scorer.get_signature())


def _exact(rows: Statistics) -> Statistics:
    """As integers where they are: TER's mean length of one reference is whole."""
    whole = rows.astype(np.int64)
    return whole if np.array_equal(whole, rows) else rows
