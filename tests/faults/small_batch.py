"""A small batch to be killed: the real driver, ledger, local executor and store, and quick jobs.

    python -m tests.faults.small_batch

reads lines like `batch FOLDER`, and for each begins the batch there, or goes on with it, in a
process of its own: all modules are loaded once. `report FOLDER` writes a report and a list there.
It prints the process's id, waits for one byte more, and prints how it ended. A batch is one thread,
so that each of its system calls has a number. Its jobs are a few lines of Python instead of the
real worker, for they are not what is killed here: each run of an attempt leaves a line in FOLDER's
`witness`, then what a worker leaves.
"""

import ctypes
import json
import os
import sqlite3
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from coordinator import bootstrap
from coordinator.bootstrap import make_clock
from coordinator.cli.output import write_file
from coordinator.cluster import JobSpec
from coordinator.commands.driving import Watch, drive
from coordinator.commands.record import BatchRecord, as_document, digest_of
from coordinator.domain.items import WorkItem
from coordinator.errors import CoordinatorError
from coordinator.ledger import FILE, Ledger
from coordinator.parallel import Inline, staged
from coordinator.pipelines import Pipeline
from coordinator.reports.files import write_report
from coordinator.settings import Settings

Duty = Callable[[Path, Callable[[str], object]], int]
NAMES = tuple(f"list-{n}.txt" for n in range(4))
BATCH, ITEMS = "b", ("one", "two")
WORKER = Path(__file__).with_name("quick_worker.py")


def settings_of(folder: Path) -> Settings:
    return Settings(state_dir=folder / "state", log_dir=folder / "logs")


def worker_command(folder: Path, job: JobSpec) -> Sequence[str]:
    command = [sys.executable, "-S", "-E", str(WORKER), str(folder / "witness")]
    return [*command, job.output_root, job.handoff]


def begin(folder: Path) -> None:
    step = {"name": "work", "job": "command", "options": {"command": ["true"]}}
    pipeline = {"name": "p", "steps": [{**step, "outputs": ["out.txt"], "pack": {"size": 1}}]}
    record = BatchRecord(
        batch=BATCH,
        pipeline=Pipeline.model_validate(pipeline),
        steps=("work",),
        source="here",
        output_root=str(folder / "out"),
        log_dir=str(folder / "logs"),
        cluster="local",
        slots=2,
        stop_threshold=9,
        resume_threshold=1,
        wait_seconds=0,
        items=len(ITEMS),
        items_sha256=digest_of(ITEMS),
        created_at=0,
    )
    items = [(WorkItem(item), "") for item in ITEMS]
    state = folder / "state" / BATCH
    Ledger.create(state, make_clock(), as_document(record), items).close()


def run(folder: Path, say: Callable[[str], object]) -> int:
    """Begin or go on; the exit code of the batch. What keeps it waiting is said."""
    if not (folder / "state" / BATCH / FILE).exists():
        begin(folder)
    watch = Watch(on_tick=lambda seen: say(seen.trouble and f"waiting: {seen.trouble}\n"))
    bootstrap.worker_command = lambda job: list(worker_command(folder, job))
    with staged(Inline()):
        return int(drive(settings_of(folder), BATCH, make_clock(), watch).exit_code)


# What is left of it.


def rows(folder: Path, query: str) -> list[tuple[object, ...]]:
    uri = f"{(folder / 'state' / BATCH / FILE).as_uri()}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True, timeout=30)) as db:
        return db.execute(query).fetchall()


def witnessed(folder: Path) -> Counter[str]:
    """`item attempt` -> how often it was run."""
    witness = folder / "witness"
    return Counter(witness.read_text().splitlines() if witness.exists() else ())


def assert_each_ran_once(folder: Path) -> None:
    """No item was lost, none was run twice, and no token gave two jobs."""
    assert witnessed(folder) == {f"{item} 1": 1 for item in ITEMS}
    assert rows(folder, "SELECT DISTINCT state FROM items") == [("succeeded",)]
    for item in ITEMS:
        assert (folder / "out" / BATCH / "items" / item / "out.txt").read_text() == item
    jobs = [path.name for path in (folder / "state" / BATCH / "cluster" / "jobs").iterdir()]
    known = rows(folder, "SELECT job_id, token, state FROM dispatches")
    assert sorted(jobs) == sorted(str(job) for job, _, _ in known)
    assert {state for _, _, state in known} == {"ended"}
    assert len({token for _, token, _ in known}) == len(known)
    assert_logs_are_home(folder)


def assert_logs_are_home(folder: Path) -> None:
    for name in (name for (name,) in rows(folder, "SELECT name FROM dispatches")):
        logs = folder / "logs" / BATCH / "work" / str(name)
        assert "worked" in (logs / "worker.stdout.0").read_text()
        assert json.loads((logs / "dispatch.json").read_text())["ending"]["exit_code"] == 0


def report(folder: Path, _say: Callable[[str], object]) -> int:
    """Write a new report and a list over older ones."""
    write_report(folder / "report", {name: text_of("new") for name in NAMES})
    write_file(folder / "report" / "list.txt", text_of("new"))
    return 0


def text_of(word: str) -> str:
    return f"{word}\n" * 4000


DUTIES: dict[str, Duty] = {"batch": run, "report": report}


def serve() -> None:
    while line := line_of(0):
        if child := os.fork():
            print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
        else:
            let_any_process_trace_this()
            print(os.getpid(), flush=True)
            os.read(0, 1)
            what, _, folder = line.partition(" ")
            os._exit(run_or_say(DUTIES[what], Path(folder)))


def let_any_process_trace_this() -> None:
    """Where only ancestors may (Yama), strace is none of them."""
    set_ptracer, anyone = 0x59616D61, ctypes.c_ulong(-1)
    ctypes.CDLL(None).prctl(set_ptracer, anyone, 0, 0, 0)


def line_of(descriptor: int) -> str:
    line = b""
    while (byte := os.read(descriptor, 1)) not in (b"", b"\n"):
        line += byte
    return line.decode()


def run_or_say(duty: Duty, folder: Path) -> int:
    with (folder / "said").open("a") as said:
        try:
            return duty(folder, said.write)
        except CoordinatorError as error:
            said.write(f"error: {error}\nhint: {error.hint}\n")
            return int(error.exit_code)
        except BaseException:
            traceback.print_exc(file=said)
            return 99


if __name__ == "__main__":
    serve()
