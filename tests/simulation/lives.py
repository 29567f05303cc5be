"""Coordinators that die: what one of them reaches the world through, until a seeded moment."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from coordinator.clock import SimulatedClock
from coordinator.cluster import JobId, Request
from coordinator.cluster.simulated import Fault, SimulatedCluster, World
from coordinator.errors import CoordinatorError
from coordinator.ledger import Ledger
from coordinator.secrecy import NO_MASK, Mask
from coordinator.storage.simulated import SimulatedStorage
from tests.simulation.plan import Doom


class Crash(BaseException):
    """The coordinator dies here; nothing of it may act any more."""


class Life:
    """Counts the calls of one coordinator, and ends it at one of them."""

    def __init__(self, doom: Doom | None, tell: Callable[[str], None]) -> None:
        """`doom`: when it ends; None = when it has done all that there is to do."""
        self._doom, self._tell = doom, tell
        self._left = doom.calls if doom else 0
        self._is_over = False

    def passes(self, what: str) -> None:
        """Come by a moment at which it may die; a dead one dies at every such moment."""
        if self._is_over:
            raise Crash(what)
        if self._doom is None or self._doom.moment not in what:
            return
        self._left -= 1
        if self._left <= 0:
            self._is_over = True
            self._tell(f"*** the coordinator dies {what}")
            raise Crash(what)


class MortalCluster(SimulatedCluster):
    """Dies before or after what it asks of the cluster."""

    def __init__(self, life: Life, world: World, *, tells_lanes: bool) -> None:
        super().__init__(world, tells_lanes=tells_lanes)
        self._life = life

    def submit(self, requests: Sequence[Request]) -> list[JobId | CoordinatorError]:
        results = []
        for request in requests:
            results += super().submit([request])
            self._life.passes(f"after submitting {request.job.name}")
        return results

    def save_logs(self, job: JobId, folder: Path, mask: Mask = NO_MASK) -> None:
        super().save_logs(job, folder, mask)
        self._life.passes(f"after the logs of {job}")

    def stop(self, ids: Collection[JobId], reason: Any) -> None:
        super().stop(ids, reason)
        self._life.passes("after stopping jobs")

    def purge(self, ids: Collection[JobId]) -> None:
        super().purge(ids)
        self._life.passes("after purging jobs")

    def _enter(self, what: str) -> None:
        self._life.passes(f"before it asks the cluster: {what}")
        super()._enter(what)


class MortalStorage(SimulatedStorage):
    """Dies before or after what it asks of the store."""

    def __init__(self, life: Life, *args: Any) -> None:
        super().__init__(*args)
        self._life = life

    def _enter(self, what: str) -> None:
        self._life.passes(f"before it asks the store: {what}")
        super()._enter(what)

    def _leave(self, what: str) -> None:
        super()._leave(what)
        self._life.passes(f"after it asked the store: {what}")


class MortalLedger(Ledger):
    """Dies before or after a commit; a file in memory needs no sync."""

    DURABILITY: ClassVar[tuple[str, ...]] = ("journal_mode = MEMORY", "synchronous = OFF")
    life: Life = Life(None, print)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        if self._db.in_transaction:
            yield
            return
        with super()._transaction():
            yield
            self.life.passes("before a commit")
        self.life.passes("after a commit")


class MortalClock:
    """Dies in its sleep. While nothing happens it sleeps on: a real one would only tick."""

    def __init__(
        self,
        life: Life,
        clock: SimulatedClock,
        world: World,
        rhythm: float,
        on_sleep: Callable[[], None],
    ) -> None:
        """`rhythm`: seconds that a sleep takes at least."""
        self._life, self._clock, self._world, self._rhythm = life, clock, world, rhythm
        self._on_sleep = on_sleep
        self.now, self.monotonic, self.wake = clock.now, clock.monotonic, clock.wake

    def sleep(self, seconds: float) -> None:
        self._life.passes("in its sleep")
        if not seconds:
            return
        self._on_sleep()
        if self._world.faults.strikes(Fault.CLOCK_STEP):
            self._step()
        due = self._world.next_at()
        idle = 0.0 if due is None else min(30.0, due - self._clock.monotonic())
        self._clock.sleep(max(seconds, idle, self._rhythm))

    def _step(self) -> None:
        """Somebody sets the wall clock."""
        seconds = self._world.faults.within(-3600.0, 8 * 3600.0)
        self._world.tell(f"the wall clock is set {seconds:+.0f} s")
        self._clock.step(seconds)
