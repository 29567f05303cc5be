"""The distinct errors of a batch with examples from its logs: from the log tree alone."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from coordinator.domain.states import FailureKind
from coordinator.reports.batches import find_batch
from coordinator.reports.excerpts import Excerpt, excerpts_of
from coordinator.reports.explain import Message, explain
from coordinator.reports.groups import by_error, grouped
from coordinator.reports.history import ItemReport
from coordinator.reports.reading import read_batch, read_by_rules
from coordinator.reports.report import sort_items
from coordinator.reports.rules import Rules, our_rules
from coordinator.reports.tree import OnProgress, Tree


@dataclass(frozen=True)
class Wanted:
    """Which failures are asked for, and how many examples of each error."""

    kinds: tuple[FailureKind, ...] = ()  # () = all
    item_contains: str = ""
    examples: int = 3


@dataclass(frozen=True)
class Example:
    """One failed item.

    Attributes:
        step, attempt: what failed.
        node: where that ran; "" = not known.
        file, line: what says so, relative to the log folder; None where it is no line of a log.
        lines: that place as it stands in the log, tracebacks unfolded.
        left_out: how many lines of it are not among these.
    """

    item: str
    step: str
    attempt: int
    node: str
    file: str
    line: int | None
    message: str
    lines: tuple[str, ...] = ()
    left_out: int = 0


@dataclass(frozen=True)
class DistinctError:
    """Failures of one kind that differ in numbers, ids and paths only."""

    kind: FailureKind
    error: str
    count: int
    examples: tuple[Example, ...]


@dataclass(frozen=True)
class Failures:
    """What failed in a batch.

    Attributes:
        items: on the run list.
        failed: of these, before any were left out.
        errors: of those that were asked for, the most frequent first.
        notes: how many files of the tree could not be used.
    """

    batch: str
    log_dir: str
    items: int
    failed: int
    errors: tuple[DistinctError, ...]
    notes: int


def read_failures(
    log_dir: Path,
    batch: str | None,
    wanted: Wanted,
    rules: Rules | None = None,
    on_progress: OnProgress | None = None,
) -> Failures:
    """The failures of a batch, at any moment of it.

    Args:
        log_dir: the folder of all logs, or of one batch's.
        batch: which batch; None where there is only one.
        wanted: which of them.
        rules: how the tree is laid out, and what its lines mean; None = our own.
        on_progress: hears how many logs are read.

    Raises:
        BadInput: no such logs, or several batches and none named.
    """
    rules = rules or our_rules()
    tree = Tree(log_dir.resolve())
    tree.on_progress = on_progress or tree.on_progress
    folder = find_batch(tree.base, batch)
    logs = (
        read_by_rules(tree, folder, None, rules) if rules.layout else read_batch(tree, folder, None)
    )
    reports = sort_items(logs).reports
    failed = {report.item: report for report in reports if report.kind is not None}
    chosen = [report for item, report in failed.items() if wanted.item_contains in item]
    messages = explain(tree, chosen, rules)  # their last words may tell another kind
    if wanted.kinds:
        messages = [message for message in messages if message.kind in wanted.kinds]
    errors = _errors(tree, messages, failed, wanted.examples)
    return Failures(
        logs.batch, str(log_dir), len(reports), len(failed), tuple(errors), len(set(tree.notes))
    )


def _errors(
    tree: Tree, messages: Sequence[Message], failed: Mapping[str, ItemReport], examples: int
) -> list[DistinctError]:
    groups = [(grouped(members)[0], members[:examples]) for members in by_error(messages).values()]
    excerpts = _excerpts(tree, (shown for _, shown in groups), failed)
    groups.sort(key=lambda pair: (-pair[0].count, pair[0].kind, pair[0].error))
    return [
        DistinctError(
            group.kind,
            group.error,
            group.count,
            tuple(_example(m, failed[m.item], excerpts[m.item]) for m in shown),
        )
        for group, shown in groups
    ]


def _excerpts(
    tree: Tree, shown: Iterable[Sequence[Message]], failed: Mapping[str, ItemReport]
) -> dict[str, Excerpt]:
    """Item -> what stands at its place; each file is read once, however many items it explains."""
    by_file: defaultdict[str, dict[str, int]] = defaultdict(dict)
    found = {}
    for message in (message for members in shown for message in members):
        deciding = failed[message.item].deciding
        outcome = deciding.outcome if deciding else None
        said = outcome.failure.traceback if outcome and outcome.failure else ""
        found[message.item] = Excerpt.of_text(said)
        if message.line is not None:
            by_file[message.file][message.item] = message.line
    for file, places in by_file.items():
        for item, excerpt in excerpts_of(tree, tree.base / file, places).items():
            found[item] = excerpt if excerpt.lines else found[item]
    return found


def _example(message: Message, report: ItemReport, excerpt: Excerpt) -> Example:
    deciding = report.deciding
    example = Example(
        item=message.item,
        step=message.job,
        attempt=deciding.number if deciding else 0,
        node=deciding.node if deciding else "",
        file=message.file,
        line=message.line,
        message=message.message,
    )
    return replace(example, lines=excerpt.lines, left_out=excerpt.left_out)
