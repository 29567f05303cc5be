"""What a model is to the rest of the program, and how to get one from a folder."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from coordinator.domain.model_folder import check_model
from coordinator.inference.faults import needed


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
    """

    sentences: int
    source_tokens: int | None
    target_tokens: int | None
    truncated: int
    seconds: float
    device: str


OnBatch = Callable[[BatchRecord], None]


def load_model(
    folder: Path,
    *,
    device: str | None = None,
    batch_size: int = 32,
    on_batch: OnBatch | None = None,
) -> Model:
    """The model in `folder`, ready to translate.

    Args:
        folder: holds `handler.py`, a model converted for CTranslate2, or a Hugging Face seq2seq
            model (M2M100, NLLB, mBART-50, Marian).
        device: "cpu" or "cuda"; None takes the GPU where there is one.
        batch_size: sentences translated together; a handler makes its own batches.
        on_batch: is told of each batch as it ends.

    Raises:
        ModelError: the folder cannot be used, or loading failed.
    """
    # Imported only when needed: torch takes seconds, and a handler may do without it.
    kind = check_model(folder)
    if kind == "handler":
        from coordinator.inference.handlers import load_handler

        return load_handler(folder, device, on_batch)
    if kind == "ctranslate2":
        with needed("ctranslate2", "worker"):
            from coordinator.inference.ctranslate2_backend import CTranslate2Backend
        from coordinator.inference.one_backend import BackendModel

        return BackendModel(CTranslate2Backend(folder, device), batch_size, on_batch)
    _let_others_work()
    with needed("huggingface", "torch"):
        from coordinator.inference.huggingface import load_huggingface

    return load_huggingface(folder, device, batch_size, on_batch)


def _let_others_work() -> None:
    """Before torch is imported: its idle threads are to sleep, not to spin.

    Several jobs share a machine. Where they have more threads than it has cores, spinning ones
    made translation ten to twenty times slower. The user's own setting stands.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
