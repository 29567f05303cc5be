"""A backend as a model: batches of sentences of like length, in one process and one thread."""

import time
from collections.abc import Iterator, Sequence

from coordinator.inference.backend import Backend, Output, Row
from coordinator.inference.model import BatchRecord, OnBatch


class BackendModel:
    """See `Model`."""

    def __init__(self, backend: Backend, batch_size: int, on_batch: OnBatch | None) -> None:
        self._backend, self._batch_size, self._on_batch = backend, batch_size, on_batch

    def translate(
        self, sentences: list[str], source_language: str, target_language: str
    ) -> list[str]:
        """Blank sentences stay blank. Raises as `Model.translate` says."""
        filled = [place for place, text in enumerate(sentences) if text.strip()]
        texts = [sentences[place] for place in filled]
        rows = self._backend.encode(texts, source_language, target_language)
        translations = [""] * len(sentences)
        for batch in self._batches(rows):
            outputs = self._translated([rows[place] for place in batch])
            for place, text in zip(batch, self._backend.decode(outputs), strict=True):
                translations[filled[place]] = text
        return translations

    def _batches(self, rows: Sequence[Row]) -> Iterator[list[int]]:
        """Places of rows, the longest first: what does not fit in memory fails at once."""
        order = sorted(range(len(rows)), key=lambda place: -rows[place].tokens)
        for start in range(0, len(order), self._batch_size):
            yield order[start : start + self._batch_size]

    def _translated(self, rows: list[Row]) -> list[Output]:
        began = time.perf_counter()
        outputs = self._backend.translate(rows)
        if self._on_batch:
            record = BatchRecord(
                sentences=len(rows),
                source_tokens=sum(row.tokens for row in rows),
                target_tokens=sum(output.tokens or 0 for output in outputs),
                truncated=sum(row.truncated for row in rows),
                seconds=time.perf_counter() - began,
                device=self._backend.device,
            )
            self._on_batch(record)
        return outputs
