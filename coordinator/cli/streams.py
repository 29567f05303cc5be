"""The standard streams as they should be, whatever the caller has left of them."""

import io
import os
import sys

_MODES = (os.O_RDONLY, os.O_WRONLY, os.O_WRONLY)  # of stdin, stdout, stderr


def mend_streams() -> None:
    """Open what is closed, lest a file take its number and be written to; say what can be said."""
    for descriptor, mode in enumerate(_MODES):
        if not _is_open(descriptor):
            os.open(os.devnull, mode)  # the lowest number is taken: this one
    sys.stdin = sys.stdin or open(os.devnull, encoding="utf-8")  # noqa: SIM115
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal may lack what an item is called
            stream.reconfigure(errors="backslashreplace")


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True
