"""A model in this process, without the engine: for handlers that use another model, and trials."""

from collections.abc import Sequence
from pathlib import Path

from coordinator.domain.endpoint import TRANSLATE
from coordinator.domain.job_options import InferenceOptions
from coordinator.inference.backend import Backend
from coordinator.inference.load import load_backend


class Model:
    """Translates the sentences of one item, one batch after the other, in order."""

    def __init__(self, backend: Backend, batch_size: int) -> None:
        self._backend, self._batch_size = backend, batch_size

    def translate(
        self, sentences: Sequence[str], source_language: str, target_language: str
    ) -> list[str]:
        """One translation per sentence, in order; a blank one stays blank, but for handlers that
        are asked about whole items.

        Raises:
            BadInput, ModelError, MemoryError, SourceUnreachable, CredentialsError: as the backend's
                methods do.
        """
        whole = self._backend.whole_items
        places = [n for n, text in enumerate(sentences) if whole or text.strip()]
        size = max(1, len(places)) if whole else self._batch_size
        translations = [""] * len(sentences)
        for start in range(0, len(places), size):
            batch = places[start : start + size]
            texts = [sentences[place] for place in batch]
            found = self._translated(texts, source_language, target_language)
            for place, text in zip(batch, found, strict=True):
                translations[place] = text
        return translations

    def _translated(self, texts: list[str], source: str, target: str) -> list[str]:
        rows = self._backend.encode(texts, source, target)
        return self._backend.decode(self._backend.translate(rows))


def load_model(
    folder: Path,
    *,
    device: str | None = None,
    batch_size: int = 32,
    task: str = TRANSLATE,
) -> Model:
    """The model in `folder`, ready to translate.

    Args:
        folder: of any kind that `load_backend` takes.
        device: "cpu" or "cuda"; None takes the GPU where there is one.
        batch_size: sentences translated together; a handler of whole items gets all.
        task: which of the prompts of an endpoint.

    Raises:
        ModelError, MemoryError: as `load_backend` does.
    """
    return Model(load_backend(folder, InferenceOptions(task=task), device), batch_size)
