"""Metrics over text: integer counts of each segment, and from their sum a score and a signature.

Everything here is sacrebleu's own arithmetic, so a score equals sacrebleu's to the last bit.
Importing this package imports neither numpy nor sacrebleu: what needs them is imported when it is
asked for, since most verbs score nothing.
"""

from typing import TYPE_CHECKING

from coordinator.lazily import imports_of
from coordinator.metrics.aggregate import Average, average, averages
from coordinator.metrics.documents import (
    SCORES,
    STATISTICS,
    ItemScores,
    ItemStatistics,
    MetricResult,
    Suspicious,
    read_scores,
    statistics_bytes,
)
from coordinator.metrics.groups import GroupAverage, group_averages, matrix
from coordinator.metrics.languages import Language, LanguageTable, read_languages
from coordinator.metrics.spec import (
    DEFAULT_METRICS,
    LABEL_METRICS,
    MetricSpec,
    OwnSpec,
    lower_is_better,
    parse_metrics,
)
from coordinator.metrics.tables import group_rows, score_rows, suspicious_rows

if TYPE_CHECKING:
    from coordinator.metrics.load import load_metric
    from coordinator.metrics.metric import Metric, Prepared, Statistics, SummedMetric, summed
    from coordinator.metrics.significance import (
        Estimate,
        PairedResult,
        effect_size,
        false_discoveries,
        paired_test,
        sacrebleu_seed,
    )
    from coordinator.metrics.slices import TagScore, scores_by_tag
    from coordinator.metrics.store import PreparedStore
    from coordinator.metrics.suspicious import examine, suspicious_lines
    from coordinator.metrics.text_metric import TextMetric

_LATER = {
    "load": ("load_metric",),
    "metric": ("Metric", "Prepared", "Statistics", "SummedMetric", "summed"),
    "significance": (
        "Estimate",
        "PairedResult",
        "effect_size",
        "false_discoveries",
        "paired_test",
        "sacrebleu_seed",
    ),
    "slices": ("TagScore", "scores_by_tag"),
    "store": ("PreparedStore",),
    "suspicious": ("examine", "suspicious_lines"),
    "text_metric": ("TextMetric",),
}

__all__ = [
    "DEFAULT_METRICS",
    "LABEL_METRICS",
    "SCORES",
    "STATISTICS",
    "Average",
    "Estimate",
    "GroupAverage",
    "ItemScores",
    "ItemStatistics",
    "Language",
    "LanguageTable",
    "Metric",
    "MetricResult",
    "MetricSpec",
    "OwnSpec",
    "PairedResult",
    "Prepared",
    "PreparedStore",
    "Statistics",
    "SummedMetric",
    "Suspicious",
    "TagScore",
    "TextMetric",
    "average",
    "averages",
    "effect_size",
    "examine",
    "false_discoveries",
    "group_averages",
    "group_rows",
    "load_metric",
    "lower_is_better",
    "matrix",
    "paired_test",
    "parse_metrics",
    "read_languages",
    "read_scores",
    "sacrebleu_seed",
    "score_rows",
    "scores_by_tag",
    "statistics_bytes",
    "summed",
    "suspicious_lines",
    "suspicious_rows",
]


if not TYPE_CHECKING:  # or every name would be thought to exist
    __getattr__ = imports_of(__name__, _LATER)
