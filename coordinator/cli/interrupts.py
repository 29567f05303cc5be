"""Ctrl-C is answered within a second, whatever the verb is waiting for."""

import signal
import threading
from collections.abc import Callable

from coordinator.cli.output import Output
from coordinator.commands.departure import ANSWER_SECONDS, departure
from coordinator.errors import ExitCode, Interrupted


def answered(run: Callable[[list[str]], int], argv: list[str]) -> int:
    """`run(argv)`, of which an interrupt makes an end in time.

    The interrupt is raised in the main thread as ever. Where that, or another thread, is kept by
    somebody who does not answer, the process ends all the same.
    """
    if threading.current_thread() is not threading.main_thread():
        return run(argv)
    departure.stand_by()
    before = signal.signal(signal.SIGINT, lambda *_: _interrupt(argv))
    try:
        code = run(argv)
    finally:
        signal.signal(signal.SIGINT, before)
    if departure.is_ordered:  # all has been said; threads that hang are not waited for
        departure.within(ANSWER_SECONDS, code)
    return code


def _interrupt(argv: list[str]) -> None:
    departure.within(ANSWER_SECONDS, ExitCode.INTERRUPTED, lambda: say_interrupted(argv))
    raise KeyboardInterrupt


def say_interrupted(argv: list[str]) -> None:
    what, hint = "interrupted", "the same again; a batch goes on with --resume"
    Output(as_json="--json" in argv).error(Interrupted(what, hint=hint))
