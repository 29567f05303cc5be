"""The smallest model: every sentence is its own translation. For trials and for load tests."""

from pathlib import Path


class Handler:
    def load(self, model_dir: Path, device: str) -> None:
        """There is nothing to load."""

    def translate(
        self, sentences: list[str], source_language: str, target_language: str
    ) -> list[str]:
        return list(sentences)


if __name__ == "__main__":
    handler = Handler()
    handler.load(Path(__file__).parent, "cpu")
    samples = ["Good morning.", "Where is the station?", "It is raining."]
    for sample, translation in zip(samples, handler.translate(samples, "eng", "fra"), strict=True):
        print(f"{sample} -> {translation}")
