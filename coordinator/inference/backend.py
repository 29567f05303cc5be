"""What runs a model, behind one protocol: sentences become rows, rows outputs, outputs texts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True)
class Row:
    """One sentence, ready for the model.

    Attributes:
        tokens: what it costs in a batch: those of the source, special ones included.
        data: plain JSON, the backend's own affair.
        truncated: whether its end was left out, for the model cannot read so much.
    """

    tokens: int
    data: Mapping[str, Any] = field(default_factory=dict)
    truncated: bool = False


@dataclass(frozen=True)
class Output:
    """One translation as the model wrote it.

    Attributes:
        tokens: how many it wrote, padding left out; None where the backend does not know.
        data: plain JSON, the backend's own affair.
        truncated: whether it ended only because the model may write no more.
    """

    tokens: int | None
    data: Any
    truncated: bool = False


class Backend(Protocol):
    """A loaded model. Rows and outputs are plain data: another process's are as good as its own.

    Attributes:
        device: where it runs, e.g. "cpu" or "cuda".
        mixes_directions: whether rows of several directions may share a batch.
        whole_items: whether `translate` must be given exactly the rows of one item, in their
            order, blank and repeated sentences too, however many they are.
    """

    device: str
    mixes_directions: bool
    whole_items: bool

    def encode(self, texts: Sequence[str], source: str, target: str) -> list[Row]:
        """A row for each sentence of one direction, languages as the item names them; any thread.

        Raises:
            BadInput: the model does not know a language.
            ModelError: its tokenizer failed.
        """
        ...

    def translate(self, rows: Sequence[Row]) -> list[Output]:
        """An output for each row, in order; one thread at a time.

        Raises:
            BadInput: a sentence or its languages are such as the model cannot take.
            ModelError: the model failed; its own error is the cause.
            MemoryError: memory ran out, the GPU's included.
            SourceUnreachable, CredentialsError: of a model elsewhere; other rows fare no better.
        """
        ...

    def decode(self, outputs: Sequence[Output]) -> list[str]:
        """A text for each output, in order; any thread."""
        ...
