"""Scores of one text after another, with references kept from one to the next."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path

from coordinator.errors import BadInput
from coordinator.metrics import (
    SCORES,
    STATISTICS,
    ItemScores,
    Metric,
    MetricResult,
    MetricSpec,
    Prepared,
    PreparedStore,
    Statistics,
    Suspicious,
    examine,
    load_metric,
    statistics_bytes,
    summed,
)
from coordinator.scoring.files import Text, about, read_hypotheses
from coordinator.scoring.references import References, read_references


@dataclass(frozen=True)
class Scored:
    """What became of one item.

    Attributes:
        statistics: the bytes of `statistics.json`.
    """

    scores: ItemScores
    statistics: bytes

    def marked(self, limited: str) -> "Scored":
        """The same, with the word of what was left out; "" = nothing was."""
        return replace(self, scores=self.scores.model_copy(update={"limited": limited}))

    def files(self) -> dict[str, bytes]:
        """Name -> content; the scores come last, and so mean that all is there."""
        return {STATISTICS: self.statistics, SCORES: self.scores.to_bytes()}

    def write(self, folder: Path) -> None:
        """Leave `scores.json` and `statistics.json` in `folder`."""
        for name, content in self.files().items():
            (folder / name).write_bytes(content)


@dataclass(frozen=True)
class Task:
    """One text to score.

    Attributes:
        item: its name in outputs and messages.
        languages: source and target, only to be written down.
        source: what was translated, where it is at hand: copies of it are looked for.
    """

    item: str
    hypotheses: Text
    references: References
    languages: tuple[str, str] = ("", "")
    source: Text | None = None


@dataclass
class _Kept:
    """The last references. One language is enough: whoever scores many sorts them by target."""

    sha256: str = ""
    prepared: dict[str, Prepared] = field(default_factory=dict)  # by metric


class Scorer:
    """Metrics, loaded once, for many items.

    Args:
        metrics: which.
        store: where prepared references are kept; None = in memory, those of one text at a time.

    Raises:
        BadInput: a metric's tokenizer cannot be loaded.
    """

    def __init__(self, metrics: Sequence[MetricSpec], store: PreparedStore | None = None) -> None:
        self.metrics = [load_metric(spec) for spec in metrics]
        self._is_of_texts = any(metric.is_of_texts for metric in self.metrics)
        self._store = store
        self._kept = _Kept()

    def score(self, task: Task) -> Scored:
        """Every metric of the task's hypotheses against its references.

        Raises:
            BadInput: not equally many sentences.
        """
        _check_counts(task)
        rows = {metric.name: self._statistics(metric, task) for metric in self.metrics}
        statistics = statistics_bytes(task.item, rows)
        results = {m.name: _result(m, rows[m.name], task) for m in self.metrics}
        scores = _scores(task, results).model_copy(
            update={
                "statistics_sha256": sha256(statistics).hexdigest(),
                "suspicious": _signs(task) if self._is_of_texts else None,
            }
        )
        return Scored(scores, statistics)

    def is_of(self, task: Task, scores: ItemScores) -> bool:
        """Whether `scores` are what `score` would give for `task`, as far as inputs tell."""
        blank = {metric.name: _described(metric, task) for metric in self.metrics}
        found = {
            name: result.model_copy(update={"score": 0.0, "statistics": ()})
            for name, result in scores.metrics.items()
        }
        inputs = {"metrics": found, "statistics_sha256": "", "suspicious": None}
        same_order = list(found) == list(blank)  # else the bytes would differ
        return same_order and scores.model_copy(update=inputs) == _scores(task, blank)

    def _statistics(self, metric: Metric, task: Task) -> Statistics:
        prepared = self._prepared(metric, task.references)
        return metric.statistics(task.hypotheses.sentences, prepared)

    def _prepared(self, metric: Metric, references: References) -> Prepared:
        """Known again by content: each item may have a copy of the file of its own."""
        if self._kept.sha256 != references.sha256:
            self._kept = _Kept(references.sha256)
        if metric.name not in self._kept.prepared:
            self._kept.prepared[metric.name] = (
                self._store.prepared(metric, references.texts)
                if self._store
                else metric.prepare(references.texts)
            )
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
        return scorer.score(Task(name, text, read_references([reference]), languages))


def _check_counts(task: Task) -> None:
    found, expected = len(task.hypotheses.sentences), len(task.references)
    if found != expected:
        raise BadInput(
            f"{found} translations for {expected} reference sentences",
            why="line n of one must be line n of the other",
            hint="check that neither file was cut off",
        )
    if task.source is not None and len(task.source.sentences) != expected:
        raise BadInput(
            f"{len(task.source.sentences)} source sentences for {expected} reference sentences",
            hint="check that neither file was cut off",
        )


def _scores(task: Task, results: Mapping[str, MetricResult]) -> ItemScores:
    return ItemScores(
        item=task.item,
        source_language=task.languages[0],
        target_language=task.languages[1],
        sentences=len(task.references),
        references=len(task.references.texts),
        reference_sha256=task.references.sha256,
        hypotheses_sha256=task.hypotheses.sha256,
        source_sha256=task.source.sha256 if task.source else "",
        metrics=dict(results),
    )


def _signs(task: Task) -> Suspicious:
    source = task.source.sentences if task.source else None
    return examine(task.hypotheses.sentences, task.references.texts[0], source)


def _result(metric: Metric, rows: Statistics, task: Task) -> MetricResult:
    return _described(metric, task, metric.score(rows), tuple(summed(rows)))


def _described(
    metric: Metric, task: Task, score: float = 0.0, statistics: tuple[int | float, ...] = ()
) -> MetricResult:
    """A result; without its numbers, what tells it from one of other settings."""
    return MetricResult(
        score=score,
        signature=metric.signature(len(task.references.texts)),
        statistics=statistics,
        tokenizer_sha256=metric.tokenizer_sha256,
    )
