"""What one process does: directions, one after the other, each on disk before the next begins."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from coordinator.errors import CoordinatorError, Problem, StorageError
from coordinator.metrics import ItemScores, MetricSpec, PreparedStore, Suspicious
from coordinator.scoring.files import read_hypotheses, read_source
from coordinator.scoring.parts import Parts, TagScores, read_tags, tag_scores
from coordinator.scoring.plan import Direction
from coordinator.scoring.references import References, read_references
from coordinator.scoring.results import Results
from coordinator.scoring.scorer import Scorer, Task


@dataclass(frozen=True)
class Setup:
    """What every process has to know.

    Attributes:
        output: the folder of the results.
        prepared: the folder of prepared references.
        tags: the file of each sentence's tags; None = no scores by tag.
        sentence_scores: whether those are wanted too.
    """

    metrics: tuple[MetricSpec, ...]
    output: Path
    prepared: Path
    tags: Path | None = None
    sentence_scores: bool = False


@dataclass(frozen=True)
class Outcome:
    """What became of one direction.

    Attributes:
        scores: by metric; none where there is a problem.
        signatures: by metric.
        suspicious: what the translations look like; None where there is a problem.
        tags: scores by tag, where they are wanted.
        is_new: whether it was scored now, or had been before.
    """

    item: str
    scores: Mapping[str, float] = field(default_factory=dict)
    signatures: Mapping[str, str] = field(default_factory=dict)
    suspicious: Suspicious | None = None
    tags: TagScores = field(default_factory=dict)
    is_new: bool = False
    problem: Problem | None = None


class Desk:
    """Scores directions; it keeps the references of the last one's target language.

    Raises:
        BadInput: a metric cannot be loaded, or the tags cannot be used.
    """

    def __init__(self, setup: Setup) -> None:
        self._scorer = Scorer(setup.metrics, PreparedStore(setup.prepared))
        self._results = Results(setup.output)
        self._sentences = setup.sentence_scores
        self._parts = _parts(setup.tags, sentences=setup.sentence_scores)
        self._paths: Sequence[Path] = ()
        self._references: References | None = None

    def work_off(self, direction: Direction) -> Outcome:
        """What cannot be scored is said of the item, and stops no other.

        Raises:
            StorageError: results cannot be written.
        """
        try:
            return self._scored(direction)
        except StorageError:
            raise
        except CoordinatorError as error:
            return Outcome(direction.item, problem=Problem(direction.item, str(error), error.hint))
        except Exception as error:  # such as no memory, or a defect in a metric of one's own
            reason = f"{type(error).__name__}: {error}"
            return Outcome(direction.item, problem=Problem(direction.item, reason))

    def _scored(self, direction: Direction) -> Outcome:
        task = Task(
            direction.item,
            read_hypotheses(direction.hypotheses, jsonl=direction.hypotheses.suffix == ".jsonl"),
            self._read(direction.references),
            (direction.source, direction.target),
            read_source(direction.source_text) if direction.source_text else None,
        )
        known = self._results.of(self._scorer, task)
        if known is None:
            scored = self._scorer.score(task)
            self._results.write(scored)
        parts = self._parts
        if direction.tags:
            parts = _parts(direction.tags, sentences=self._sentences)
        return self._outcome(known or scored.scores, parts, is_new=known is None)

    def _read(self, paths: Sequence[Path]) -> References:
        if self._references is None or self._paths != paths:
            self._references = None  # not two at a time, nor the old ones where the new are bad
            self._references, self._paths = read_references(paths), paths
        return self._references

    def _outcome(self, scores: ItemScores, parts: Parts | None, *, is_new: bool) -> Outcome:
        tags: TagScores = {}
        if parts:
            tags = tag_scores(self._results.with_parts(scores, self._scorer, parts))
        signatures = {name: result.signature for name, result in scores.metrics.items()}
        found = scores.by_metric(), signatures, scores.suspicious, tags
        return Outcome(scores.item, *found, is_new=is_new)


def _parts(file: Path | None, *, sentences: bool) -> Parts | None:
    tags = read_tags(file) if file else None
    return Parts(tags, sentences=sentences) if tags is not None or sentences else None
