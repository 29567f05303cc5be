"""TER: how many words must be changed, added, dropped or moved, for each word of the reference."""

import inspect
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import sacrebleu
from numpy.typing import NDArray
from sacrebleu.metrics.lib_ter import translation_edit_rate
from sacrebleu.metrics.ter import TER

from coordinator.metrics.compiled import kernels
from coordinator.metrics.formulas import ter_scores
from coordinator.metrics.metric import (
    Prepared,
    Statistics,
    SummedMetric,
    check_counts,
    check_references,
)
from coordinator.metrics.texts import pack, unpack


class TerMetric(SummedMetric):
    """sacrebleu's TER, the words as numbers; a row is (edits, words of the reference).

    Of several references, the edits are those to the nearest one, and the words their mean: only
    then are rows floats.

    Args:
        name: its key in outputs.
        switches: those of sacrebleu's `TER` that are on.
    """

    def __init__(self, name: str, switches: Sequence[str] = ()) -> None:
        super().__init__(name)
        self._switches = sorted(switches)
        on: dict[str, Any] = dict.fromkeys(switches, True)
        self._ter = TER(**on)
        # Without its cache: it would keep 65,536 translations that do not come again.
        self._tokenize = inspect.unwrap(type(self._ter.tokenizer).__call__)

    @property
    def recipe(self) -> str:
        return f"ter 1 {','.join(self._switches)} sacrebleu {sacrebleu.__version__}"

    def prepare(self, references: Sequence[Sequence[str]]) -> Prepared:
        """The arrays: `ids` of all words, reference by reference, segment by segment; `ids_at`,
        where each segment begins (and where the last one ends); the words, packed.
        """
        check_references(references)
        lines = [self._words(line) for reference in references for line in reference]
        ids: dict[str, int] = {}
        flat = [ids.setdefault(word, len(ids)) for words in lines for word in words]
        arrays: dict[str, NDArray[Any]] = {"ids": np.array(flat, dtype=np.int32)}
        arrays["ids_at"] = _ends(lines)
        return Prepared(len(references[0]), len(references), arrays | pack([" ".join(ids)]))

    def statistics(self, hypotheses: Sequence[str], prepared: Prepared) -> Statistics:
        check_counts(hypotheses, prepared)
        ids = {word: n for n, word in enumerate(unpack(prepared.arrays)[0].split())}
        lines = [self._words(line) for line in hypotheses]
        flat = np.array([ids.get(word, -1) for words in lines for word in words], dtype=np.int32)
        edits = _fewest_edits(flat, _ends(lines), prepared)
        return np.column_stack([edits, _mean_lengths(prepared)])

    def score_of_sum(self, row: Sequence[int | float]) -> float:
        return float(self._ter._compute_score_from_stats(list(row)).score)

    def scores_of_sums(self, rows: Statistics) -> NDArray[Any]:
        return ter_scores(rows)

    def sentence_scores(self, statistics: Statistics) -> NDArray[np.float64]:
        return ter_scores(statistics)

    def signature(self, references: int = 1) -> str:
        self._ter.num_refs = references
        return str(self._ter.get_signature())

    def _words(self, line: str) -> list[str]:
        words: list[str] = self._tokenize(self._ter.tokenizer, line.rstrip()).split()
        return words


def _ends(lines: Iterable[Sequence[Any]]) -> NDArray[np.int64]:
    return np.cumsum([0, *map(len, lines)], dtype=np.int64)


def _mean_lengths(prepared: Prepared) -> NDArray[Any]:
    lengths = np.diff(prepared.arrays["ids_at"]).reshape(prepared.references, len(prepared))
    total: NDArray[np.int64] = lengths.sum(axis=0)
    return total if prepared.references == 1 else total / prepared.references


def _fewest_edits(
    words: NDArray[np.int32], words_at: NDArray[np.int64], prepared: Prepared
) -> NDArray[np.int64]:
    loops = kernels("ter_kernels")
    count_edits = loops.count_edits if loops else _count_edits
    ids, ids_at = prepared.arrays["ids"], prepared.arrays["ids_at"]
    size = len(prepared)
    edits = [
        count_edits(words, words_at, ids, ids_at[n * size : (n + 1) * size + 1])
        for n in range(prepared.references)
    ]
    fewest: NDArray[np.int64] = np.min(edits, axis=0)
    return fewest


def _count_edits(
    words: NDArray[np.int32],
    words_at: NDArray[np.int64],
    references: NDArray[np.int32],
    references_at: NDArray[np.int64],
) -> NDArray[np.int64]:
    """As `ter_kernels.count_edits`, by sacrebleu: to it, numbers are as good as strings."""
    pairs = zip(_cut(words, words_at), _cut(references, references_at), strict=True)
    edits = [translation_edit_rate(words, reference)[0] for words, reference in pairs]
    return np.array(edits, dtype=np.int64)


def _cut(ids: NDArray[np.int32], ends: NDArray[np.int64]) -> list[list[Any]]:
    flat = ids.tolist()
    return [flat[begin:end] for begin, end in pairwise(ends.tolist())]
