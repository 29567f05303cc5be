"""Translation by a backend without the engine: one batch after the other, in order."""

from collections.abc import Callable, Sequence

from coordinator.inference.backend import Backend, Output, Row


def translate_plainly(
    backend: Backend,
    sentences: Sequence[str],
    source: str,
    target: str,
    *,
    batch_size: int = 32,
    on_batch: Callable[[Sequence[Row], Sequence[Output]], None] = lambda _rows, _outputs: None,
) -> list[str]:
    """One translation per sentence, in order; of a blank one nothing, unless whole items are asked.

    Raises:
        BadInput, ModelError, MemoryError, SourceUnreachable, CredentialsError: as the backend does.
    """
    places = [n for n, text in enumerate(sentences) if backend.whole_items or text.strip()]
    rows = backend.encode([sentences[place] for place in places], source, target)
    size = max(1, len(rows)) if backend.whole_items else batch_size
    translations = [""] * len(sentences)
    for start in range(0, len(rows), size):
        batch = rows[start : start + size]
        outputs = backend.translate(batch)
        on_batch(batch, outputs)
        texts = backend.decode(outputs)
        for place, text in zip(places[start : start + size], texts, strict=True):
            translations[place] = text
    return translations
