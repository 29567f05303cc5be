"""The verb that shows distinct errors: failures."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter, validators
from rich.text import Text

from coordinator.bootstrap import make_clock
from coordinator.cli.live import Checking
from coordinator.cli.options import NO_COMMON, Common
from coordinator.cli.output import Output
from coordinator.cli.verb import add_verb
from coordinator.cli.words import plural
from coordinator.commands import failures as reading
from coordinator.domain.shown import for_terminal as safe
from coordinator.domain.states import FailureKind
from coordinator.errors import ExitCode
from coordinator.reports.failures import DistinctError, Example, Failures, Wanted


def add_to(app: App) -> None:
    add_verb(app, failures)


def failures(
    batch: Annotated[str | None, Parameter(help="the batch; default the only one there")] = None,
    /,
    *,
    kind: Annotated[
        tuple[FailureKind, ...],
        Parameter(help="only failures of this kind; may be repeated", negative=""),
    ] = (),
    item_contains: Annotated[str, Parameter(help="only items whose id holds this text")] = "",
    examples: Annotated[
        int,
        Parameter(
            name=("-n", "--examples"),
            help="examples of each error; default 3",
            validator=validators.Number(gte=0),
        ),
    ] = 3,
    rules: Annotated[
        Path | None, Parameter(help="what lines of logs mean, for the logs of another batch system")
    ] = None,
    common: Common = NO_COMMON,
) -> int:
    """The distinct errors of a batch, the most frequent first, with what the logs say.

    It reads the log tree alone, also while the batch runs.

    Examples:
    coordinator failures my-batch

    coordinator failures my-batch --kind model_error -n 1

    coordinator failures my-other-batch --log_dir local-logs
    """
    output, settings = Output(as_json=common.json), common.load()
    wanted = Wanted(kind, item_contains, examples)

    def on_reading(name: str, where: str, failed: int | None) -> None:
        known = "" if failed is None else f"{plural(failed, 'item')} failed by its ledger; "
        output.say(f"{name}  {known}reading its logs in {where}")

    with Checking(output) as checking:
        found = reading.failures(
            settings,
            batch,
            make_clock(),
            wanted,
            on_reading,
            log_dir=common.log_dir,
            rules=rules,
            on_progress=checking.on_progress,
        )
    output.result({"failures": asdict(found)}, *_lines(found))
    return ExitCode.OK


def _lines(found: Failures) -> Iterator[Text]:
    shown = sum(error.count for error in found.errors)
    asked = "" if shown == found.failed else f", {shown:,} of them as asked for"
    distinct = plural(len(found.errors), "distinct error")
    yield Text(
        f"{safe(found.batch)}  {found.failed:,} of {plural(found.items, 'item')} failed{asked}:"
        f" {distinct}",
        "bold",
    )
    for error in found.errors:
        yield from _error_lines(found.batch, error)
    if found.notes:
        notes = f"! {plural(found.notes, 'file')} of the logs could not be used"
        yield Text(f"{notes}: coordinator report {safe(found.batch)} names them", "yellow")
    yield Text(f"logs  {safe(found.log_dir)}")
    for kind in dict.fromkeys(error.kind for error in found.errors):
        yield Text(f"what {kind} means, and what to do: coordinator explain {kind}", "bold")


def _error_lines(batch: str, error: DistinctError) -> Iterator[Text]:
    head = Text(f"\n{error.count:>6,} x  ").append(f"{error.kind}", "bold red")
    yield head.append(f"  {safe(error.error)}")
    for example in error.examples:
        yield from _example_lines(batch, example)
    more = error.count - len(error.examples)
    if more and error.examples:
        yield Text(f"         and {plural(more, 'more item')}", "dim")


def _example_lines(batch: str, example: Example) -> Iterator[Text]:
    place = example.file if example.line is None else f"{example.file}:{example.line}"
    tried = f"{example.step} attempt {example.attempt}"
    node = f" on {safe(example.node)}" if example.node else ""
    yield Text(f"         {safe(example.item)}  {safe(tried)}{node}")
    yield Text(f"         {safe(place)}", "dim")
    if example.left_out:
        rest = f"{example.left_out:,} lines before: coordinator logs {safe(batch)} "
        yield Text(f"           ... {rest}{safe(example.item)}", "dim")
    for line in example.lines:
        yield Text(f"           {safe(line)}", "dim")
