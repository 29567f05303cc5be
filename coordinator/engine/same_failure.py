"""When dispatch after dispatch fails in the same way, more of them would only cost more."""

from collections.abc import Sequence

from coordinator.domain.alike import normalised
from coordinator.domain.states import DONE, FailureKind
from coordinator.domain.verdicts import Ending, StopReason
from coordinator.ledger import AttemptEnd

Way = tuple[FailureKind, str]

_BY_ITSELF = Ending()
_NOT_ITS_FAULT = (StopReason.ASKED, StopReason.DRAINED)


class SameFailure:
    """Counts how many dispatches in a row failed in the same way."""

    def __init__(self, limit: int) -> None:
        """`limit`: dispatches after which it is enough; 0 = never."""
        self.limit = limit
        self._way: Way | None = None
        self._count, self._said = 0, ""

    def add(self, ends: Sequence[AttemptEnd], ending: Ending = _BY_ITSELF) -> None:
        """Take in how the attempts of one dispatch ended, and how that itself did."""
        if ending.gone or ending.stop in _NOT_ITS_FAULT:
            return  # with its node goes all that ran there: one event, and none of the work's
        if all(end.kind is None and end.state not in DONE for end in ends):
            return  # given back
        way = _way_of(ends)
        self._count = 0 if way is None else self._count + 1 if way == self._way else 1
        self._way = way
        self._said = next((end.reason for end in ends if end.kind), "")

    @property
    def reason(self) -> str:
        """Why enough is enough, or ""."""
        if not self.limit or self._count < self.limit or self._way is None:
            return ""
        which = "last dispatch" if self._count == 1 else f"last {self._count:,} dispatches all"
        alike = "" if self._count == 1 else " the same way"
        return f"the {which} failed{alike}: {self._way[0]}: {self._said}"


def _way_of(ends: Sequence[AttemptEnd]) -> Way | None:
    """The one way in which all attempts that were made failed; None if there is none such."""
    if any(end.state in DONE for end in ends):
        return None
    ways = {
        (end.kind, normalised(end.reason, end.attempt.item.id))
        for end in ends
        if end.kind is not None
    }
    return ways.pop() if len(ways) == 1 else None
