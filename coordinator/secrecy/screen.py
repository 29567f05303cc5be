"""What goes to the screen, or to whoever reads it instead, is masked in one place."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import IO, Any, cast

from coordinator.secrecy.known import known


@contextmanager
def masked_screen() -> Iterator[None]:
    """Within the block, standard output and error show nothing that is known to be secret."""
    with redirect_stdout(_masked(sys.stdout)), redirect_stderr(_masked(sys.stderr)):
        yield


class _Masked:
    """A text stream that masks what is written to it; in all else, the stream itself."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        self._stream.write(known.mask.text(text))
        return len(text)

    def writelines(self, lines: Iterator[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _masked(stream: IO[str] | None) -> IO[str]:
    """There is none where a process was started with it closed."""
    return cast(IO[str], stream and _Masked(stream))
