"""Known bugs, put in by hand: the seeds of `make test` find each of them."""

from collections.abc import Callable

import pytest

from tests.simulation.bugs import BUGS, Bug
from tests.simulation.hunt import found_by
from tests.simulation.test_seeds import ITEMS, SEEDS


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.__name__)
def test_the_seeds_find_the_bug(bug: Bug, say: Callable[[str], None]) -> None:
    found = found_by(bug, range(SEEDS), ITEMS, enough=1)
    assert found, f"no seed of {SEEDS} finds it: the simulation has to become better"
    say(f"\n{bug.__name__}: seed {found[0].seed}: {found[0].violations[0][:100]}")
