"""How far a soak is: kept in a file, so that one that was interrupted goes on where it was."""

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.acceptance.kills import Figures
from tests.acceptance.strikes import Strikes
from tests.support import REPOSITORY

SECONDS = 40 * 60  # that a soak may take at a stretch
FOLDER = REPOSITORY / ".soak"


@dataclass
class Soak:
    """Its state file is written after each batch."""

    file: Path
    seed: str
    figures: Figures = field(default_factory=Figures)
    strikes: Strikes = field(default_factory=Strikes)

    @classmethod
    def begun(cls, name: str, folder: Path = FOLDER) -> "Soak":
        """The one of this name, as it was left, or a new one."""
        file = folder / f"{name}.json"
        if not file.exists():
            return cls(file, os.environ.get("COORDINATOR_TEST_SEED", str(time.time_ns())))
        state = json.loads(file.read_text())
        return cls(file, state["seed"], Figures.of(state["figures"]), Strikes(**state["strikes"]))

    def __str__(self) -> str:
        return f"seed {self.seed}: {self.figures}; {self.strikes}"

    def save(self) -> None:
        self.file.parent.mkdir(exist_ok=True)
        state = {"seed": self.seed, "figures": vars(self.figures), "strikes": asdict(self.strikes)}
        aside = self.file.with_suffix(".part")
        aside.write_text(json.dumps(state))
        aside.replace(self.file)

    def done(self) -> None:
        """Another one may begin."""
        self.file.unlink()


def every_tenth(say: Callable[[str], None]) -> Callable[[str], None]:
    """Passes on what is said of every tenth kill."""
    return lambda line: say(line) if line.split()[1].endswith("0") else None
