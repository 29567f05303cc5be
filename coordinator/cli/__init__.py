"""The command line: it parses, calls one command, shows the result, returns the exit code."""

import gc
import sys

from coordinator.cli.complete import ASKED, answer


def main(argv: list[str] | None = None) -> int:
    """Run `coordinator` with these arguments; the process's exit code."""
    given = sys.argv[1:] if argv is None else argv
    if given[:1] == [ASKED]:
        return answer(given[1:])
    if not gc.get_freeze_count():
        gc.disable()  # until all is imported: what is imported is no garbage
    from coordinator.cli.streams import mend_streams

    mend_streams()
    from coordinator.cli.app import run
    from coordinator.cli.interrupts import answered

    return answered(run, given)
