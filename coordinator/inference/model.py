"""What a model is to the rest of the program, and how to get one from a folder."""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from coordinator.domain.endpoint import TRANSLATE
from coordinator.domain.job_options import InferenceOptions
from coordinator.domain.model_folder import check_model
from coordinator.inference.backend import Backend, Output, Row
from coordinator.inference.load import load_backend
from coordinator.inference.one_item import translate_plainly


class Model(Protocol):
    """Translates sentences; loaded once per dispatch."""

    def translate(
        self, sentences: list[str], source_language: str, target_language: str
    ) -> list[str]:
        """One translation per sentence, in order.

        Raises:
            BadInput: the model does not know a language.
            ModelError: the model failed; its own error is the cause.
            MemoryError: memory ran out, the GPU's included.
        """
        ...


@dataclass(frozen=True)
class BatchRecord:
    """What one batch took.

    Attributes:
        sentences: how many were translated together.
        source_tokens: tokens read, padding left out; None where the model does not say.
        target_tokens: tokens written, padding left out; None likewise.
        truncated: sentences longer than the model can read, of which the end was left out.
        seconds: wall time of the batch.
        device: where it ran, e.g. "cpu" or "cuda".
        items: the ids of those whose sentences they were.
        tokens_per_second: source tokens, padding left out.
        padding: share of the tokens read that were padding.
        peak_memory: bytes, of the GPU during the batch; without one, of the process so far.
    """

    sentences: int
    source_tokens: int | None
    target_tokens: int | None
    truncated: int
    seconds: float
    device: str
    items: tuple[str, ...] = ()
    tokens_per_second: float | None = None
    padding: float = 0.0
    peak_memory: int | None = None


OnBatch = Callable[[BatchRecord], None]


def load_model(
    folder: Path,
    *,
    device: str | None = None,
    batch_size: int = 32,
    task: str = TRANSLATE,
    on_batch: OnBatch | None = None,
) -> Model:
    """The model in `folder`, ready to translate.

    Args:
        folder: holds `handler.py`, `endpoint.json`, or a Hugging Face seq2seq model.
        device: "cpu" or "cuda"; None takes the GPU where there is one.
        batch_size: sentences translated together; some handlers make their own batches.
        task: which of the prompts of an endpoint.
        on_batch: is told of each batch as it ends.

    Raises:
        ModelError: the folder cannot be used, or loading failed.
    """
    # Imported only when needed: torch takes seconds, and a handler may do without it.
    if check_model(folder) == "huggingface":
        _let_others_work()
        from coordinator.inference.huggingface import load_huggingface

        return load_huggingface(folder, device, batch_size, on_batch)
    options = InferenceOptions(batch_size=batch_size, task=task)
    return BackendModel(load_backend(folder, options, device), batch_size, on_batch)


class BackendModel:
    """A backend, one item at a time."""

    def __init__(self, backend: Backend, batch_size: int, on_batch: OnBatch | None) -> None:
        self._backend, self._batch_size = backend, batch_size
        self._on_batch = on_batch

    def translate(
        self, sentences: list[str], source_language: str, target_language: str
    ) -> list[str]:
        """Raises as `Model.translate` says."""
        self._began = time.perf_counter()
        return translate_plainly(
            self._backend,
            sentences,
            source_language,
            target_language,
            batch_size=self._batch_size,
            on_batch=self._tell,
        )

    def _tell(self, rows: Sequence[Row], outputs: Sequence[Output]) -> None:
        """Of a backend that only guesses how long its rows are, that is not told."""
        seconds, self._began = time.perf_counter() - self._began, time.perf_counter()
        written = [output.tokens for output in outputs if output.tokens is not None]
        cut = sum(row.truncated for row in rows) + sum(output.truncated for output in outputs)
        tokens = sum(written) if len(written) == len(outputs) else None
        if self._on_batch:
            device = self._backend.device
            self._on_batch(BatchRecord(len(rows), None, tokens, cut, seconds, device))


def _let_others_work() -> None:
    """Before torch is imported: its idle threads are to sleep, not to spin.

    Several jobs share a machine. Where they have more threads than it has cores, spinning ones
    made translation ten to twenty times slower. The user's own setting stands.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
