"""Two processes move through one ledger at once: what one is granted, the other is not."""

import multiprocessing
import random
from collections import Counter
from contextlib import suppress
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path

from coordinator.clock import SystemClock
from coordinator.domain.items import WorkItem
from coordinator.domain.states import AttemptState, FailureKind, ItemState
from coordinator.errors import StaleMove
from coordinator.ledger import Attempt, AttemptEnd, Dispatch, Finish, Ledger, Retry
from tests.ledger_checks import check_ledger

S = AttemptState
ITEMS, MOVES = 100, 400
FORK = multiprocessing.get_context("fork")
Granted = list[tuple[str, int]]  # what was done, and to what


class Mover:
    """Does whatever comes to its mind, by what it read some moves ago."""

    def __init__(self, ledger: Ledger, seed: int) -> None:
        self.ledger, self.dice = ledger, random.Random(seed)
        self.seen: list[Dispatch] = []
        self.granted: Granted = []
        self.refused = 0

    def move(self) -> None:
        if self.dice.random() < 0.3 or not self.seen:
            self.seen = self.ledger.out()
        move = self.dice.choice([self.claim, self.submit, self.end, self.end, self.reopen])
        try:
            move()
        except StaleMove:
            self.refused += 1

    def claim(self) -> None:
        ready = self.ledger.ready(0, fresh=self.dice.random() < 0.7, limit=4)
        if ready:
            self.ledger.claim([ready], lambda _, number: f"d{number}")
            self.granted += [("claim", attempt.id) for attempt in ready]

    def submit(self) -> None:
        with suppress(IndexError):  # nothing was out
            dispatch = self.dice.choice(self.seen)
            self.ledger.move(dispatch, S.CLAIMED, S.SUBMITTED, f"job-{dispatch.id}")
            self.granted.append(("submit", dispatch.id))

    def end(self) -> None:
        with suppress(IndexError):
            dispatch = self.dice.choice(self.seen)
            ends = [self._end(attempt) for attempt in self.ledger.attempts_of(dispatch)]
            self.ledger.end(dispatch, ends)
            self.granted.append(("end", dispatch.id))

    def _end(self, attempt: Attempt) -> AttemptEnd:
        kind = FailureKind.UNKNOWN
        finish = Finish(ItemState.FAILED, kind) if self.dice.random() < 0.5 else Retry()
        return AttemptEnd(attempt, S.FAILED, finish, kind)

    def reopen(self) -> None:
        self.ledger.reopen(list(self.ledger.items(ItemState.FAILED))[:3])


def moves(folder: Path, seed: int, both: Barrier, told: "Queue[tuple[Granted, int]]") -> None:
    mover = Mover(Ledger.open(folder, SystemClock()), seed)
    both.wait(30)
    for _ in range(MOVES):
        mover.move()
    told.put((mover.granted, mover.refused))


def test_what_one_process_is_granted_the_other_is_not(tmp_path: Path) -> None:
    items = [(WorkItem(f"i{n}"), "") for n in range(ITEMS)]
    Ledger.create(tmp_path, SystemClock(), {}, items).close()
    both, told = FORK.Barrier(2), FORK.Queue()
    processes = [FORK.Process(target=moves, args=(tmp_path, n, both, told)) for n in range(2)]
    for process in processes:
        process.start()
    stories = [told.get(timeout=100) for _ in processes]
    for process in processes:
        process.join(30)
        assert process.exitcode == 0
    granted = Counter(move for story, _ in stories for move in story)
    assert set(granted.values()) == {1}, "nothing is granted twice"
    assert all(story for story, _ in stories)
    assert sum(refused for _, refused in stories) > 10, "they met"
    check_ledger(tmp_path / "ledger.db")
    ledger = Ledger.open(tmp_path, SystemClock())
    actions = Counter(event.action for event in ledger.events())
    ledger.close()
    assert actions["ended"] == sum(move == "end" for move, _ in granted)
    assert actions["submitted"] == 1 + sum(move == "submit" for move, _ in granted)  # the batch
