"""A model without weights: word by word through a small table; unknown words stay as they are."""

import csv
import re
from pathlib import Path

from coordinator.errors import BadInput

WORD = re.compile(r"\w+")


class Handler:
    def load(self, model_dir: Path, device: str) -> None:
        with (model_dir / "lexicon.tsv").open(encoding="utf-8", newline="") as file:
            self._rows = list(csv.DictReader(file, delimiter="\t"))

    def translate(
        self, sentences: list[str], source_language: str, target_language: str
    ) -> list[str]:
        for language in (source_language, target_language):
            if language not in self._rows[0]:
                known = ", ".join(self._rows[0])
                raise BadInput(f"the lexicon has no language {language!r}", why=f"it has {known}")
        words = {row[source_language]: row[target_language] for row in reversed(self._rows)}
        return [WORD.sub(lambda found: _put(found[0], words), line) for line in sentences]


def _put(word: str, words: dict[str, str]) -> str:
    """The word's translation, with a capital where the word has one."""
    found = words.get(word) or words.get(word.lower())
    if found is None:
        return word
    return found[0].upper() + found[1:] if word[0].isupper() else found


if __name__ == "__main__":
    handler = Handler()
    handler.load(Path(__file__).parent, "cpu")
    samples = ["The cat sleeps.", "The woman sees the red house.", "Yesterday, a dog sang."]
    for sample, translation in zip(samples, handler.translate(samples, "eng", "deu"), strict=True):
        print(f"{sample} -> {translation}")
