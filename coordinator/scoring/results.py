"""Scores on disk, one folder an item: whole or not there, and of these inputs or done again."""

import hashlib
from pathlib import Path

from coordinator.errors import BadInput, ObjectMissing
from coordinator.metrics import ItemScores, read_scores
from coordinator.scoring.scorer import SCORES, STATISTICS, Scored, Scorer, Task
from coordinator.storage import open_storage


class Results:
    """`items/<item>/` below the folder of the output."""

    def __init__(self, output: Path) -> None:
        self._store = open_storage(str(output.absolute()))

    def write(self, scored: Scored) -> None:
        """The scores come last: where they are, the statistics are too.

        Raises:
            StorageError: the disk takes no more.
        """
        for name, content in scored.files().items():
            self._store.write(_key(scored.scores.item, name), content)

    def of(self, scorer: Scorer, task: Task) -> ItemScores | None:
        """The scores that are there, or None where they are of other inputs, or damaged."""
        try:
            scores = read_scores(self._store.read(_key(task.item, SCORES)))
            statistics = self._store.read(_key(task.item, STATISTICS))
        except (ObjectMissing, BadInput):
            return None
        whole = scores.statistics_sha256 == hashlib.sha256(statistics).hexdigest()
        return scores if whole and scorer.is_of(task, scores) else None


def _key(item: str, name: str) -> str:
    return f"items/{item}/{name}"
