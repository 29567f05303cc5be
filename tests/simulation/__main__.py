"""Seeds of the simulation: replay one, run thousands, or count those that find known bugs.

python -m tests.simulation SEED [--items N]     what happened, line by line
python -m tests.simulation soak [--seeds N]     goes on where it was interrupted
python -m tests.simulation bugs [--seeds N]     in how many seeds each is found
"""

import argparse
import sys
from functools import partial
from pathlib import Path

from tests.simulation.batch import simulate
from tests.simulation.hunt import hunt
from tests.simulation.soak import Figures, soak

KEPT = Path(__file__).parents[2] / ".soak" / "simulation.json"
say = partial(print, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("what", help="a seed, soak or bugs")
    parser.add_argument("--items", type=int)
    parser.add_argument("--seeds", type=int)
    asked = parser.parse_args()
    if asked.what == "soak":
        return _soak(asked.items or 200, asked.seeds or 10_000)
    if asked.what == "bugs":
        return _bugs(asked.items or 30, asked.seeds or 300)
    return _replay(int(asked.what), asked.items or 200)


def _replay(seed: int, items: int) -> int:
    seen = simulate(seed, items, told=True)
    say("\n".join(seen.story))
    say("\n".join(f"VIOLATED: {said}" for said in seen.violations) or "nothing is violated")
    return 1 if seen.violations else 0


def _soak(items: int, seeds: int) -> int:
    figures = Figures.kept(KEPT, items)
    if figures.done:
        say(f"going on; done so far: {figures}")
    soak(figures, seeds, KEPT, say)
    say(f"injected:\n{figures.table()}\n{figures}")
    KEPT.unlink()
    return 1 if figures.violations else 0


def _bugs(items: int, seeds: int) -> int:
    missed = 0
    for bug, found in hunt(range(seeds), items):
        missed += not found
        first = f", the first is {found[0].seed}: {found[0].violations[0]}" if found else ""
        say(f"{bug}: found by {len(found)} of {seeds} seeds{first}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
