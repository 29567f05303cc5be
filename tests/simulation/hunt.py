"""Which seeds find a bug."""

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor

from tests.simulation.batch import Seen, simulate
from tests.simulation.bugs import BUGS, Bug

# What tells of a bug that is not put in right, rather than of one that is found.
_SLIPS = ("AttributeError", "IndexError", "KeyError", "NameError", "TypeError")


def found_by(bug: Bug, seeds: Iterable[int], items: int, enough: int | None = None) -> list[Seen]:
    """What the seeds saw that find the bug; no more of them than are `enough`."""
    found: list[Seen] = []
    for seed in seeds:
        with bug():
            seen = simulate(seed, items)
        assert not any(said.startswith(_SLIPS) for said in seen.violations), seen.violations
        found += [seen] if seen.violations else []
        if len(found) == enough:
            break
    return found


def hunt(seeds: range, items: int) -> Iterator[tuple[str, list[Seen]]]:
    """All bugs in their order, each by its name and with what the seeds saw that find it."""
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        runs = {bug: [pool.submit(found_by, bug, [seed], items) for seed in seeds] for bug in BUGS}
        for bug, run in runs.items():
            yield bug.__name__, [seen for each in run for seen in each.result()]
