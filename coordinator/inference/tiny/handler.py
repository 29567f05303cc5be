"""The stand-in of `--tiny_model`: each sentence comes back marked, and its words backwards."""

from pathlib import Path

MARK = "[tiny model, no translation]"


class Handler:
    """Answers at once, whatever the languages."""

    def load(self, model_dir: Path, device: str) -> None:
        """There is nothing to load."""

    def translate(
        self, sentences: list[str], source_language: str, target_language: str
    ) -> list[str]:
        return [f"{MARK} {' '.join(reversed(text.split()))}".rstrip() for text in sentences]
