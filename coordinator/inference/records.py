"""What is told of each batch."""

from collections.abc import Callable
from dataclasses import dataclass


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
