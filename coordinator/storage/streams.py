"""Byte streams from far away, with their errors in this project's words."""

import io
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import BinaryIO, cast

BUFFER_BYTES = 1 << 18


class _Guarded(io.RawIOBase):
    """Reads through a function; every call runs inside a context that translates its errors."""

    def __init__(
        self,
        read: Callable[[int], bytes],
        close: Callable[[], None],
        guard: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._read, self._close, self._guard = read, close, guard

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        with self._guard():
            data = self._read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._close()
        super().close()


def guarded(
    read: Callable[[int], bytes],
    close: Callable[[], None],
    guard: Callable[[], AbstractContextManager[None]],
) -> BinaryIO:
    """A buffered stream over `read(n)`, which gives at most n bytes, and none at the end."""
    return cast(BinaryIO, io.BufferedReader(_Guarded(read, close, guard), BUFFER_BYTES))
