"""How long a model may take for a batch before it counts as hung."""

from coordinator.inference.work import Work

_SEVERAL = 4  # times the time of one sentence, at least, for many when no rate is known
_FEWER = 10  # so many sentences of such a batch may take the time of one
_SLOWER = 10  # times what the measured rate promises
_WEIGHT = 0.2  # of the newest batch in the rate


class Patience:
    """Measures what batches take; knows nothing of clocks.

    Args:
        sentence_timeout: seconds that one sentence may take.
        least: seconds that anything may take, for the backend itself waits and tries again.
    """

    def __init__(self, sentence_timeout: float, least: float = 0.0) -> None:
        self._timeout = max(sentence_timeout, least)
        self._rate = 0.0  # seconds a token, padding included

    def measured(self, work: Work, seconds: float) -> None:
        rate = seconds / max(work.cost, 1)
        self._rate = self._rate + _WEIGHT * (rate - self._rate) if self._rate else rate

    def limit(self, work: Work) -> float:
        """Seconds that the work may take."""
        if len(work.units) == 1:
            return self._timeout
        if work.lane != "translate":  # many at once are usual there, and quick
            return self._timeout * _SEVERAL
        if self._rate:
            return self._timeout + _SLOWER * self._rate * work.cost
        return self._timeout * max(_SEVERAL, len(work.units) / _FEWER)
