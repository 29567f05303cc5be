"""Try a model on a few sentences before a batch is spent on it."""

from pathlib import Path

from coordinator.domain.endpoint import TRANSLATE
from coordinator.inference.model import load_model

_SAMPLES = (
    "Good morning.",
    "Where is the station?",
    "The train leaves at half past nine.",
    "She has two brothers and one sister.",
    "It has been raining since yesterday.",
    "We bought bread, milk and 12 eggs.",
    "The museum is closed on Mondays, but the garden is open.",
    "If the weather is good, we will walk along the river.",
    '"Nobody told me about it," he said quietly.',
    "The price rose from 3.50 to 4.20 euros within a year.",
    "Most of the houses in this street were built after the great fire.",
    "Please send your answer to info@example.org before the end of the month.",
)


def sample_sentences() -> list[str]:
    """A dozen English sentences of many kinds: short, long, with numbers, quotes and names."""
    return list(_SAMPLES)


def try_handler(
    folder: Path,
    source_language: str = "eng",
    target_language: str = "fra",
    device: str | None = None,
    *,
    task: str = TRANSLATE,
) -> list[tuple[str, str]]:
    """Each sample sentence with what the model makes of it.

    The sentences are English whatever `source_language` says: they test the code, not the model.

    Raises:
        BadInput, ModelError, MemoryError: as `load_model` and `Model.translate` do.
    """
    sentences = sample_sentences()
    model = load_model(folder, device=device, task=task)
    return list(
        zip(sentences, model.translate(sentences, source_language, target_language), strict=True)
    )
