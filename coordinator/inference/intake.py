"""Items are taken up in a thread of their own: where one is slow to come, the model goes on."""

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from coordinator.inference.book import Text

T = TypeVar("T")


@dataclass(frozen=True)
class Arrived(Generic[T]):
    """An item, and its sentences or why they cannot be read."""

    thing: T
    text: Text | Exception


@dataclass(frozen=True)
class NoMore:
    """There are no more items, or they cannot be had any more."""

    error: Exception | None = None


class Intake(Generic[T]):
    """Takes an item from `things` each time it is asked, in order, and tells `hear` of it."""

    def __init__(
        self,
        things: Iterable[T],
        read: Callable[[T], Text],
        hear: Callable[[Arrived[T] | NoMore], None],
    ) -> None:
        self._things, self._read, self._hear = iter(things), read, hear
        self._asked = threading.Semaphore(0)
        self._closed = False
        self._thread = threading.Thread(target=self._live, daemon=True)
        self._thread.start()

    def ask(self) -> None:
        self._asked.release()

    def close(self) -> None:
        """What is being taken up is not waited for longer than that takes."""
        self._closed = True
        self._asked.release()
        self._thread.join()

    def _live(self) -> None:
        try:
            for arrived in self._arriving():
                self._hear(arrived)
            self._hear(NoMore())
        except Exception as error:
            self._hear(NoMore(error))

    def _arriving(self) -> Iterator[Arrived[T]]:
        while self._asked.acquire() and not self._closed:
            try:
                thing = next(self._things)
            except StopIteration:
                return
            yield Arrived(thing, self._text(thing))

    def _text(self, thing: T) -> Text | Exception:
        try:
            return self._read(thing)
        except Exception as error:
            return error
