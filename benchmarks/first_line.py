"""How long each verb that looks takes to its first line, on a ledger of 100,000 items.

    python benchmarks/first_line.py [--items 100000] [--repeat 3] [--folder DIR] [--json]

The ledger is made by its own moves: three fifths of the items have succeeded, a fifth has failed in
ways that differ by number, the rest waits or is out. Beside it stand nine small batches, and the
logs and outputs of a few items. Each verb is a process of its own, as a user starts it; its output
goes to a pipe, and the clock stops at the first line of it, whether that is the result or says what
is being done. The best of some tries counts: a process that had to wait for others says nothing.

Two lines to compare with: an interpreter that does nothing, and one that imports the libraries that
no verb can do without.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

from coordinator.clock import SystemClock
from coordinator.commands.record import BatchRecord, as_document
from coordinator.domain.items import WorkItem
from coordinator.domain.states import AttemptState as S
from coordinator.domain.states import FailureKind as K
from coordinator.domain.states import ItemState
from coordinator.ledger import Attempt, AttemptEnd, Dispatch, DispatchEnd, Finish, Ledger, NextStep
from coordinator.pipelines import Pipeline

BATCH, LIMIT = "large", 0.5
PACK = 100
REFERENCES = {
    "nothing": ["-c", "pass"],
    "libraries": ["-c", "import cyclopts, pydantic_settings, rich.console, yaml"],
}
KINDS = (K.MODEL_ERROR, K.OUT_OF_MEMORY, K.TIMEOUT, K.BAD_INPUT)
STEPS = [
    {
        "name": "translate",
        "job": "inference",
        "inputs": {"source": "asset/source"},
        "outputs": ["translations.jsonl"],
    },
    {
        "name": "score",
        "job": "scoring",
        "inputs": {
            "translations": "translate/translations.jsonl",
            "reference": "asset/reference",
        },
        "outputs": ["scores.json"],
    },
]


class Swift(Ledger):
    """One that need not survive a crash."""

    DURABILITY = ("journal_mode = WAL", "synchronous = OFF")


@dataclass(frozen=True)
class Figure:
    """Seconds of wall time; the best of some tries."""

    verb: str
    first_line: float
    whole: float
    cpu: float  # of the processor, up to the first line: a busy machine changes that less
    line: str  # the first one


def main() -> int:
    asked = arguments()
    with tempfile.TemporaryDirectory(prefix="first-line-", dir=asked.folder) as folder:
        place = Path(folder)
        began = time.monotonic()
        make(place, asked.items)
        made = time.monotonic() - began
        figures = measured(place, asked.items, asked.repeat)
    document = {"items": asked.items, "made_seconds": made, "limit": LIMIT}
    if asked.json:
        print(json.dumps({**document, "verbs": [asdict(figure) for figure in figures]}))
    else:
        print("\n".join(table(figures)))
    return 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="The first line of each verb that looks.")
    parser.add_argument("--items", type=int, default=100_000, help="items (default 100000)")
    parser.add_argument("--repeat", type=int, default=3, help="tries of each verb (default 3)")
    parser.add_argument("--folder", type=Path, help="where to work; default the system's")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser.parse_args()


def table(figures: Sequence[Figure]) -> Iterator[str]:
    widest = max(len(figure.verb) for figure in figures)
    yield f"{'verb':<{widest}}  first line   whole     cpu  says"
    for figure in figures:
        late = "" if figure.verb in REFERENCES or figure.first_line <= LIMIT else "  LATE"
        yield (
            f"{figure.verb:<{widest}}  {figure.first_line:8.2f} s  {figure.whole:4.2f} s"
            f"  {figure.cpu:4.2f} s  {figure.line[:50]}{late}"
        )


# the ledger


def make(folder: Path, items: int) -> None:
    """A large batch and nine small ones below `folder`."""
    for name in ("source", "reference"):
        (folder / f"{name}.txt").write_text("One.\nTwo.\n")
    make_batch(folder, BATCH, items)
    for number in range(9):
        make_batch(folder, f"small-{number}", 30)


def make_batch(folder: Path, name: str, items: int) -> None:
    ledger = Swift.create(
        folder / "state" / name,
        SystemClock(),
        as_document(record(folder, name, items)),
        ((item(folder, number), f"{number:07}") for number in range(items)),
    )
    try:
        drive(ledger, items)
    finally:
        ledger.close()
    logs = folder / "log" / name
    logs.mkdir(parents=True)
    (logs / "items.txt").write_text("".join(f"{item_id(number)}\n" for number in range(items)))


def record(folder: Path, name: str, items: int) -> BatchRecord:
    return BatchRecord(
        batch=name,
        pipeline=Pipeline.model_validate({"name": "p", "steps": STEPS}),
        steps=("translate", "score"),
        source="here",
        output_root=str(folder / "outputs"),
        log_dir=str(folder / "log"),
        cluster="local",
        slots=4,
        stop_threshold=items,
        resume_threshold=items // 2,
        wait_seconds=0,
        items=items,
        items_sha256="",
        created_at=time.time(),
    )


def item_id(number: int) -> str:
    return f"flores-devtest-l{number // 300:03}-l{number % 300:03}"


def item(folder: Path, number: int) -> WorkItem:
    properties = {
        "mt:source_language": f"l{number // 300:03}",
        "mt:target_language": f"l{number % 300:03}",
    }
    assets = {name: str(folder / f"{name}.txt") for name in ("source", "reference")}
    return WorkItem(item_id(number), "flores", assets, properties, cost=100 + number % 50)


def drive(ledger: Ledger, items: int) -> None:
    """Three fifths succeed, a fifth fails, a twentieth is out; the others wait."""
    end_many(ledger, 0, items // 5, fails=True)
    end_many(ledger, 0, 3 * items // 5)
    end_many(ledger, 1, 3 * items // 5)
    for dispatches in packs(ledger, 0, items // 20):
        ledger.move_all([(d, None) for d in dispatches], S.SUBMITTED, S.RUNNING)


def end_many(ledger: Ledger, step: int, count: int, *, fails: bool = False) -> None:
    for dispatches in packs(ledger, step, count):
        for dispatch in dispatches:
            ends = tuple(end_of(a, fails=fails) for a in ledger.attempts_of(dispatch))
            ledger.end_all([DispatchEnd(dispatch, ends)])


def end_of(attempt: Attempt, *, fails: bool) -> AttemptEnd:
    if fails:
        kind = KINDS[attempt.seq % len(KINDS)]
        reason = f"line {attempt.seq}: /data/{attempt.item.id}.txt cannot be used ({kind})"
        return AttemptEnd(attempt, S.FAILED, Finish(ItemState.FAILED, kind), kind, reason)
    sequel = Finish(ItemState.SUCCEEDED) if attempt.step else NextStep()
    return AttemptEnd(attempt, S.SUCCEEDED, sequel)


def packs(ledger: Ledger, step: int, count: int) -> Iterator[list[Dispatch]]:
    """So many items of a step, sent in packs; twenty packs at a time."""
    left = count
    while left > 0:
        ready = ledger.ready(step, fresh=step == 0, limit=min(left, 20 * PACK))
        waiting = iter(ready)
        cut = [pack for _ in range(20) if (pack := list(islice(waiting, PACK)))]
        claimed = ledger.claim(cut, lambda _, number: f"d{number}")
        ledger.move_all([(d, f"job-{d.id}") for d in claimed], S.CLAIMED, S.SUBMITTED)
        yield [ledger.dispatch(d.id) for d in claimed]
        left -= len(ready)


# the verbs


def verbs(items: int) -> dict[str, list[str]]:
    failed, done, waits = item_id(0), item_id(items // 2), item_id(items - 1)
    return {
        "status": ["status", BATCH],
        "status (all)": ["status"],
        "status --failed": ["status", BATCH, "--failed"],
        "status ITEM": ["status", BATCH, done],
        "status WRONG": ["status", BATCH, "flores-devtset-l001-l007"],
        "ls": ["ls"],
        "explain": ["explain", "timeout"],
        "why (waiting)": ["why", BATCH, waits],
        "why (failed)": ["why", BATCH, failed],
        "show": ["show", BATCH, done],
        "logs": ["logs", BATCH, done],
        "failures": ["failures", BATCH],
        "report": ["report", BATCH],
        "compare": ["compare", BATCH, "small-1"],
        "plan": ["plan", BATCH],
        "purge --dry-run": ["purge", BATCH, "--dry-run"],
        "resubmit --dry-run": ["resubmit", BATCH, "--dry-run"],
        "rescore --dry-run": ["rescore", BATCH, "--dry-run"],
        "job-name": ["job-name", "large--score.pack-000007--a1v1"],
        "rerun --dry-run": ["rerun", BATCH, "--from", "score", "--dry-run"],
        "metrics": ["metrics", BATCH],
        "bundle": ["bundle", BATCH],
        "report --format": ["report", BATCH, "--format", "csv"],
        "doctor": ["doctor"],
        "fetch": ["fetch", BATCH],
        "credentials": ["credentials", BATCH],
        "run-one": ["run-one", BATCH, waits],
        "debug": ["debug", BATCH, waits],
        "rm": ["rm", BATCH],
        "rebuild-ledger": ["rebuild-ledger", "small-3"],
        "pause": ["pause", BATCH],
        "resume": ["resume", BATCH],
        "set": ["set", BATCH, "--wait_seconds", "0"],
        "submit --resume": ["submit", "--batch_name", "small-4", "--resume", "--dry-run"],
        "submit WRONG": ["submit", "--batch_name", "x", "--item_list", "none.txt"],
        "items count": ["items", "count", "none.json"],
        "test-handler": ["test-handler", "no-model"],
        "model-manifest": ["model-manifest", "no-model"],
        "score": ["score", "--predictions", "none", "--references", "none"],
        "register-jobs": ["register-jobs", "x", "--dry-run"],
        "completion": ["completion", "bash"],
        "WRONG": ["statsu"],
        "--help": ["--help"],
        "TAB (batches)": ["__complete", "why", "la"],
        "TAB (items)": ["__complete", "why", BATCH, "flores-devtest-l1"],
        "TAB (languages)": ["__complete", "test-handler", "x", "--source_language", "l0"],
    }


def measured(folder: Path, items: int, repeat: int) -> list[Figure]:
    figures = [best(folder, name, line, repeat) for name, line in REFERENCES.items()]
    for name, verb in verbs(items).items():
        figures.append(best(folder, name, ["-m", "coordinator", *verb], repeat))
    return figures


def best(folder: Path, name: str, line: Sequence[str], repeat: int) -> Figure:
    return min((timed(folder, name, line) for _ in range(repeat)), key=lambda f: f.first_line)


def timed(folder: Path, name: str, line: Sequence[str]) -> Figure:
    shutil.rmtree(folder / "local-reports", ignore_errors=True)
    places = {f"COORDINATOR_{name.upper()}_DIR": str(folder / name) for name in ("state", "log")}
    kept = {k: v for k, v in os.environ.items() if not k.startswith("COORDINATOR_")}
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *line],
        cwd=folder,
        env={**kept, **places},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    first = next((line.strip() for line in process.stdout if line.strip()), "")
    seconds, cpu = time.perf_counter() - began, cpu_of(process.pid)
    process.stdout.read()
    process.wait()
    return Figure(name, seconds, time.perf_counter() - began, cpu, first)


def cpu_of(pid: int) -> float:
    """Seconds of the processor that a process took so far; it may have ended, unless waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    sys.exit(main())
