"""Who gets what next: new sentences, what is to be done again, batches from the pool, suspects."""

from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice

from coordinator.errors import ModelError
from coordinator.inference.crew import Member
from coordinator.inference.pool import Pool, Unit
from coordinator.inference.work import Work

_AT_ONCE = 2  # requests of a lane: one in hand, one that follows without a wait
_CHUNK = 512  # sentences encoded at once


class Budget:
    """What a batch may hold.

    Attributes:
        tokens: rows times the longest of them; None = no limit.
        rows: sentences; None = no limit.
    """

    def __init__(self, tokens: int | None, rows: int | None) -> None:
        self.tokens, self.rows = tokens, rows
        self._fitted = 0  # the most that has ever fitted

    def fitted(self, cost: int) -> None:
        self._fitted = max(self._fitted, cost)

    def shrink(self, cost: int) -> None:
        """A batch that cost so much did not fit in memory: take half of that.

        Unless twice as much has fitted before: then the reason is another one.
        """
        if self._fitted < 2 * cost:
            half = max(cost // 2, 1)
            self.tokens = half if self.tokens is None else min(self.tokens, half)

    def restore(self, tokens: int | None) -> None:
        """It was one sentence's fault: what was learnt from the batches that held it is void."""
        self.tokens = tokens


class Dealer:
    """Keeps what is to be done, and hands it out.

    Suspects are what a process had in hand when it died: each is tried alone.
    """

    def __init__(
        self, pool: Pool, budget: Budget, wanted: Callable[[Unit], bool], *, whole_items: bool
    ) -> None:
        self._pool, self._budget, self._wanted = pool, budget, wanted
        self._chunk = None if whole_items else _CHUNK
        self._errands: deque[Work] = deque()
        self._suspects: deque[Work] = deque()

    @property
    def waiting(self) -> int:
        """Sentences that are not encoded yet, and not given to anybody."""
        return sum(len(work.units) for work in self._errands if work.lane == "encode")

    def put(self, units: Sequence[Unit]) -> None:
        """New sentences of one item."""
        rest = iter(units)
        while chunk := list(islice(rest, self._chunk)):
            self._errands.append(Work("encode", chunk))

    def again(self, works: Sequence[Work]) -> None:
        """What is to be done before all else, in this order."""
        self._errands.extendleft(reversed(works))

    def suspect(self, works: Sequence[Work], seat: int) -> None:
        """What a process had in hand when it was lost; narrowed down before other suspects are."""
        for work in works:
            work.shuns = seat
        self._suspects.extendleft(reversed(works))

    def deal(self, members: Sequence[Member], *, more: bool) -> list[tuple[Work, ModelError]]:
        """Give every process what it has room for, those first that have least.

        Args:
            members: all processes.
            more: other rows are on their way.

        Returns:
            What could not be given, and why.
        """
        ready = [member for member in members if member.ready and member.fate is None]
        refused: list[tuple[Work, ModelError]] = []
        while found := self._found(ready, more=more):
            member, work = found
            try:
                member.give(work)
            except ModelError as error:
                refused.append((work, error))
        return refused

    def _found(self, ready: list[Member], *, more: bool) -> tuple[Member, Work] | None:
        """Somebody who has room, and something to do."""
        for member in sorted(ready, key=lambda member: len(member.in_hand)):
            if work := self._next(member, ready, more=more):
                return member, work
        return None

    def _next(self, member: Member, ready: list[Member], *, more: bool) -> Work | None:
        in_hand = member.in_hand
        if any(work.alone for work in in_hand):
            return None
        if not in_hand and (work := self._suspect(member, ready)):
            return work
        if member is self._examiner(ready):  # it runs empty, so that a suspect can have it
            return None
        return self._errand(member) or self._batch(member, more=more)

    def _examiner(self, ready: list[Member]) -> Member | None:
        """Who is to take the next suspect."""
        for work in self._suspects:
            return next(member for member in ready if _may_take(member, work, ready))
        return None

    def _suspect(self, member: Member, ready: list[Member]) -> Work | None:
        for work in [work for work in self._suspects if _may_take(member, work, ready)]:
            self._suspects.remove(work)
            work.alone = True
            if self._trimmed(work):
                return work
        return None

    def _errand(self, member: Member) -> Work | None:
        for work in list(self._errands):
            if len(member.lanes[work.lane]) >= _AT_ONCE:
                continue
            self._errands.remove(work)
            if self._is_too_much(work):
                self.again(work.halves())
                return self._errand(member)
            if self._trimmed(work):
                return work
        return None

    def _is_too_much(self, work: Work) -> bool:
        """Whether it was made before memory ran out."""
        most, several = self._budget.tokens, len(work.units) > 1
        return work.lane == "translate" and most is not None and several and work.cost > most

    def _batch(self, member: Member, *, more: bool) -> Work | None:
        """A batch, unless one that is fuller can be waited for."""
        given = len(member.lanes["translate"])
        enough = self._pool.tokens >= 2 * (self._budget.tokens or 0)
        if given >= _AT_ONCE or (given and more and not enough):
            return None
        while units := self._pool.take(self._budget.tokens, self._budget.rows):
            work = Work("translate", units, budget=self._budget.tokens)
            if self._trimmed(work):
                return work
        return None

    def _trimmed(self, work: Work) -> bool:
        """Whether anything is left of it without what nobody wants any more."""
        if work.outputs is None:
            work.units = [unit for unit in work.units if self._wanted(unit)]
        return bool(work.units)


def _may_take(member: Member, work: Work, ready: list[Member]) -> bool:
    """Whether no other process is a fairer judge of it."""
    return work.shuns != member.seat or len(ready) == 1
