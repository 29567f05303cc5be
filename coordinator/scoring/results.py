"""Scores on disk, one folder an item: whole or not there, and of these inputs or done again."""

import hashlib
from pathlib import Path

from coordinator.errors import BadInput, ObjectMissing
from coordinator.metrics import SCORES, STATISTICS, ItemScores, read_scores
from coordinator.scoring.parts import PARTS, Parts
from coordinator.scoring.scorer import Scored, Scorer, Task
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

    def with_parts(self, scores: ItemScores, scorer: Scorer, parts: Parts) -> bytes:
        """The scores of the item's parts, which are written where they are not there yet.

        Raises:
            BadInput: they cannot be told.
            StorageError: the disk takes no more.
        """
        key = _key(scores.item, PARTS)
        known = parts.known(scores, self._store.read(key)) if self._store.size(key) else None
        if known is not None:
            return known
        made = parts.of(scores, scorer.metrics, self._store.read(_key(scores.item, STATISTICS)))
        self._store.write(key, made)
        return made

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
