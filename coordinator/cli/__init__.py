"""The command line: it parses, calls one command, shows the result, returns the exit code."""

import sys


def main(argv: list[str] | None = None) -> int:
    """Run `coordinator` with these arguments; the process's exit code."""
    from coordinator.cli.streams import mend_streams

    mend_streams()
    from coordinator.cli.app import run
    from coordinator.cli.interrupts import answered

    given = sys.argv[1:] if argv is None else argv
    return answered(run, given)
