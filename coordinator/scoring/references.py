"""The references of one text: one file, or several that translate the same text."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from coordinator.errors import BadInput
from coordinator.scoring.files import Text, read_reference


@dataclass(frozen=True)
class References:
    """One or several translations of the whole text, each with as many sentences.

    Attributes:
        texts: the sentences of each.
        sha256: of the file; of several files, of their hashes, one a line.
    """

    texts: tuple[Sequence[str], ...]
    sha256: str

    def __len__(self) -> int:
        """How many sentences."""
        return len(self.texts[0])


def references_of(texts: Sequence[Text]) -> References:
    """Raises BadInput: the texts differ in length."""
    counts = [len(text.sentences) for text in texts]
    if len(set(counts)) != 1:
        shown = ", ".join(str(count) for count in counts)
        raise BadInput(
            f"the references have {shown} lines",
            why="line n of each must translate line n of the text",
            hint="check that none of the files was cut off",
        )
    return References(tuple(text.sentences for text in texts), _hash([t.sha256 for t in texts]))


def read_references(paths: Sequence[Path]) -> References:
    """The references in text files, one sentence a line.

    Raises:
        BadInput: a file cannot be used, or they differ in length.
    """
    return references_of([read_reference(path) for path in paths])


def _hash(hashes: Sequence[str]) -> str:
    if len(hashes) == 1:
        return hashes[0]
    return hashlib.sha256("".join(f"{each}\n" for each in hashes).encode()).hexdigest()
