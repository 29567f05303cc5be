"""Text into tokens and back, as transformers' tokenizers do it, without transformers."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import sentencepiece
from tokenizers import Tokenizer

from coordinator.domain.ctranslate2_folder import Family

_LANGUAGE_MARK = re.compile(r">>.*?<<", re.DOTALL)
_UNTIDY = (
    (" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"),
    (" n't", "n't"), (" 'm", "'m"), (" 's", "'s"), (" 've", "'ve"), (" 're", "'re"),
)  # fmt: skip


class Tokens(Protocol):
    """A tokenizer; texts carry no special tokens for the model here."""

    def split(self, texts: Sequence[str]) -> list[list[str]]: ...

    def join(self, tokens: Sequence[str]) -> str: ...


def read_tokenizer(folder: Path, family: Family) -> Tokens:
    """The folder's tokenizer. Raises what its library raises."""
    path = folder / family.tokenizer
    if path.suffix == ".json":
        return FastTokens(Tokenizer.from_file(str(path)), family.tidy)
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(path))
    return Pieces(pieces, family)


class Pieces:
    """SentencePiece, with the special tokens cut out of the text before (M2M100, Marian)."""

    def __init__(self, pieces: sentencepiece.SentencePieceProcessor, family: Family) -> None:
        self._pieces, self._special = pieces, frozenset(family.special_tokens)
        self._marian, self._tidy = family.family == "marian", family.tidy
        longest_first = sorted(self._special, key=len, reverse=True)
        self._cut = re.compile(f"({'|'.join(map(re.escape, longest_first))})")

    def split(self, texts: Sequence[str]) -> list[list[str]]:
        return [self._split(text) for text in texts]

    def _split(self, text: str) -> list[str]:
        tokens: list[str] = []
        for part in self._cut.split(text):
            if part in self._special:
                tokens.append(part)
            elif part:
                tokens.extend(self._plain(part))
        return tokens

    def _plain(self, text: str) -> list[str]:
        """A Marian of several targets is told which by a mark that SentencePiece must not see."""
        mark = _LANGUAGE_MARK.match(text) if self._marian else None
        found: list[str] = self._pieces.encode(text[mark.end() if mark else 0 :], out_type=str)
        return [mark[0], *found] if mark else found

    def join(self, tokens: Sequence[str]) -> str:
        kept = [token for token in tokens if token not in self._special]
        text: str = self._pieces.decode_pieces(kept)
        text = (text.replace("▁", " ") if self._marian else text).strip()
        return _tidied(text) if self._tidy else text


class FastTokens:
    """`tokenizer.json`, by the library that wrote it (NLLB, mBART-50)."""

    def __init__(self, tokenizer: Tokenizer, tidy: bool) -> None:
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self._tokenizer, self._tidy = tokenizer, tidy

    def split(self, texts: Sequence[str]) -> list[list[str]]:
        found = self._tokenizer.encode_batch(list(texts), add_special_tokens=False)
        return [encoding.tokens for encoding in found]

    def join(self, tokens: Sequence[str]) -> str:
        numbers = map(self._tokenizer.token_to_id, tokens)
        known = [number for number in numbers if number is not None]
        text: str = self._tokenizer.decode(known, skip_special_tokens=True)
        return (_tidied(text) if self._tidy else text).strip()


def _tidied(text: str) -> str:
    """As `clean_up_tokenization` of transformers."""
    for before, after in _UNTIDY:
        text = text.replace(before, after)
    return text
