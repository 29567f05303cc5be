"""Which seeds find a bug."""

from collections.abc import Iterable

from tests.simulation.batch import Seen, simulate
from tests.simulation.bugs import Bug

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
