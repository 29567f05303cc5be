"""Scoring from stored predictions: no batch, no cluster, no ledger."""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from coordinator.errors import BadInput, UsageError
from coordinator.metrics import LanguageTable, MetricSpec, PreparedStore
from coordinator.scoring.crew import Crew
from coordinator.scoring.desk import Outcome, Setup
from coordinator.scoring.plan import Plan
from coordinator.scoring.summary import Summary
from coordinator.storage import open_storage

SUMMARY, ITEMS = "summary", "items"
_STALE = ".*.part"

Progress = Callable[[int, int], None]  # directions done, of how many


@dataclass(frozen=True)
class Finished:
    """A scoring that went through.

    Attributes:
        known: how many directions had been scored before, of the same inputs.
    """

    summary: Summary
    output: Path
    known: int


def score_predictions(
    plan: Plan,
    setup: Setup,
    table: LanguageTable,
    *,
    processes: int,
    on_progress: Progress = lambda done, total: None,
) -> Finished:
    """Score all directions of the plan, and write `items/` and `summary/` below the output.

    What is there already, of the same inputs, is taken as it is. Killed at any moment and called
    again, it leaves the same bytes.

    Raises:
        BadInput: nothing to score, or a metric cannot be loaded.
        UsageError: the output cannot be written, or another process writes there.
        StorageError: the disk takes no more.
        CrewLost: the processes die before they begin.
    """
    if not plan.directions:
        raise BadInput(
            "there is nothing to score", why=_first(plan), problems=plan.problems, hint=_HINT
        )
    with _alone(setup.output):
        _clear(setup.output)
        PreparedStore(setup.prepared).tidy()
        outcomes = _work_off(plan, setup, processes, on_progress)
        summary = _summary(plan, outcomes, setup.metrics)
        store = open_storage(str(setup.output.absolute()))
        for name, content in summary.files(table).items():
            store.write(f"{SUMMARY}/{name}", content)
    known = sum(not outcome.is_new and outcome.problem is None for outcome in outcomes)
    return Finished(summary, setup.output, known)


_HINT = "an item is called <source>-<target>; its reference <target>.txt"


def _first(plan: Plan) -> str:
    return f"none of {len(plan.expected):,} expected items can be scored"


def _work_off(plan: Plan, setup: Setup, processes: int, on_progress: Progress) -> list[Outcome]:
    outcomes: list[Outcome] = []
    total = len(plan.directions)
    on_progress(0, total)
    with Crew(setup, min(processes, total)) as crew:
        for outcome in crew.work_off(plan.directions):
            outcomes.append(outcome)
            on_progress(len(outcomes), total)
    return outcomes


def _summary(plan: Plan, outcomes: list[Outcome], metrics: tuple[MetricSpec, ...]) -> Summary:
    """In order of name, whatever the order that they came in."""
    outcomes = sorted(outcomes, key=lambda outcome: outcome.item)
    problems = [*plan.problems, *(o.problem for o in outcomes if o.problem)]
    found = {name: text for o in outcomes for name, text in o.signatures.items()}
    return Summary(
        expected=plan.expected,
        scores={o.item: o.scores for o in outcomes if o.scores},
        suspicious={o.item: o.suspicious for o in outcomes if o.suspicious and o.suspicious.flags},
        tags={o.item: o.tags for o in outcomes if o.tags},
        signatures={spec.name: found.get(spec.name, "") for spec in metrics},
        problems=sorted(problems, key=lambda problem: problem.where),
    )


@contextmanager
def _alone(output: Path) -> Iterator[None]:
    """No other scoring writes there as long as this lasts; the kernel ends it with the process."""
    try:
        output.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(output / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise UsageError(
            f"the output folder {output} cannot be used",
            why=error.strerror or str(error),
            hint="choose another --output",
        ) from error
    try:
        _lock(descriptor, output)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, output: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise UsageError(
            f"another scoring writes to {output}", hint="wait for it, or choose another --output"
        ) from error
    except OSError as error:
        raise UsageError(
            f"the output folder {output} cannot be locked",
            why=error.strerror or str(error),
            hint="choose an --output on a disk of this machine",
        ) from error


def _clear(output: Path) -> None:
    """A summary is of a scoring that went through; what a killed one left half is of no use."""
    shutil.rmtree(output / SUMMARY, ignore_errors=True)
    for item in _folders(output / ITEMS):
        for stale in Path(item).glob(_STALE):
            stale.unlink(missing_ok=True)


def _folders(folder: Path) -> Iterator[str]:
    if folder.is_dir():
        with os.scandir(folder) as entries:
            yield from [e.path for e in entries if e.is_dir(follow_symlinks=False)]
