"""The tokenizer of spBLEU, over a local SentencePiece file."""

import hashlib
from pathlib import Path

import sentencepiece
from sacrebleu.tokenizers.tokenizer_base import BaseTokenizer

from coordinator.errors import BadInput


class PieceTokenizer(BaseTokenizer):
    """Cuts a line as sacrebleu's `TokenizerSPM` does: the pieces, joined by spaces.

    The signature names the file by its hash. It never says `flores101` or `flores200`: sacrebleu
    publishes no hash of those files, so nothing here could tell that a file is one of them.

    Raises:
        BadInput: the file cannot be read, or is no SentencePiece model.
    """

    def __init__(self, model: Path) -> None:
        data = _read(model)
        self.sha256 = hashlib.sha256(data).hexdigest()
        try:
            self._processor = sentencepiece.SentencePieceProcessor(model_proto=data)
        except (RuntimeError, ValueError, TypeError) as error:
            raise _no_model(model, "its content is something else, or cut off") from error

    def signature(self) -> str:
        return f"spm-{self.sha256[:8]}"

    def __call__(self, line: str) -> str:
        return " ".join(self._processor.EncodeAsPieces(line))


def _read(model: Path) -> bytes:
    try:
        data = model.read_bytes()
    except OSError as error:
        raise BadInput(
            f"the SentencePiece file {model} cannot be read",
            why=error.strerror or str(error),
            hint="check `model` of spbleu in the pipeline file",
        ) from error
    if not data:  # the library would take it for "no model given"
        raise _no_model(model, "it is empty")
    return data


def _no_model(model: Path, why: str) -> BadInput:
    return BadInput(
        f"{model} is no SentencePiece model",
        why=why,
        hint="give the .model file, not the .vocab file or an archive",
    )
