"""chrF and chrF++, exactly as sacrebleu counts them, for many hypotheses of one reference."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from unicodedata import unidata_version

import numpy as np
import sacrebleu  # noqa: F401 - before its parts, or two threads may wait for each other
from numpy.typing import NDArray
from sacrebleu.metrics.chrf import CHRF

from coordinator.metrics.codes import Text
from coordinator.metrics.formulas import chrf_scores
from coordinator.metrics.keys import FIRST_ID, Tokens, matching_ngrams, prepare_ngrams
from coordinator.metrics.metric import (
    Prepared,
    Statistics,
    SummedMetric,
    check_counts,
    check_references,
)
from coordinator.metrics.vocabulary import Words, prepare_vocabulary, word_ids

Arrays = Mapping[str, NDArray[Any]]


class ChrfMetric(SummedMetric):
    """chrF (`word_order` 0) or chrF++ (2).

    Rows are [hypothesis', reference's, shared n-grams] of each order: characters, then words.
    """

    def __init__(
        self, name: str, word_order: int = 0, lowercase: bool = False, whitespace: bool = False
    ) -> None:
        super().__init__(name)
        self._scorer = CHRF(word_order=word_order, lowercase=lowercase, whitespace=whitespace)

    @property
    def recipe(self) -> str:
        """With Python's version of Unicode, by which letters and white space are known."""
        scorer = self._scorer
        switches = f"nw:{scorer.word_order} lc:{scorer.lowercase} space:{scorer.whitespace}"
        return f"chrf 1 {switches} unicode:{unidata_version}"

    def prepare(self, references: Sequence[Sequence[str]]) -> Prepared:
        check_references(references)
        arrays: dict[str, NDArray[Any]] = {}
        for number, reference in enumerate(references):
            for part, found in self._prepared_parts(self._text(reference)):
                arrays |= {f"r{number}_{part}_{key}": array for key, array in found.items()}
        return Prepared(len(references[0]), len(references), arrays)

    def statistics(self, hypotheses: Sequence[str], prepared: Prepared) -> Statistics:
        check_counts(hypotheses, prepared)
        text = self._text(hypotheses)
        found = [
            np.concatenate(list(self._counts(text, prepared.arrays, f"r{number}_")), axis=1)
            for number in range(prepared.references)
        ]
        if len(found) == 1:
            return found[0]
        best = np.argmax([self.sentence_scores(rows) for rows in found], axis=0)
        rows: Statistics = np.stack(found)[best, np.arange(len(best))]
        return rows

    def score_of_sum(self, row: Sequence[int | float]) -> float:
        return float(self._scorer._compute_f_score([int(count) for count in row]))

    def scores_of_sums(self, rows: Statistics) -> NDArray[Any]:
        return chrf_scores(rows)

    def sentence_scores(self, statistics: Statistics) -> NDArray[np.float64]:
        return chrf_scores(statistics)

    def signature(self, references: int = 1) -> str:
        self._scorer.num_refs = references  # it asks for references else
        return str(self._scorer.get_signature())

    def _text(self, lines: Sequence[str]) -> Text:
        return Text.of([line.lower() for line in lines] if self._scorer.lowercase else lines)

    def _prepared_parts(self, text: Text) -> Iterator[tuple[str, Arrays]]:
        codes, lengths = text.characters(self._scorer.whitespace)
        table = _id_table(codes)
        tokens = Tokens(table[codes], lengths)
        yield "characters", prepare_ngrams(tokens, self._scorer.char_order) | {"table": table}
        if self._scorer.word_order:
            words, counts = _words(text)
            vocabulary = prepare_vocabulary(words)
            yield "vocabulary", vocabulary
            tokens = Tokens(word_ids(vocabulary, words), counts)
            yield "words", prepare_ngrams(tokens, self._scorer.word_order)

    def _counts(self, text: Text, arrays: Arrays, prefix: str) -> Iterator[Statistics]:
        codes, lengths = text.characters(self._scorer.whitespace)
        own = _part(arrays, f"{prefix}characters_")
        tokens = Tokens(own["table"].take(codes, mode="clip"), lengths)
        yield _rows(own, tokens, self._scorer.char_order)
        if self._scorer.word_order:
            words, counts = _words(text)
            tokens = Tokens(word_ids(_part(arrays, f"{prefix}vocabulary_"), words), counts)
            yield _rows(_part(arrays, f"{prefix}words_"), tokens, self._scorer.word_order)


def _rows(arrays: Arrays, tokens: Tokens, order: int) -> Statistics:
    shared = matching_ngrams(arrays, tokens, order)
    below = np.arange(order)
    theirs = np.maximum(np.diff(arrays["starts"])[:, None] - below, 0)
    ours = np.maximum(tokens.lengths[:, None] - below, 0)
    ours[theirs == 0] = 0  # as in sacrebleu: not counted where the reference has no such n-gram
    return np.stack([ours, theirs, shared], axis=2).reshape(len(shared), 3 * order)


def _words(text: Text) -> tuple[Words, NDArray[Any]]:
    first, end, counts = text.words()
    return Words(text.codes, first, end), counts


def _id_table(codes: NDArray[np.uint32]) -> NDArray[np.int32]:
    """Code point -> its number among the different ones; the last entry, for all others, is 0."""
    different = np.unique(codes)
    table = np.zeros(int(codes.max(initial=0)) + 2, dtype=np.int32)
    table[different] = np.arange(len(different)) + FIRST_ID
    return table


def _part(arrays: Arrays, prefix: str) -> dict[str, NDArray[Any]]:
    size = len(prefix)
    return {
        key[size:]: np.asarray(array) for key, array in arrays.items() if key.startswith(prefix)
    }
