"""Batches as a user runs them: real text, a model that leaves a trace, the real command line."""

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.support import REPOSITORY, require_data

COORDINATOR = Path(sys.executable).with_name("coordinator")
OUTCOME = re.compile(r"items/[^/]+/[^/]+/a\d+/outcome\.json")
READERS = 8  # files at a time
LANGUAGES = "ces deu ell eng-US fra hin jpn rus spa zho-CN".split()  # noqa: SIM905

# Knows every third sentence by heart and copies the others, so that scores lie far apart. Each call
# leaves one line in the witness file: no state of the coordinator can hide a second run from it.
HANDLER = '''
"""For tests: half a translation memory, and a witness."""

import json
import os
import time
import zlib


class Handler:
    def load(self, model_dir, device):
        self.folder = model_dir
        self.facts = json.loads((model_dir / "facts.json").read_text())

    def translate(self, sentences, source_language, target_language):
        self.witness(f"{source_language} {target_language} {os.getppid()}\\n".encode())
        time.sleep(self.facts["seconds"])
        if f"{source_language} {target_language}" in self.facts["faults"]:
            raise RuntimeError("on purpose")
        known = self.lines(target_language)
        return [
            known[n] if zlib.crc32(line.encode()) % 3 == 0 else line
            for n, line in enumerate(sentences)
        ]

    def witness(self, line):
        descriptor = os.open(self.facts["witness"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(descriptor, line)
        os.close(descriptor)

    def lines(self, language):
        with open(f"{self.facts['texts']}/{language}.txt", encoding="utf-8") as stream:
            return stream.read().split("\\n")
'''

PIPELINE = """
name: translate-and-score
properties: ["mt:source_language", "mt:target_language"]
aligned: [[source, reference]]
steps:
  - name: translate
    job: inference
    inputs: {{source: asset/source}}
    outputs: [translations.jsonl]
    pack: {{size: {pack}}}
    resources: {{memory_mb: [500, 1000]}}
  - name: score
    job: scoring
    inputs: {{translations: translate/translations.jsonl, reference: asset/reference}}
    outputs: [scores.json]
    pack: {{size: {score_pack}, sort_by: "mt:target_language"}}
    options: {{metrics: [bleu, chrf, "chrf++"]}}
"""


def coordinator_after(statement: str) -> tuple[str, ...]:
    """The program `coordinator`, which does first what `statement` says."""
    main = "import sys; from coordinator.cli import main; sys.exit(main())"
    return (sys.executable, "-c", f"{statement}; {main}")


# While something does not answer, it looks again within 2 s rather than 30 s.
IMPATIENT = coordinator_after(
    "import functools; from coordinator.engine import driver;"
    " driver.Pace = functools.partial(driver.Pace, longest_outage=2.0)"
)


