"""Which seeds find a bug."""

from collections.abc import Iterable

from tests.simulation.batch import Seen, simulate
from tests.simulation.bugs import Bug


def found_by(bug: Bug, seeds: Iterable[int], items: int, enough: int | None = None) -> list[Seen]:
    """What the seeds saw that find the bug; no more of them than are `enough`."""
    found: list[Seen] = []
    for seed in seeds:
        with bug():
            seen = simulate(seed, items)
        found += [seen] if seen.violations else []
        if len(found) == enough:
            break
    return found
