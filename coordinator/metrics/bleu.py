"""BLEU over integer ids: the counts and scores of sacrebleu's `BLEU`, to the last bit."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import sacrebleu  # noqa: F401 - before its parts, or two threads may wait for each other
from numpy.typing import NDArray
from sacrebleu.metrics.bleu import BLEU, MAX_NGRAM_ORDER

from coordinator.metrics.formulas import bleu_scores
from coordinator.metrics.metric import (
    Prepared,
    Statistics,
    SummedMetric,
    check_counts,
    check_references,
)
from coordinator.metrics.ngrams import NgramIndex, totals
from coordinator.metrics.texts import pack, unpack
from coordinator.metrics.tokens import GrowingVocabulary, Tokenizer, Vocabulary

_FORMAT = 1  # of the prepared arrays


class BleuMetric(SummedMetric):
    """BLEU (Papineni et al., 2002) over the tokens of any tokenizer.

    A row of its statistics is sacrebleu's: the length of the hypothesis and of its reference (of
    several, the one closest in length, of two as close the shorter), then for n-grams of 1 to 4
    tokens how many are in a reference, then how many there are.

    Args:
        name: its key in outputs.
        tokenizer: cuts the lines.
        lowercase: before anything else.
    """

    def __init__(self, name: str, tokenizer: Tokenizer, *, lowercase: bool = False) -> None:
        super().__init__(name)
        self.tokenizer_sha256 = tokenizer.sha256
        self._tokenizer, self._lowercase = tokenizer, lowercase
        self._corpus = _scorer(tokenizer, lowercase=lowercase)
        self._read: tuple[Any, Vocabulary] = None, Vocabulary()

    @property
    def recipe(self) -> str:
        case = "lc" if self._lowercase else "mixed"
        return f"bleu-ngrams {_FORMAT} {case} {self._tokenizer.recipe}"

    def prepare(self, references: Sequence[Sequence[str]]) -> Prepared:
        check_references(references)
        lines = [self._cleaned(line) for reference in references for line in reference]
        vocabulary = GrowingVocabulary(self._tokenizer.first)
        tokens = self._tokenizer.encode(lines, vocabulary)
        count = len(references)
        index = NgramIndex.build(
            tokens.ids, tokens.offsets, orders=MAX_NGRAM_ORDER, references=count
        )
        lengths = np.diff(tokens.offsets).reshape(count, -1)
        arrays = index.to_arrays() | pack(list(vocabulary)) | {"lengths": lengths}
        return Prepared(len(references[0]), count, arrays)

    def statistics(self, hypotheses: Sequence[str], prepared: Prepared) -> Statistics:
        check_counts(hypotheses, prepared)
        lines = [self._cleaned(line) for line in hypotheses]
        tokens = self._tokenizer.encode(lines, self._vocabulary(prepared))
        index = NgramIndex.from_arrays(prepared.arrays)
        lengths = np.diff(tokens.offsets)
        closest = _closest(lengths, np.asarray(prepared.arrays["lengths"]))
        correct = index.matches(tokens.ids, tokens.offsets)
        return np.column_stack([lengths, closest, correct, totals(tokens.offsets, index.orders)])

    def score_of_sum(self, row: Sequence[int | float]) -> float:
        return float(self._corpus._compute_score_from_stats([int(count) for count in row]).score)

    def scores_of_sums(self, rows: Statistics) -> NDArray[np.float64]:
        return bleu_scores(rows)

    def sentence_scores(self, statistics: Statistics) -> NDArray[np.float64]:
        """What sacrebleu's `sentence_score` gives with `effective_order=True`, as it recommends for
        single sentences: orders that a sentence is too short for do not count.
        """
        return bleu_scores(statistics, effective_order=True)

    def signature(self, references: int = 1) -> str:
        self._corpus.num_refs = references  # it asks for references else
        return str(self._corpus.get_signature())

    def _cleaned(self, line: str) -> str:
        return (line.lower() if self._lowercase else line).rstrip()

    def _vocabulary(self, prepared: Prepared) -> Vocabulary:
        """That of `prepared`; the last one is kept, for the next hypotheses."""
        if self._read[0] is not prepared.arrays:
            tokens = unpack(prepared.arrays)
            self._read = prepared.arrays, Vocabulary.of(tokens, self._tokenizer.first)
        return self._read[1]


def _scorer(tokenizer: Tokenizer, **settings: Any) -> BLEU:
    """The original, for its formula and its signature; it cuts nothing."""
    scorer = BLEU(tokenize="none", force=True, **settings)
    scorer.tokenizer_signature = tokenizer.name
    return scorer


def _closest(lengths: NDArray[np.int64], references: NDArray[np.int64]) -> NDArray[np.int64]:
    """(segments,): of (references, segments) lengths the closest one; of two, the shorter."""
    order = np.lexsort((references, abs(references - lengths)), axis=0)
    closest: NDArray[np.int64] = np.take_along_axis(references, order[:1], axis=0)[0]
    return closest
