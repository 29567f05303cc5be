"""`python -m coordinator.workers OUTPUT_ROOT HANDOFF_KEY` works off one dispatch."""

import os
import sys

from coordinator.debugging.answering import answer_debuggers
from coordinator.secrecy.dumps import leave_no_core_dump
from coordinator.workers.devices import use_given_devices
from coordinator.workers.frame import run_worker


def main() -> int:
    if len(sys.argv) != 3:
        sys.exit("usage: python -m coordinator.workers OUTPUT_ROOT HANDOFF_KEY")
    leave_no_core_dump()
    answer_debuggers("worker")
    use_given_devices(os.environ)
    return run_worker(sys.argv[1], sys.argv[2])


if __name__ == "__main__":
    sys.exit(main())
