"""What the logs of one batch come to, as far as a comparison needs it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from coordinator.reports.batches import find_batch
from coordinator.reports.comparison.changes import State, states_of
from coordinator.reports.comparison.legend import Signatures
from coordinator.reports.comparison.pace import Pace, pace_of
from coordinator.reports.directions import Directions, directions_of
from coordinator.reports.history import ItemReport, Standing
from coordinator.reports.reading import read_batch
from coordinator.reports.report import sort_items
from coordinator.reports.tables import Scores, scores_of
from coordinator.reports.tree import OnProgress, Tree


@dataclass(frozen=True)
class BatchFacts:
    """One batch.

    Attributes:
        limited: what was left out of it, in words; "" = nothing.
        states: item -> where it stands, of the whole run list.
        scores: item -> metric -> score, of items that have any.
        signatures: item -> metric -> signature, where the scoring told them.
        directions: item -> source and target language; "" = not known.
        unusable: files in its log folder that could not be used.
    """

    batch: str
    limited: str
    states: Mapping[str, State]
    scores: Scores
    signatures: Mapping[str, Mapping[str, str]]
    directions: Directions
    pace: Pace
    unusable: int


def read_facts(log_dir: Path, batch: str, on_progress: OnProgress | None = None) -> BatchFacts:
    """Read the logs of a batch. `on_progress` hears how many are read.

    Raises:
        BadInput: there are none.
    """
    tree = Tree(log_dir.resolve())
    tree.on_progress = on_progress or tree.on_progress
    folder = find_batch(tree.base, batch)
    logs = read_batch(tree, folder, None)
    reports, unusable = sort_items(logs).reports, len(set(tree.notes))
    succeeded = sum(report.standing is Standing.SUCCEEDED for report in reports)
    attempts = (attempt for tries in logs.attempts.values() for attempt in tries)
    return BatchFacts(
        batch=batch,
        limited=logs.limited,
        states=states_of(reports),
        scores={item: scores for item, scores in scores_of(reports).items() if scores},
        signatures=_signatures(reports),
        directions=directions_of(reports),
        pace=pace_of(tree, folder, attempts, logs.steps, succeeded),
        unusable=unusable,
    )


def signatures_of_both(a: BatchFacts, b: BatchFacts) -> Iterator[tuple[str, Signatures]]:
    """Each item that both have, with the signatures of the metrics that both tell them of."""
    for item in sorted(a.signatures.keys() & b.signatures.keys()):
        ours, theirs = a.signatures[item], b.signatures[item]
        yield item, {name: (ours[name], theirs[name]) for name in ours if name in theirs}


def directions_of_both(a: BatchFacts, b: BatchFacts) -> Directions:
    """Item -> its languages, of items whose languages at least one of the batches knows."""
    both = (*b.directions.items(), *a.directions.items())
    return {item: languages for item, languages in both if all(languages)}


def _signatures(reports: Iterable[ItemReport]) -> dict[str, dict[str, str]]:
    """As the outcome of its scoring says; what is no text is left out."""
    found = {}
    for report in reports:
        outcome = report.deciding.outcome if report.deciding else None
        told = outcome.facts.get("signatures") if outcome else None
        if isinstance(told, dict):
            found[report.item] = {str(k): v for k, v in told.items() if isinstance(v, str)}
    return found
