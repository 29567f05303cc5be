"""In place of threads: what they would do is done now, or put off to a seeded moment."""

from collections.abc import Callable
from concurrent.futures import Future
from random import Random
from typing import Any, TypeVar

from coordinator.clock import SimulatedClock

B = TypeVar("B")


class _Later(Future[Any]):
    """Something that was begun; whoever needs its result makes it happen."""

    def __init__(self, work: Callable[[], Any]) -> None:
        super().__init__()
        self._work = work

    def happen(self) -> None:
        if self.done():
            return
        try:
            self.set_result(self._work())
        except Exception as error:
            self.set_exception(error)

    def result(self, timeout: float | None = None) -> Any:
        self.happen()
        return super().result(timeout)


class Backstage:
    """A `Stage` in one thread."""

    def __init__(self, random: Random, clock: SimulatedClock, laziness: float) -> None:
        """`laziness`: how likely something is put off, each time that it could be done."""
        self._random, self._clock, self._laziness = random, clock, laziness
        self._begun: list[_Later] = []

    def start(self, work: Callable[[], B]) -> Future[B]:
        later = _Later(work)
        if self._is_put_off():
            self._begun.append(later)
        else:
            later.happen()
        return later

    def pass_time(self, seconds: float) -> None:
        """As long as nothing is missing it takes no time."""
        begun, self._begun = self._begun, []
        for each in begun:
            if each.done():
                continue
            if self._is_put_off():
                self._begun.append(each)
            else:
                each.happen()
        if self._begun:
            self._clock.advance(seconds)

    def _is_put_off(self) -> bool:
        return bool(self._laziness) and self._random.random() < self._laziness
