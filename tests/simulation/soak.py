"""Thousands of seeds, in all processors, with what was injected and what was violated."""

import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from coordinator.cluster.simulated import Fault
from tests.simulation.batch import Seen, simulate

CHUNK = 100  # seeds; a soak that is interrupted begins again with the chunk it was at
_AT_ONCE = 2  # seeds that a process is given at a time: with more, one waits for the other


@dataclass
class Figures:
    """How far a soak is. Kept in a file, from which the next one goes on."""

    items: int
    done: int = 0  # seeds; the next one is this
    seconds: float = 0.0
    lives: int = 0
    ticks: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    violations: dict[int, list[str]] = field(default_factory=dict)  # seed -> what does not hold

    @classmethod
    def kept(cls, file: Path, items: int) -> "Figures":
        """What an earlier run of the same size left in `file`, or a beginning."""
        if not file.exists():
            return cls(items)
        kept = json.loads(file.read_text())
        if kept["items"] != items:
            return cls(items)
        violations = {int(seed): said for seed, said in kept["violations"].items()}
        return cls(**kept | {"faults": Counter(kept["faults"]), "violations": violations})

    def keep(self, file: Path) -> None:
        file.parent.mkdir(exist_ok=True)
        aside = file.with_suffix(".part")
        aside.write_text(json.dumps(vars(self)))
        aside.replace(file)

    def add(self, seen: Iterable[Seen], seconds: float) -> None:
        for each in seen:
            self.done, self.lives = self.done + 1, self.lives + each.lives
            self.ticks += each.ticks
            self.faults.update({str(name): count for name, count in each.faults.items()})
            if each.violations:
                self.violations[each.seed] = list(each.violations)
        self.seconds += seconds

    def __str__(self) -> str:
        return (
            f"{self.done:,} seeds x {self.items} items in {self.seconds:,.0f} s: {self.lives:,} "
            f"lives of a coordinator, {self.ticks:,} ticks, {sum(self.faults.values()):,} faults; "
            f"violations: {len(self.violations)}"
        )

    def table(self) -> str:
        """How often each fault was injected; those that never were come last."""
        names = {*map(str, Fault), *self.faults}
        return "\n".join(
            f"{self.faults[name]:>12,}  {name}"
            for name in sorted(names, key=lambda name: (-self.faults[name], name))
        )


def soak(figures: Figures, seeds: int, file: Path, say: Callable[[str], None]) -> None:
    """Run all seeds below `seeds` that are not done yet."""
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for chunk in _chunks(figures.done, seeds):
            begun = time.monotonic()
            seen = list(pool.map(partial(_seen, items=figures.items), chunk, chunksize=_AT_ONCE))
            figures.add(seen, time.monotonic() - begun)
            figures.keep(file)
            say(str(figures))
            for each in seen:
                if each.violations:
                    again = f"python -m tests.simulation {each.seed} --items {figures.items}"
                    say(f"  {again}: {each.violations[0]}")


def _seen(seed: int, items: int) -> Seen:
    return simulate(seed, items)


def _chunks(first: int, end: int) -> Iterator[range]:
    for start in range(first, end, CHUNK):
        yield range(start, min(end, start + CHUNK))
