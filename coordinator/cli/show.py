"""Results as lines for a person. Every text from outside is escaped here."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from coordinator.cli.outlook import step_lines, time_lines
from coordinator.cli.words import age, duration, plural
from coordinator.domain.shown import for_terminal as safe
from coordinator.domain.states import ItemState as S
from coordinator.errors import ExitCode
from coordinator.reports.kinds import must_be_mended, next_lines

if TYPE_CHECKING:
    from coordinator.commands.batches import BatchRow
    from coordinator.commands.driving import Driven
    from coordinator.commands.planning import Plan
    from coordinator.commands.results import Results
    from coordinator.commands.status import JobOut, Status

Line = str | Text | Table
_SHOWN_JOBS = 20
SHOWN_FAILED = 500  # a terminal holds no more, and --json lists them all


def plan_lines(plan: Plan) -> Iterator[Line]:
    record, chosen = plan.record, plan.selection
    listed = chosen.listed if chosen.listed is not None else record.items + len(chosen.bad)
    yield f"batch      {record.batch}"
    if record.model:
        yield f"model      {safe(record.model)} ({plan.model_kind})"
    if record.limited:
        yield f"limited    {safe(record.limited.removeprefix('limited: '))}"
    notes = [f"{len(chosen.bad):,} bad, skipped" if chosen.bad else "0 bad"]
    notes += [plural(chosen.repeated, "repeated line")] if chosen.repeated else []
    yield f"items      {record.items:,} of {listed:,} listed ({', '.join(notes)})"
    yield from step_lines(plan.forecast)
    if record.canary:
        yield f"canary     {_canaries(record.canary)} must succeed before any other is started"
    yield (
        f"in flight  stop at {record.stop_threshold:,}, resume at {record.resume_threshold:,}"
        f"    cluster {record.cluster}, {plural(record.slots, 'slot')}"
    )
    yield from time_lines(plan.forecast)
    yield f"output     {safe(record.output_root.rstrip('/'))}/{record.batch}"
    yield from (f"warning    {line}" for line in plan.warnings)


def _canaries(count: int) -> str:
    return "the first item" if count == 1 else f"the first {count:,} items"


def driven_lines(driven: Driven) -> Iterator[Line]:
    """The last block: counts that add up, failures grouped, and what to do next."""
    yield from result_lines(driven.results)
    if driven.results.canary:
        yield f"  {safe(driven.results.canary)}"
        return
    if driven.halted:
        yield f"  {safe(driven.halted)}"
    if driven.exit_code in (ExitCode.INTERRUPTED, ExitCode.STOPPED_EARLY):
        yield f"  {go_on(driven.record.batch)}"


def outcome_lines(results: Results) -> Iterator[str]:
    """Counts that add up, and the failures grouped."""
    yield counts_line(results)
    if results.limited:
        yield f"  {safe(results.limited)}"
    for group in results.failures:
        yield f"  {group.count:,} x {group.kind}  e.g. {safe(group.example)}: {safe(group.reason)}"


def result_lines(results: Results) -> Iterator[Line]:
    yield from outcome_lines(results)
    yield f"  output   {safe(results.output)}"
    report = [f"coordinator report {results.batch}"] if results.is_finished else []
    for number, line in enumerate([*report, *_again(results)]):
        yield f"  {'next' if number == 0 else '':<9}{line}"


def _again(results: Results) -> Iterator[str]:
    """What to do about what failed; all of it at once where nothing has to be mended."""
    kinds = list(dict.fromkeys(group.kind for group in results.failures))
    if any(map(must_be_mended, kinds)):
        for kind in kinds:
            yield from next_lines(results.batch, kind)
    elif results.counts.get(S.FAILED, 0) + results.counts.get(S.STOPPED, 0):
        yield f"coordinator resubmit {results.batch}   (again, what failed)"


def counts_line(results: Results) -> str:
    """`demo  30 items  29 succeeded  1 failed`: the parts add up to the items."""
    parts = [
        f"{results.counts[state]:,} {_WORDS[state]}" for state in _WORDS if state in results.counts
    ]
    if results.skipped:
        parts.append(f"{results.skipped:,} skipped")
    return f"{results.batch}  {plural(results.total, 'item')}  =  {'  '.join(parts) or 'none'}"


_WORDS = {
    S.SUCCEEDED: "succeeded",
    S.NO_DATA: "without data",
    S.FAILED: "failed",
    S.STOPPED: "stopped",
    S.IN_FLIGHT: "in flight",
    S.WAITING: "waiting",
}


def status_lines(status: Status, *, failed: bool) -> Iterator[Line]:
    yield counts_line(status.results)
    if status.results.limited:
        yield f"  {safe(status.results.limited)}"
    if status.driven_by:
        yield f"  driven by {safe(status.driven_by)}"
    elif status.results.canary:
        yield f"  {safe(status.results.canary)}"
    elif not status.results.is_finished:
        yield f"  nobody drives it; go on with: {resume_command(status.record.batch)}"
    if status.held:
        yield f"  {safe(status.held)}"
    if status.asked.items:
        waiting = plural(len(status.asked.items), "item")
        yield f"  to be stopped when their packs have ended: {waiting}"
    if status.jobs:
        yield jobs_table(status.jobs)
        if len(status.jobs) > _SHOWN_JOBS:
            yield f"  and {len(status.jobs) - _SHOWN_JOBS:,} more jobs; --json lists them all"
    if failed and status.failed:
        yield failed_table(status)
        if more := status.failed_count - len(status.failed):
            batch = status.record.batch
            yield f"  and {more:,} more; by their errors: coordinator failures {batch}"
    elif status.failed_count:
        yield f"  see them: coordinator status {status.record.batch} --failed"


def jobs_table(jobs: Sequence[JobOut]) -> Table:
    """The oldest jobs that are out; columns in which nothing stands are left out."""
    shown = jobs[:_SHOWN_JOBS]
    cells = {
        "item or pack": [f"{job.unit}{_items_of(job)}" for job in shown],
        "step": [job.step for job in shown],
        "state": [job.state for job in shown],
        "node": [job.node for job in shown],
        "job": [job.job_id for job in shown],
        "address": [job.address for job in shown],
    }
    columns = {name: column for name, column in cells.items() if any(column)}
    table = Table(*columns, box=None, pad_edge=False)
    for row in zip(*columns.values(), strict=True):
        table.add_row(*(Text(safe(cell)) for cell in row))
    return table


def batches_table(rows: Sequence[BatchRow]) -> Table:
    """One line a batch; columns in which nothing stands are left out."""
    cells = {
        "batch": [row.batch for row in rows],
        "age": [age(row.age) for row in rows],
        "done": [f"{row.done:,}/{row.total:,}" for row in rows],
        "failed": [f"{row.failed:,}" if row.failed else "" for row in rows],
        "skipped": [f"{row.skipped:,}" if row.skipped else "" for row in rows],
        "driven by": [_driver_of(row) for row in rows],
        "left": [duration(row.left) if row.left is not None else "" for row in rows],
        "paused": [row.paused for row in rows],
        "limited": ["limited" if row.limited else "" for row in rows],
    }
    return _table({name: column for name, column in cells.items() if any(column)})


def _driver_of(row: BatchRow) -> str:
    return row.driven_by or ("" if row.finished else "nobody")


def _table(columns: Mapping[str, Sequence[str]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in columns:
        is_number = name in ("age", "done", "failed", "skipped", "left")
        table.add_column(name, justify="right" if is_number else "left")
    for row in zip(*columns.values(), strict=True):
        table.add_row(*(Text(safe(cell)) for cell in row))
    return table


def _items_of(job: JobOut) -> str:
    return f" ({job.items:,})" if job.items > 1 else ""


def failed_table(status: Status) -> Table:
    table = folding_table("item", "kind", "step", "attempts", "reason", folded=("item", "reason"))
    for item in status.failed:
        step = status.record.steps[item.step]
        cells = (item.id, str(item.kind or ""), step, str(item.attempts), item.reason)
        table.add_row(*(Text(safe(cell)) for cell in cells))
    return table


def folding_table(*columns: str, folded: Collection[str]) -> Table:
    """A table in which `folded` go on in the next line: what is cut off cannot be copied."""
    table = Table(box=None, pad_edge=False)
    for name in columns:
        table.add_column(name, no_wrap=name not in folded, overflow="fold")
    return table


def go_on(batch: str) -> str:
    return f"stopped early; nothing is lost. Go on with: {resume_command(batch)}"


def resume_command(batch: str) -> str:
    return f"coordinator submit --batch_name {batch} --resume"
