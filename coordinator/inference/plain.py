"""A model that takes texts and gives texts, as a backend: its rows are the texts themselves."""

from collections.abc import Sequence
from itertools import groupby

from coordinator.inference.backend import Output, Row
from coordinator.inference.model import Model

_CHARACTERS = 4  # of a token, about


class PlainBackend:
    """Nothing is done ahead of `translate`; what a row costs is guessed from its length."""

    mixes_directions = False

    def __init__(self, model: Model, device: str, *, whole_items: bool) -> None:
        self._model, self.device, self.whole_items = model, device, whole_items

    def encode(self, texts: Sequence[str], source: str, target: str) -> list[Row]:
        return [
            Row(2 + len(text) // _CHARACTERS, {"t": text, "d": [source, target]}) for text in texts
        ]

    def translate(self, rows: Sequence[Row]) -> list[Output]:
        outputs: list[Output] = []
        for (source, target), group in groupby(rows, key=lambda row: row.data["d"]):
            texts = [row.data["t"] for row in group]
            outputs += (Output(None, t) for t in self._model.translate(texts, source, target))
        return outputs

    def decode(self, outputs: Sequence[Output]) -> list[str]:
        return [output.data for output in outputs]
