"""The verb that runs again what failed: resubmit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from coordinator.bootstrap import make_clock
from coordinator.cli.options import NO_COMMON, Common, one_name
from coordinator.cli.output import Output, write_file
from coordinator.cli.verb import add_verb
from coordinator.cli.words import plural
from coordinator.domain.shown import for_terminal
from coordinator.domain.states import FailureKind
from coordinator.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from coordinator.commands.resubmit import ResubmitPlan

_SHOWN = 10  # items that a dry run names


def add_to(app: App) -> None:
    add_verb(app, resubmit)


def resubmit(
    batch: Annotated[str | None, Parameter(help="the batch")] = None,
    /,
    *items: Annotated[str, Parameter(help="only these items")],
    batch_name: Annotated[str | None, Parameter(help="the same as BATCH")] = None,
    kind: Annotated[
        tuple[FailureKind, ...],
        Parameter(help="only failures of this kind; may be repeated", negative=""),
    ] = (),
    item_list: Annotated[
        Path | None, Parameter(help="only the items in this file, one id a line")
    ] = None,
    as_list: Annotated[
        Path | None, Parameter(name="--as-list", help="only write the ids to this file, one a line")
    ] = None,
    report_dir: Annotated[
        Path | None, Parameter(help="with --as-list: take the failures from this report")
    ] = None,
    dry_run: Annotated[
        bool, Parameter(name="--dry-run", help="only say what would run again", negative="")
    ] = False,
    common: Common = NO_COMMON,
) -> int:
    """Run failed items of a batch again, as new attempts in the same batch.

    Examples:
    coordinator resubmit my-batch --kind model_error

    coordinator resubmit my-batch --as-list failed.txt
    """
    output, settings = Output(as_json=common.json), common.load()
    if report_dir is not None:
        return _list_from_report(output, report_dir, as_list, kind)
    name = one_name(batch, batch_name)
    output.say(f"looking up what failed in {name}")
    from coordinator.cli.running import drive_shown  # all that drives takes a while to import
    from coordinator.commands import resubmit as resubmitting

    clock, chosen = make_clock(), [*items, *_listed(item_list)]
    plan = resubmitting.plan_resubmit(settings, name, clock, kinds=kind, items=chosen)
    ids = [item.id for item in plan.items]
    if as_list is not None:
        return _write_list(output, ids, as_list)
    if dry_run or not ids:
        output.result({"batch": plan.batch, "items": ids}, *_would_run(plan))
        return ExitCode.OK
    of_batch = f"{plural(len(ids), 'item')} of {plan.batch}"
    output.say(f"{of_batch} will run again; nothing else is touched")
    return drive_shown(output, lambda watch: resubmitting.resubmit(plan, settings, clock, watch))


def _would_run(plan: ResubmitPlan) -> Iterator[str]:
    """How many items, and the first of them; where there are none, what did fail."""
    count = f"{plural(len(plan.items), 'item')} of {plan.batch} would run again"
    if not plan.items:
        failed = ", ".join(f"{number:,} x {kind}" for kind, number in plan.failed.items())
        yield f"{count}; what failed is {failed}" if failed else f"{count}: none failed"
        return
    yield f"{count}; nothing else is touched"
    for item in plan.items[:_SHOWN]:
        yield f"  {for_terminal(item.id)}  {item.kind or FailureKind.UNKNOWN}"
    if (more := len(plan.items) - _SHOWN) > 0:
        yield f"  and {more:,} more; --as-list FILE writes them all"


def _listed(path: Path | None) -> tuple[str, ...]:
    if path is None:
        return ()
    from coordinator.reports import read_run_list

    return read_run_list(path).ids


def _list_from_report(
    output: Output, report_dir: Path, as_list: Path | None, kinds: tuple[FailureKind, ...]
) -> int:
    from coordinator.reports import items_to_resubmit

    if as_list is None:
        raise UsageError(
            "a report alone cannot run items again",
            why="that takes the batch's ledger",
            hint="--as-list FILE writes the list; or name the batch instead of --report_dir",
        )
    return _write_list(output, items_to_resubmit(report_dir, kinds), as_list)


def _write_list(output: Output, ids: list[str], path: Path) -> int:
    try:
        write_file(path, "".join(f"{item}\n" for item in ids))
    except OSError as error:
        raise UsageError(f"{path} cannot be written", why=str(error)) from error
    output.result({"items": ids, "file": str(path)}, f"{plural(len(ids), 'item')} -> {path}")
    return ExitCode.OK
