"""When processes are lost too often for another one to be worth a try."""

from collections import Counter

from coordinator.inference.crew import Member

_MOST = 20  # in a row of one seat: more than it takes to narrow 100,000 sentences down to one
_MOST_LOADS = 3  # in a row that came to nothing
_MOST_FOUND = 4  # sentences in a row that were found to be fatal


class Losses:
    """Counts them; what is translated in between begins a new count."""

    def __init__(self) -> None:
        self._of_seat: Counter[int] = Counter()
        self._loads: Counter[int] = Counter()
        self._found = 0
        self.has_worked = False  # whether anything was ever translated

    def loaded(self, seat: int) -> None:
        self._loads[seat] = 0

    def worked(self, seat: int) -> None:
        self.has_worked = True
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
