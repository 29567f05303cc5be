"""Scores of one text after another, with references kept from one to the next."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from coordinator.errors import BadInput
from coordinator.metrics import (
    ItemScores,
    ItemStatistics,
    Metric,
    MetricResult,
    MetricSpec,
    Prepared,
    Statistics,
    load_metric,
    summed,
)
from coordinator.scoring.files import Text, about, read_hypotheses, read_reference


@dataclass(frozen=True)
class Scored:
    """What became of one item."""

    scores: ItemScores
    statistics: ItemStatistics

    def write(self, folder: Path) -> None:
        """Leave `scores.json` and `statistics.json` in `folder`."""
        (folder / "scores.json").write_bytes(self.scores.to_bytes())
        (folder / "statistics.json").write_bytes(self.statistics.to_bytes())


@dataclass
class _Kept:
    """The last reference. One is enough: a pack is sorted by target language."""

    sha256: str = ""
    prepared: dict[str, Prepared] = field(default_factory=dict)  # by metric


class Scorer:
    """Metrics, loaded once, for many items.

    Raises:
        BadInput: a metric's tokenizer cannot be loaded.
    """

    def __init__(self, metrics: Sequence[MetricSpec]) -> None:
        self._metrics = [load_metric(spec) for spec in metrics]
        self._kept = _Kept()

    def score(
        self,
        item: str,
        hypotheses: Text,
        reference: Text,
        languages: tuple[str, str] = ("", ""),
    ) -> Scored:
        """Every metric of `hypotheses` against `reference`. `languages`: source and target.

        Raises:
            BadInput: not equally many sentences.
        """
        _check_counts(hypotheses, reference)
        rows = {m.name: self._statistics(m, hypotheses, reference) for m in self._metrics}
        scores = ItemScores(
            item=item,
            source_language=languages[0],
            target_language=languages[1],
            sentences=len(reference.sentences),
            reference_sha256=reference.sha256,
            hypotheses_sha256=hypotheses.sha256,
            metrics={m.name: _result(m, rows[m.name]) for m in self._metrics},
        )
        return Scored(
            scores,
            ItemStatistics(
                item=item, metrics={name: found.tolist() for name, found in rows.items()}
            ),
        )

    def _statistics(self, metric: Metric, hypotheses: Text, reference: Text) -> Statistics:
        return metric.statistics(hypotheses.sentences, self._prepared(metric, reference))

    def _prepared(self, metric: Metric, reference: Text) -> Prepared:
        """Known again by content: each item may have a copy of the file of its own."""
        if self._kept.sha256 != reference.sha256:
            self._kept = _Kept(reference.sha256)
        if metric.name not in self._kept.prepared:
            self._kept.prepared[metric.name] = metric.prepare([reference.sentences])
        return self._kept.prepared[metric.name]


def score_files(
    hypotheses: Path,
    reference: Path,
    metrics: Sequence[MetricSpec],
    *,
    item: str = "",
    languages: tuple[str, str] = ("", ""),
) -> Scored:
    """The scores of a file of translations (`.jsonl` or one a line) against a reference file.

    It needs no batch. The item is called like the file of the translations unless `item` is given.

    Raises:
        BadInput: a file or a metric cannot be used, or the line counts differ.
    """
    name = item or hypotheses.name
    scorer = Scorer(metrics)
    with about(name):
        text = read_hypotheses(hypotheses, jsonl=hypotheses.suffix == ".jsonl")
        return scorer.score(name, text, read_reference(reference), languages)


def _check_counts(hypotheses: Text, reference: Text) -> None:
    found, expected = len(hypotheses.sentences), len(reference.sentences)
    if found != expected:
        raise BadInput(
            f"{found} translations for {expected} reference sentences",
            why="line n of one must be line n of the other",
            hint="check that neither file was cut off",
        )


def _result(metric: Metric, rows: Statistics) -> MetricResult:
    return MetricResult(
        score=metric.score(rows),
        signature=metric.signature(),
        statistics=tuple(summed(rows)),
        tokenizer_sha256=metric.tokenizer_sha256,
    )
