"""To be imported before torch: its idle threads are to sleep, as in our jobs, not to spin.

What spins takes its core away from whatever else runs there, and is no measure of anything.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def share(count: int) -> None:
    """So many cores for this process and those that it starts; torch here is told by itself."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:count])
