"""The least that a metric of one's own has to say."""

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np

from coordinator.metrics.metric import (
    Prepared,
    Statistics,
    SummedMetric,
    check_counts,
    check_references,
)
from coordinator.metrics.texts import pack, unpack


class TextMetric(SummedMetric):
    """A metric that counts something in each line, and whose score comes from the sum of that.

    A subclass says `counts` and `score_of_sum`. Its options are the keyword arguments of its
    `__init__`, which hands `name` on to this one.
    """

    version = "1"  # change it when the numbers change: it is part of the signature

    @abstractmethod
    def counts(self, hypothesis: str, references: Sequence[str]) -> Sequence[int | float]:
        """What is counted in one line, always as many numbers."""

    def prepare(self, references: Sequence[Sequence[str]]) -> Prepared:
        check_references(references)
        texts = [sentence for reference in references for sentence in reference]
        return Prepared(len(references[0]), len(references), pack(texts))

    def statistics(self, hypotheses: Sequence[str], prepared: Prepared) -> Statistics:
        check_counts(hypotheses, prepared)
        texts, size = unpack(prepared.arrays), len(prepared)
        lines = (texts[line::size] for line in range(size))
        return np.array(
            [self.counts(text, line) for text, line in zip(hypotheses, lines, strict=True)]
        )

    def signature(self, references: int = 1) -> str:
        """`nrefs:1|class:ExactMatch|version:1`"""
        return f"nrefs:{references}|class:{type(self).__name__}|version:{self.version}"
