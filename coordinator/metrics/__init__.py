"""Metrics over text: integer counts of each segment, and from their sum a score and a signature.

Everything here is sacrebleu's own arithmetic, so a score equals sacrebleu's to the last bit.
Importing this package imports no sacrebleu: that happens in `load_metric`.
"""

from coordinator.metrics.aggregate import Average, average, averages
from coordinator.metrics.documents import (
    ItemScores,
    ItemStatistics,
    MetricResult,
    read_scores,
)
from coordinator.metrics.load import load_metric
from coordinator.metrics.metric import Metric, Prepared, Statistics, SummedMetric, summed
from coordinator.metrics.spec import (
    DEFAULT_METRICS,
    MetricSpec,
    lower_is_better,
    parse_metrics,
)

__all__ = [
    "DEFAULT_METRICS",
    "Average",
    "ItemScores",
    "ItemStatistics",
    "Metric",
    "MetricResult",
    "MetricSpec",
    "Prepared",
    "Statistics",
    "SummedMetric",
    "average",
    "averages",
    "load_metric",
    "lower_is_better",
    "parse_metrics",
    "read_scores",
    "summed",
]
