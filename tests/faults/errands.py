"""Small batches of shell scripts: what ran leaves a line, and that counts."""

import json
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tests.acceptance.batches import BatchSeen, Workplace, assert_one_job_a_token
from tests.acceptance.on_nomad import VARIABLES, Nomad, NomadBatch, NomadWorkplace

PIPELINE = """
name: errands
steps:
  - name: run
    job: command
    outputs: [stdout.txt]
    pack: {{size: {pack}}}
    time_limit: {time_limit}
    options: {{command: [sh, {script}, "{{item}}"]}}
"""


@dataclass(frozen=True)
class Errands(Workplace):
    """A folder whose batches run the script `do` for each item, on this machine.

    Attributes:
        root: the output root; "" = the folder's own.
    """

    root: str = ""

    @classmethod
    def laid_out(
        cls, folder: Path, items: Sequence[str], *, pack: int = 1, time_limit: str = "1h"
    ) -> "Errands":
        place = cls(folder)
        folder.mkdir(parents=True)
        script = json.dumps(str(folder / "do"))
        text = PIPELINE.format(pack=pack, time_limit=time_limit, script=script)
        place.pipeline.write_text(text)
        lines = (json.dumps({"id": item, "properties": {}, "assets": {}}) for item in items)
        (folder / "items.ndjson").write_text("".join(f"{line}\n" for line in lines))
        do(place, "true")
        return place

    def submit_flags(self, batch: str, *flags: object) -> list[str]:
        return errand_flags(batch, self.root, *flags)

    def at(self, root: str) -> "Errands":
        return replace(self, root=root)


@dataclass(frozen=True)
class NomadErrands(NomadWorkplace):
    """The same folder, whose batches run on Nomad. Their jobs stay, to be counted."""

    @classmethod
    def of(cls, place: Errands, nomad: Nomad, job_vars: str = VARIABLES) -> "NomadErrands":
        (place.folder / "job.vars").write_text(job_vars)
        return cls(place.folder, nomad=nomad, root=place.root)

    def submit_flags(self, batch: str, *flags: object) -> list[str]:
        given = errand_flags(batch, self.root, *self.flags, *flags)
        return [*given, "--cluster", "nomad", "--job_vars", "job.vars"]


def do(place: Workplace, what: str) -> None:
    """What each item does from now on, after it has left its line; its id is `$1`."""
    aside = place.folder / "do.part"
    aside.write_text(f'echo "$1" >>{shlex.quote(str(place.witness))}\n{what}\n')
    aside.replace(place.folder / "do")


def errand_flags(batch: str, root: str, *flags: object) -> list[str]:
    given = ["--batch_name", batch, "--pipeline", "pipeline.yml", "--catalog", "items.ndjson"]
    where = ["--output_root", root] if root else []
    return [*given, *where, *map(str, flags)]


def home(batch: BatchSeen) -> int:
    """How many of its dispatches have come home."""
    return batch.count("dispatches WHERE state = 'ended'") if batch.exists else 0


def at_work(batch: BatchSeen) -> int:
    return batch.count("dispatches WHERE state = 'running'") if batch.exists else 0


def states(batch: BatchSeen) -> dict[str, str]:
    return {row["id"]: row["state"] for row in batch.rows("SELECT id, state FROM items")}


def kinds(batch: BatchSeen) -> Counter[str]:
    """Kind of failure -> attempts that were charged with it."""
    rows = batch.rows("SELECT kind, count(*) AS n FROM attempts WHERE kind IS NOT NULL GROUP BY 1")
    return Counter({row["kind"]: row["n"] for row in rows})


def assert_each_once(batch: BatchSeen) -> None:
    """Every item succeeded at its first attempt and ran once; no token made two jobs."""
    assert set(states(batch).values()) == {"succeeded"}
    assert batch.place.witnessed() == dict.fromkeys(batch.items, 1)
    assert kinds(batch) == {}
    assert_one_job_each(batch)


def assert_one_job_each(batch: BatchSeen) -> None:
    assert_one_job_a_token(batch)
    if isinstance(batch, NomadBatch):
        tokens = {row["token"] for row in batch.rows("SELECT token FROM dispatches")}
        assert batch.tokens() == dict.fromkeys(tokens, 1)
