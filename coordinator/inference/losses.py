"""When processes are lost too often for another one to be worth a try."""

from collections import Counter

from coordinator.inference.crew import Member
from coordinator.inference.work import Lane

_MOST = 20  # in a row of one seat: more than it takes to narrow 100,000 sentences down to one
_MOST_LOADS = 3  # in a row that came to nothing
_MOST_FOUND = 4  # sentences in a row that were found to be fatal


class Losses:
    """Counts them; what is translated in between begins a new count."""

    def __init__(self) -> None:
        self._of_seat: Counter[int] = Counter()
        self._loads: Counter[int] = Counter()
        self._found = 0
        self._done: set[Lane] = set()

    def loaded(self, seat: int) -> None:
        self._loads[seat] = 0

    def has_done(self, lane: Lane) -> bool:
        """Whether anything of this kind was ever done, so that not everything of it is fatal."""
        return lane in self._done

    def did(self, lane: Lane) -> None:
        self._done.add(lane)

    def worked(self, seat: int) -> None:
        """Something was translated to its end."""
        self._of_seat[seat] = self._found = 0

    def lost(self, member: Member) -> bool:
        """A process was; whether another one in its seat is worth a try."""
        self._of_seat[member.seat] += 1
        if not member.ready:
            self._loads[member.seat] += 1
        hung = not member.ready and isinstance(member.fate, TimeoutError)
        too_many = self._of_seat[member.seat] >= _MOST or self._loads[member.seat] >= _MOST_LOADS
        return not (hung or too_many)

    def found(self) -> bool:
        """A sentence was found to be fatal; whether it is likely that others are not."""
        self._found += 1
        return self._found < _MOST_FOUND
