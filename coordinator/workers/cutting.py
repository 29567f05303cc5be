"""The beginning of a text: what a limited batch works on."""

from typing import BinaryIO

from coordinator.errors import BadInput

_LONGEST = 64 << 20  # bytes of a line; a text of one sentence a line has none that comes near


def copy_lines(source: BinaryIO, sink: BinaryIO, lines: int) -> None:
    """Copy the first `lines` lines; what follows is not read.

    Raises:
        BadInput: a line has no end in sight.
    """
    for number in range(1, lines + 1):
        line = source.readline(_LONGEST)
        if not line:
            return
        if len(line) == _LONGEST and not line.endswith(b"\n"):
            raise BadInput(
                f"line {number} is longer than {_LONGEST:,} bytes",
                hint="the text must have one sentence a line",
            )
        sink.write(line)
