"""The secrets that this process knows."""

import threading
from collections.abc import Iterable

from coordinator.secrecy.mask import Mask
from coordinator.secrecy.secret import Secret


class Known:
    """Grows only: what was renewed may still stand in a log. Safe for many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: frozenset[str] = frozenset()
        self._mask: Mask | None = Mask()  # None = not made yet: a start has no time for it

    def learn(self, secrets: Iterable[str | Secret]) -> None:
        """From now on these are masked too."""
        new = {Secret(secret).reveal() for secret in secrets}
        with self._lock:
            if not new <= self._values:
                self._values |= new
                self._mask = None

    @property
    def mask(self) -> Mask:
        """The same object until something is learned."""
        with self._lock:
            self._mask = self._mask or Mask(self._values)
            return self._mask

    def mask_with(self, more: Iterable[str]) -> Mask:
        """A mask that also hides `more`, which is not learned: there may be any number of such."""
        extra = frozenset(more)
        return Mask(self._values | extra) if extra else self.mask


known = Known()
"""Of the process: its screen and its log are one each, too."""
