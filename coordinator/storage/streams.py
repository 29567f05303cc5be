"""Byte streams from far away, with their errors in this project's words."""

import io
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import BinaryIO, cast

from coordinator.errors import BadInput
from coordinator.storage.hrefs import shown

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


def capped(read: Callable[[int], bytes], href: str, max_bytes: int) -> Callable[[int], bytes]:
    """`read`, which refuses to give more than `max_bytes` in all."""
    total = 0

    def read_some(size: int) -> bytes:
        nonlocal total
        data = read(size)
        total += len(data)
        if total > max_bytes:
            raise too_large(href, max_bytes)
        return data

    return read_some


def too_large(href: str, max_bytes: int) -> BadInput:
    return BadInput(
        f"{shown(href)} cannot be read",
        why=f"it is larger than {max_bytes:,} bytes",
        hint="check the address",
    )
