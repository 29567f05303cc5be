"""A metric of one's own: how many lines are exactly what the reference says, in percent."""

from collections.abc import Sequence

from coordinator.metrics import TextMetric


class ExactMatch(TextMetric):
    def __init__(self, name: str, ignore_case: bool = False) -> None:
        super().__init__(name)
        self._ignore_case = ignore_case

    def counts(self, hypothesis: str, references: Sequence[str]) -> Sequence[int]:
        same = any(self._key(hypothesis) == self._key(reference) for reference in references)
        return [int(same), 1]

    def score_of_sum(self, row: Sequence[int | float]) -> float:
        return 100 * row[0] / row[1]

    def _key(self, text: str) -> str:
        return text.casefold() if self._ignore_case else text
