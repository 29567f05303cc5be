"""Passing on what a program writes, as it comes."""

import os
import signal
import subprocess
from collections.abc import Callable

_CHUNK = 2**16
_PATIENCE = 5.0  # seconds for a program to end by itself


def pass_out(process: subprocess.Popen[bytes], on_output: Callable[[bytes], None]) -> int:
    """Until its standard output ends; its exit code.

    Ctrl-C reaches the program as well: it is given time to end, and then no more.
    """
    assert process.stdout is not None
    try:
        while data := os.read(process.stdout.fileno(), _CHUNK):
            on_output(data)
        return process.wait()
    except BaseException:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        raise
    finally:
        process.stdout.close()
