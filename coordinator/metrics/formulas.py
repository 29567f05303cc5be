"""sacrebleu's final formulas, over many sums at once, and the same to the last bit.

Each takes rows of statistics (sums, counts) in sacrebleu's order of columns. Rows of float32, as
sacrebleu's bootstrap has them, are worked in float32 as numpy's scalars would be there; integers
in float64. Logarithms and exponentials are `math`'s, which numpy's do not always equal.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[Any]
_ORDERS = 4  # of BLEU
_LOG_OF_ZERO = -9999999999.0


def bleu_scores(rows: Rows, *, effective_order: bool = False) -> NDArray[np.float64]:
    """BLEU with exponential smoothing, of `[hyp_len, ref_len, 4 correct, 4 total]`.

    Args:
        rows: (texts, 10).
        effective_order: leave out the orders that a text is too short for: what sacrebleu does
            for single sentences.
    """
    correct, total = rows[:, 2 : 2 + _ORDERS], rows[:, 2 + _ORDERS :]
    present = np.logical_and.accumulate(total > 0, axis=1)
    orders = np.full(len(rows), _ORDERS)
    if effective_order:
        orders = np.where(present[:, 0], present.sum(axis=1), _ORDERS)
    precisions = _precisions(correct, total, present).tolist()
    scored: list[bool] = np.any(correct > 0, axis=1).tolist()
    lengths = rows[:, :2].astype(np.int64).tolist()
    scores = [
        _brevity(*ends) * _mean(row[:order]) if some else 0.0
        for ends, row, order, some in zip(lengths, precisions, orders.tolist(), scored, strict=True)
    ]
    return np.array(scores, dtype=np.float64)


def _precisions(correct: Rows, total: Rows, present: NDArray[np.bool_]) -> Rows:
    """In percent; an order without a match counts as half, a quarter, ... of one."""
    kind = _working_type(correct)
    missed = (correct == 0) & present
    halvings = np.exp2(np.cumsum(missed, axis=1)).astype(kind)
    share, whole = kind.type(100) * correct.astype(kind), total.astype(kind)
    whole[~present] = 1
    found = np.where(missed, kind.type(100) / (halvings * whole), share / whole)
    return np.asarray(np.where(present, found, kind.type(0)))


def _brevity(hypothesis: int, reference: int) -> float:
    if hypothesis >= reference:
        return 1.0
    return math.exp(1 - reference / hypothesis) if hypothesis > 0 else 0.0


def _mean(precisions: list[float]) -> float:
    """The geometric one."""
    logs = [math.log(p) if p else _LOG_OF_ZERO for p in precisions]
    return math.exp(sum(logs) / len(logs))


def chrf_scores(rows: Rows, *, beta: int = 2) -> NDArray[Any]:
    """The score chrF or chrF++, of `[hyp, ref, match]` for each order; float32 for rows of float32.

    Args:
        rows: (texts, 3 times the orders of characters and words).
        beta: how much more recall counts than precision.
    """
    kind = _working_type(rows)
    hypothesis, reference, match = (rows[:, n::3].astype(kind) for n in range(3))
    used = (hypothesis > 0) & (reference > 0)
    orders = np.maximum(used.sum(axis=1), 1).astype(kind)
    precision = _in_order(_ratio(match, hypothesis, used)) / orders
    recall = _in_order(_ratio(match, reference, used)) / orders
    scored = (precision + recall) != 0
    factor = kind.type(beta**2)
    product = (kind.type(1) + factor) * precision * recall
    scores = kind.type(100) * _ratio(product, factor * precision + recall, scored)
    return _or_float64(scores, scored)


def ter_scores(rows: Rows) -> NDArray[Any]:
    """TER in percent, of `[edits, ref_len]`; float32 for rows of float32."""
    kind = _working_type(rows)
    edits, lengths = rows[:, 0].astype(kind), rows[:, 1].astype(kind)
    scored = lengths > 0
    scores = _or_float64(kind.type(100) * _ratio(edits, lengths, scored), scored)
    return np.where(scored, scores, np.where(edits > 0, 100, 0).astype(scores.dtype))


def _working_type(rows: Rows) -> np.dtype[Any]:
    return rows.dtype if np.issubdtype(rows.dtype, np.floating) else np.dtype(np.float64)


def _ratio(above: Rows, below: Rows, where: NDArray[np.bool_]) -> Rows:
    return np.divide(above, below, out=np.zeros_like(above), where=where)


def _in_order(columns: Rows) -> Rows:
    """The sum of the columns, one after the other: numpy's own sum may go about it in pairs."""
    total = columns[:, 0]
    for column in columns.T[1:]:
        total = total + column
    return total


def _or_float64(scores: Rows, scored: NDArray[np.bool_]) -> Rows:
    """As float64 if one text has no score: sacrebleu's is a float of Python's then, and numpy
    makes an array of such a list float64.
    """
    return scores if scored.all() else scores.astype(np.float64)
