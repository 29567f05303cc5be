"""Statistics that were kept in `statistics.json`, and the formula that makes scores of them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson

from coordinator.errors import BadInput
from coordinator.metrics.load import load_metric
from coordinator.metrics.metric import Statistics, SummedMetric
from coordinator.metrics.spec import MetricSpec

# Kind of metric -> how many counts a row has.
_WIDTHS = {"bleu": 10, "spbleu": 10, "chrf": 18, "chrf++": 24, "ter": 2}
_LARGEST = 2**40  # a count; a million sentences of them are still exact


def read_statistics(data: bytes) -> dict[str, Statistics]:
    """Metric -> its rows, (segments, counts), from the bytes of `statistics.json`.

    Raises:
        BadInput: it is none, or holds what no metric counts.
    """
    try:
        document = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise _unreadable("not JSON; the file may be cut off") from error
    metrics = document.get("metrics") if isinstance(document, dict) else None
    if not isinstance(metrics, dict) or document.get("format") != 1:
        raise _unreadable("not written by this version of the coordinator")
    return {name: _array(rows) for name, rows in metrics.items()}


def formula_of(name: str, statistics: Statistics) -> SummedMetric | None:
    """What scores sums of these statistics, by the metric's name alone: no tokenizer is loaded.

    None for a metric that is not one of the coordinator's own, or rows that it never leaves.
    """
    kind = name.partition("-")[0]
    if _WIDTHS.get(kind) != statistics.shape[1]:
        return None
    if statistics.min(initial=0) < 0 or statistics.max(initial=0) > _LARGEST:
        return None
    bleu = MetricSpec("bleu", tokenize="none")  # BLEU's formula is the same over any tokenizer
    metric = load_metric(bleu if kind == "spbleu" or kind == "bleu" else MetricSpec(kind))
    return metric if isinstance(metric, SummedMetric) else None


def _array(rows: Sequence[Any]) -> Statistics:
    try:
        found = np.array(rows)
    except (ValueError, OverflowError) as error:
        raise _unreadable("rows of different lengths") from error
    if found.ndim != 2 or found.dtype.kind not in "if" or not found.size:
        raise _unreadable("rows that are no numbers")
    return found


def _unreadable(why: str) -> BadInput:
    return BadInput("statistics.json cannot be read", why=why, hint="score the item again")
