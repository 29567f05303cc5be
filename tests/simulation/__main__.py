"""`python -m tests.simulation SEED [--items N]`: replay one seed, and print what happened."""

import argparse
import sys

from tests.simulation.batch import simulate


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("seed", type=int)
    parser.add_argument("--items", type=int, default=200)
    asked = parser.parse_args()
    seen = simulate(asked.seed, asked.items, told=True)
    print("\n".join(seen.story))
    print("\n".join(f"VIOLATED: {said}" for said in seen.violations) or "nothing is violated")
    return 1 if seen.violations else 0


if __name__ == "__main__":
    sys.exit(main())
