"""The tokenizers of spBLEU, over a local SentencePiece file."""

import functools
import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import sacrebleu
import sentencepiece
from numpy.typing import NDArray
from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

from coordinator.errors import BadInput
from coordinator.metrics.tokens import Tokenizer, Tokens, Vocabulary, WordTokenizer

# The names that sacrebleu's signature has for files, by their sha256 and md5; both must agree.
# sacrebleu itself publishes no hash. flores200's file is reported to be NLLB-200's
# `sentencepiece.bpe.model`, byte for byte, whose hashes these are
# (https://huggingface.co/facebook/nllb-200-3.3B). Of flores101's file none is known, so that no
# file is called by that name.
PUBLISHED = {
    (
        "14bb8dfb35c0ffdea7bc01e56cea38b9e3d5efcdcb9c251d6b40538e1aab555a",
        "05c551ae7955b3980d5a9d044eb09d70",
    ): "flores200",
}


class PieceTokenizer(Tokenizer):
    """Cuts a line as sacrebleu's `TokenizerSPM` does: the pieces, joined by spaces and split.

    The number of a token is that of its piece. Most lines are encoded as numbers at once. Where
    numbers would not do (a piece that is unknown, and so goes by its text, or that holds white
    space), the line's pieces are taken as text.

    Raises:
        BadInput: the file cannot be read, or is no SentencePiece model.
    """

    def __init__(self, model: Path) -> None:
        data = _read(model)
        self.sha256 = hashlib.sha256(data).hexdigest()
        self.name = PUBLISHED.get((self.sha256, _md5(data)), f"spm-{self.sha256[:8]}")
        try:
            self._processor = sentencepiece.SentencePieceProcessor(model_proto=data)
        except (RuntimeError, ValueError, TypeError) as error:
            raise _no_model(model, "its content is something else, or cut off") from error
        self.first = self._processor.vocab_size()

    @property
    def recipe(self) -> str:
        return f"sentencepiece {sentencepiece.__version__} {self.sha256}"

    def pieces(self, line: str) -> str:
        """The pieces of `line`, joined by spaces. Raises BadInput as `encode`."""
        return " ".join(self._cut([line])[0])

    def encode(self, lines: Sequence[str], vocabulary: Vocabulary) -> Tokens:
        """As declared by Tokenizer.

        Raises:
            BadInput: a line holds half a character, which UTF-8 and so SentencePiece cannot.
        """
        try:
            rows = self._processor.EncodeAsNumpy(list(lines), num_threads=1)
        except TypeError as error:
            raise _no_text(lines) from error
        tokens = Tokens.of(rows)
        slow = _lines_with(~self._plain[tokens.ids], tokens.offsets)
        if not slow.size:
            return tokens
        numbers = self._as_text([lines[k] for k in slow.tolist()], vocabulary)
        for line, row in zip(slow.tolist(), numbers, strict=True):
            rows[line] = row
        return Tokens.of(rows)

    def _as_text(self, lines: list[str], vocabulary: Vocabulary) -> list[NDArray[np.int32]]:
        """The tokens of each line; one whose text is no piece is the vocabulary's."""
        rows = [" ".join(row).split() for row in self._cut(lines)]
        tokens = [token for row in rows for token in row]
        numbers = np.array(self._processor.piece_to_id(tokens), np.int32)
        for at in np.flatnonzero(numbers == self._processor.unk_id()).tolist():
            numbers[at] = vocabulary[tokens[at]]
        return np.split(numbers, np.cumsum([len(row) for row in rows])[:-1])

    def _cut(self, lines: list[str]) -> list[list[str]]:
        try:
            rows: list[list[str]] = self._processor.EncodeAsPieces(lines, num_threads=1)
        except TypeError as error:
            raise _no_text(lines) from error
        return rows

    @functools.cached_property
    def _plain(self) -> NDArray[np.bool_]:
        """(pieces,): whether the piece is a token as it stands, and the only one of its text."""
        numbers = list(range(self.first))
        pieces = self._processor.id_to_piece(numbers)
        plain: NDArray[np.bool_] = np.array(self._processor.piece_to_id(pieces)) == numbers
        if " ".join(pieces).split() != pieces:
            plain &= [piece.split() == [piece] for piece in pieces]
        plain[self._processor.unk_id()] = False
        return plain


def leaderboard_tokenizer(model: Path) -> WordTokenizer:
    """As the published leaderboard of FLORES-101 cuts: pieces, which 13a then cuts once more.

    Its code (dynabench, `evaluation/metrics/metrics.py`, `get_sp_bleu`) strips a line, joins its
    pieces by spaces and gives that to sacrebleu, which cuts by 13a unless it is told otherwise.
    """
    pieces, words = PieceTokenizer(model), Tokenizer13a()  # type: ignore[no-untyped-call]
    return WordTokenizer(
        f"leaderboard-{pieces.name}-13a",
        f"leaderboard 13a of sacrebleu {sacrebleu.__version__}, {pieces.recipe}",
        lambda line: words(pieces.pieces(line.strip()).rstrip()),
        pieces.sha256,
    )


def _lines_with(marks: NDArray[np.bool_], offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """The lines that have a marked token."""
    if not marks.any():
        return np.empty(0, np.int64)
    at = np.flatnonzero(marks)
    return np.unique(np.searchsorted(offsets, at, side="right") - 1)


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


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


def _no_text(lines: Sequence[str]) -> BadInput:
    halves = [n for n, line in enumerate(lines, 1) if any("\ud800" <= c <= "\udfff" for c in line)]
    return BadInput(
        f"line {halves[0] if halves else 1} cannot be cut into pieces",
        why="it holds half a character (a lone surrogate), which no text in UTF-8 can",
        hint="write the text anew, with whole characters",
    )


def _no_model(model: Path, why: str) -> BadInput:
    return BadInput(
        f"{model} is no SentencePiece model",
        why=why,
        hint="give the .model file, not the .vocab file or an archive",
    )