@dataclass(frozen=True)
class Workplace:
    """A folder in which a user runs batches: texts, items, a model, a pipeline.

    Attributes:
        program: what is run in place of `coordinator`; () = itself.
    """

    folder: Path
    program: tuple[str, ...] = ()

    @classmethod
    def made(
        cls,
        folder: Path,
        languages: Sequence[str],
        sentences: int,
        *,
        pack: int = 16,
        score_pack: int = 64,
        seconds: float = 0.0,
    ) -> "Workplace":
        """Every direction of these languages; `seconds`: what the model takes for each."""
        place = cls(folder)
        place.texts.mkdir(parents=True)
        for language in languages:
            text = require_data(f"ntrex101/{language}.txt").read_text("utf-8").split("\n")
            lines = "".join(f"{line}\n" for line in text[:sentences])
            (place.texts / f"{language}.txt").write_text(lines, "utf-8")
        place.model.mkdir()
        (place.model / "handler.py").write_text(HANDLER)
        place.set_model(seconds=seconds)
        place.pipeline.write_text(PIPELINE.format(pack=pack, score_pack=score_pack))
        made = place.run("items", "from-text", "text", "--split", "dev", "--out", "items")
        assert made.returncode == 0, made.stderr
        return place

    @property
    def texts(self) -> Path:
        return self.folder / "text"

    @property
    def model(self) -> Path:
        return self.folder / "model"

    @property
    def pipeline(self) -> Path:
        return self.folder / "pipeline.yml"

    @property
    def witness(self) -> Path:
        return self.folder / "witness"

    def set_model(self, *, seconds: float = 0.0, faults: Sequence[str] = ()) -> None:
        """Change the model; `faults`: directions like `deu fra` at which it raises."""
        witness, texts = str(self.witness), str(self.texts)
        facts = {"witness": witness, "texts": texts, "seconds": seconds, "faults": list(faults)}
        (self.model / "facts.json").write_text(json.dumps(facts))

    def witnessed(self) -> Counter[str]:
        """Direction, as `deu fra` -> how often the model was asked for it."""
        if not self.witness.exists():
            return Counter()
        lines = self.witness.read_text().splitlines()
        return Counter(" ".join(line.split()[:2]) for line in lines)

    # running

    def variables(self) -> dict[str, str]:
        """What else its processes find in their environment."""
        return {}

    def submit_flags(self, batch: str, *flags: object) -> list[str]:
        given = ["--batch_name", batch, "--pipeline", "pipeline.yml", "--model", "model"]
        return [*given, "--catalog", "items/collection.json", *map(str, flags)]

    def start(self, *arguments: object) -> subprocess.Popen[str]:
        """`coordinator ...`, or `tools/submit_batch.py ...` for submit, in a session of its own."""
        verb, *rest = map(str, arguments)
        tool = [sys.executable, str(REPOSITORY / "tools" / "submit_batch.py")]
        command = tool if verb == "submit" else [str(COORDINATOR), verb]
        if self.program:
            command = [*self.program, verb]
        return subprocess.Popen(
            [*command, *rest],
            cwd=self.folder,
            env=environment(self.folder) | self.variables(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        return ended(self.start(*arguments))

    def resume(self, batch: str) -> subprocess.CompletedProcess[str]:
        return self.run("submit", "--batch_name", batch, "--resume")

    def batch(self, name: str) -> "BatchSeen":
        return BatchSeen(self, name)


def environment(folder: Path) -> dict[str, str]:
    """Ours, without settings of the user's, and with a state folder of the workplace's own."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("COORDINATOR_")}
    return kept | {"COORDINATOR_STATE_DIR": str(folder / "state")}


def ended(process: subprocess.Popen[str], timeout: float = 300) -> subprocess.CompletedProcess[str]:
    """What the process said, when it has ended."""
    with process:
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


@contextmanager
def running(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """The process, which is killed when the block ends before it does."""
    try:
        yield process
    finally:
        process.kill()
        ended(process)


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


@dataclass(frozen=True)
class BatchSeen:
    """What is left of a batch on disk, read without the coordinator's own code."""

    place: Workplace
    name: str

    @property
    def state(self) -> Path:
        return self.place.folder / "state" / self.name

    @property
    def output(self) -> Path:
        return self.place.folder / "outputs" / self.name

    @property
    def logs(self) -> Path:
        return self.place.folder / "local-logs" / self.name

    @property
    def exists(self) -> bool:
        return (self.state / "ledger.db").exists()

    def rows(self, query: str) -> list[dict[str, Any]]:
        """From the ledger."""
        uri = f"{(self.state / 'ledger.db').as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=30)) as db:
            db.row_factory = sqlite3.Row
            return [dict(row) for row in db.execute(query)]

    def count(self, query: str) -> int:
        return int(self.rows(f"SELECT count(*) AS n FROM {query}")[0]["n"])

    @cached_property
    def items(self) -> list[str]:
        return [row["id"] for row in self.rows("SELECT id FROM items ORDER BY seq")]

    def directions(self) -> dict[str, str]:
        """Item -> its direction as the witness has it."""
        end = "'$.properties.\"mt:%s_language\"'"
        source, target = (
            f"json_extract(document, {end % which})" for which in ("source", "target")
        )
        rows = self.rows(f"SELECT id, {source} AS source, {target} AS target FROM items")
        return {row["id"]: f"{row['source']} {row['target']}" for row in rows}

    def keys(self) -> list[str]:
        """Of all that lies in its output folder."""
        found = (path for path in self.output.rglob("*") if path.is_file())
        return [path.relative_to(self.output).as_posix() for path in found]

    def read(self, key: str) -> bytes:
        return (self.output / key).read_bytes()

    def scores(self) -> dict[str, bytes]:
        """Item -> its published `scores.json`, byte by byte."""
        with ThreadPoolExecutor(READERS) as pool:
            read = pool.map(lambda item: self.read(f"items/{item}/scores.json"), self.items)
            return dict(zip(self.items, read, strict=True))

    def outcomes(self) -> list[dict[str, Any]]:
        """All that attempts have left in its output folder."""
        keys = [key for key in self.keys() if OUTCOME.fullmatch(key)]
        with ThreadPoolExecutor(READERS) as pool:
            return [json.loads(data) for data in pool.map(self.read, keys)]

    def job_ids(self) -> list[str]:
        """All jobs that the cluster was ever given, sorted."""
        return [path.name for path in self.jobs()]

    def jobs(self) -> list[Path]:
        """The folders of the local executor, one a job."""
        return sorted(path for path in (self.state / "cluster" / "jobs").glob("[!.]*"))

    def workers(self) -> list[int]:
        """The workers that run now."""
        started = [job / "started.json" for job in self.jobs() if not (job / "ended.json").exists()]
        pids = [json.loads(path.read_text())["worker"] for path in started if path.exists()]
        return [pid for pid in pids if is_alive(pid)]


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def kill(pid: int) -> None:
    """SIGKILL, if it still runs."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def assert_whole(batch: BatchSeen) -> None:
    """Every item succeeded, every success left one outcome, and no token made two jobs."""
    assert {row["state"] for row in batch.rows("SELECT state FROM items")} == {"succeeded"}
    steps = batch.rows(
        "SELECT item, step, count(*) AS n FROM attempts WHERE state = 'succeeded' GROUP BY 1, 2"
    )
    assert len(steps) == 2 * len(batch.items) and {row["n"] for row in steps} == {1}
    assert_outcomes(batch)
    assert_one_job_a_token(batch)


def assert_outcomes(batch: BatchSeen) -> None:
    """An outcome for each attempt that succeeded, in the outputs and in the logs; and no other."""
    rows = batch.rows(
        "SELECT i.id, a.step, a.number FROM attempts a JOIN items i ON i.seq = a.item"
        " WHERE a.state = 'succeeded'"
    )
    steps = ("translate", "score")
    expected = {(row["id"], steps[row["step"]], row["number"]) for row in rows}
    home = [json.loads(p.read_bytes()) for p in batch.logs.glob("*/*/outcomes/*.json")]
    for outcomes in (batch.outcomes(), home):
        found = [
            (o["item"], o["step"], o["attempt"]) for o in outcomes if o["status"] == "succeeded"
        ]
        assert len(found) == len(set(found)) and set(found) == expected


def assert_one_job_a_token(batch: BatchSeen) -> None:
    dispatches = batch.rows("SELECT name, token, job_id, state FROM dispatches")
    assert {row["state"] for row in dispatches} == {"ended"}
    assert len({row["token"] for row in dispatches}) == len(dispatches)
    assert sorted(row["job_id"] for row in dispatches) == batch.job_ids()
