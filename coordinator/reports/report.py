"""Reports from the log tree alone: no ledger, no cluster, no network."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from coordinator.domain.states import FailureKind
from coordinator.errors import BadInput
from coordinator.metrics import Average, averages
from coordinator.reports.batches import BATCH_FILE, find_batch
from coordinator.reports.directions import directions_of, language_files
from coordinator.reports.explain import Message, explain
from coordinator.reports.files import json_text, lines_text, write_report
from coordinator.reports.groups import grouped
from coordinator.reports.history import Standing, judge
from coordinator.reports.html import Inputs, PageWish, missing_library, page_html
from coordinator.reports.items import Items
from coordinator.reports.lists import (
    MESSAGES,
    PAGE,
    SCORES,
    SUMMARY_CSV,
    SUMMARY_JSON,
    SUSPICIOUS,
    USAGE,
    Sorting,
    item_lists,
)
from coordinator.reports.reading import (
    BatchLogs,
    read_batch,
    read_by_rules,
    read_record,
)
from coordinator.reports.resources import Usage, usage_csv, usages_of
from coordinator.reports.rows import Row, item_rows
from coordinator.reports.rules import Rules, our_rules
from coordinator.reports.run_list import RunList, read_run_list
from coordinator.reports.summary import Counts, Summary, next_commands
from coordinator.reports.suspicious import Suspicions, suspicions_of, suspicious_csv
from coordinator.reports.tables import Scores, scores_csv, scores_of, signatures_of, summary_csv
from coordinator.reports.tree import OnProgress, Tree


@dataclass(frozen=True)
class _Findings:
    """What the logs come to."""

    logs: BatchLogs
    sorting: Sorting
    messages: list[Message]
    scores: Scores
    averages: Mapping[str, Average]
    suspicious: Suspicions
    read: frozenset[FailureKind]  # kinds of failures that nothing but last words told
    base: Path  # the log folder

    def rows(self) -> Iterator[Row]:
        """One for each item of the run list, made as it is asked for."""
        by_item = {message.item: message for message in self.messages}
        return item_rows(self.logs, self.sorting.reports, by_item, self.scores, self.base)


def local_reports(
    log_dir: Path,
    *,
    run_list: Path | None,
    report_dir: Path,
    batch: str | None,
    rules: Rules | None = None,
    page: PageWish | None = None,
    log_address: str = "",
    on_progress: OnProgress | None = None,
) -> Summary:
    """Read the logs of one batch and write its report.

    Args:
        log_dir: the folder of all logs, or of one batch's.
        run_list: the items that were meant to run; None = the batch's own list, else what is seen.
        report_dir: where the lists and tables go; made if need be.
        batch: which batch; None where there is only one.
        log_address: where the logs really are, if `log_dir` is a copy.
        on_progress: hears how many logs are read.
        rules: how the tree is laid out, and what its lines mean; None = our own.
        page: what `report.html` is to know besides the logs; None = no page is wanted.

    Raises:
        BadInput: no such logs, several batches and none named, or a run list that cannot be used.
        UsageError: the report cannot be written.
    """
    rules = rules or our_rules()
    tree, folder, findings = _read(log_dir, run_list, batch, rules, on_progress)
    usages = usages_of(tree, folder)
    files: dict[str, str | bytes | bytearray] = {
        **_files(findings),
        **_usage_file(usages, findings.logs),
    }
    files |= {name: files[ours] for ours, name in rules.lists.items() if ours in files}
    names = [*files, SUMMARY_JSON]
    summary = _summary(findings, tree, names, log_address or str(log_dir), str(report_dir))
    if page is not None:
        tree.on_progress("pages", 0, 1)
        inputs = _inputs(findings, tree, folder, usages, summary, page)
        summary, made = _paged(summary, replace(inputs, log_dir=None) if log_address else inputs)
        files |= made
    write_report(report_dir, {**files, SUMMARY_JSON: json_text(summary.to_json())})
    return summary


def _paged(summary: Summary, inputs: Inputs) -> tuple[Summary, dict[str, bytearray]]:
    """The summary that knows of the page, and the page; one that fails costs nobody the lists."""
    if lacks := missing_library():
        problem = f"{lacks} is not installed: pip install 'coordinator[report]'"
        return replace(summary, page_problem=problem), {}
    try:
        page = page_html(inputs)
    except Exception as error:  # of the libraries that draw: anything
        problem = f"it could not be made ({type(error).__name__}: {error})"
        return replace(summary, page_problem=problem), {}
    return replace(summary, files=tuple(sorted((*summary.files, PAGE)))), {PAGE: page}


def _inputs(
    findings: "_Findings",
    tree: Tree,
    folder: Path,
    usages: Sequence[Usage],
    summary: Summary,
    page: PageWish,
) -> Inputs:
    """What the page is made from."""
    return Inputs(
        summary=summary,
        rows=list(findings.rows()),
        record=read_record(tree, folder),
        usages=usages,
        signatures=signatures_of(findings.sorting.reports),
        log_dir=tree.base,
        report_dir=Path(summary.report_dir),
        now=page.now,
        history=page.history,
    )


def read_scores(log_dir: Path, batch: str | None) -> Scores:
    """Item -> metric -> score of the items that succeeded, from the log tree alone.

    Raises:
        BadInput: no such logs, or several batches and none named.
    """
    tree = Tree(log_dir.resolve())
    logs = read_batch(tree, find_batch(tree.base, batch), None)
    scores = scores_of(sort_items(logs).reports)
    return {item: values for item, values in scores.items() if values}


def sort_items(logs: BatchLogs) -> Sorting:
    """The verdict over every item of the run list, and what lies outside it."""
    ids = logs.run_list.ids
    reports = tuple(
        judge(item, logs.attempts.get(item, ()), logs.steps, logs.redone.get(item)) for item in ids
    )
    idle = {report.item for report in reports if report.standing is Standing.NOT_RUN}
    return Sorting(
        reports=reports,
        skipped=tuple(sorted(idle & logs.skipped.keys())),
        outside=tuple(sorted(logs.attempts.keys() - set(ids))),
    )


def _find(tree: Tree, logs: BatchLogs, rules: Rules) -> _Findings:
    sorting = sort_items(logs)
    messages = explain(tree, sorting.reports, rules)
    recorded, sorting = sorting, _as_told(sorting, messages)
    scores = scores_of(sorting.reports)
    means = averages(scores, _scorable(sorting))
    suspicious = suspicions_of(sorting.reports)
    read = _kinds_read(recorded, sorting)
    return _Findings(logs, sorting, messages, scores, means, suspicious, read, tree.base)


def _as_told(sorting: Sorting, messages: Sequence[Message]) -> Sorting:
    """Failures are of the kinds that their last words told; and which were of the store alone."""
    kinds = {message.item: message.kind for message in messages}
    reports = (r.of_kind(kinds[r.item]) if r.item in kinds else r for r in sorting.reports)
    not_stored = tuple(message.item for message in messages if message.not_stored)
    return replace(sorting, reports=tuple(reports), not_stored=not_stored)


def _kinds_read(recorded: Sorting, sorting: Sorting) -> frozenset[FailureKind]:
    """Kinds with items that are of another kind in the records, and kinds that they left."""
    pairs = zip(recorded.reports, sorting.reports, strict=True)
    changed = [(a.kind, b.kind) for a, b in pairs if a.kind is not b.kind]
    return frozenset(kind for pair in changed for kind in pair if kind is not None)


def _scorable(sorting: Sorting) -> list[str]:
    """The items that should have scores in the end: an early exit has nothing to score."""
    return [r.item for r in sorting.reports if r.standing is not Standing.EARLY_EXIT]


def _files(findings: _Findings) -> dict[str, str]:
    """File name -> content, of all but the summary."""
    sorting, scores = findings.sorting, findings.scores
    files = {name: lines_text(items) for name, items in item_lists(sorting).items()}
    files[MESSAGES] = json_text(_by_kind(findings.messages))
    limited = findings.logs.limited
    files[SUMMARY_CSV] = summary_csv(findings.rows(), scores, limited)
    if findings.averages:
        files[SCORES] = scores_csv(scores, findings.averages, limited)
        directions = directions_of(sorting.reports)
        files |= language_files(scores, directions, list(findings.averages), limited)
    if findings.suspicious:
        files[SUSPICIOUS] = suspicious_csv(findings.suspicious, limited)
    return files


def _usage_file(usages: Sequence[Usage], logs: BatchLogs) -> dict[str, str]:
    if not usages:
        return {}
    attempts = (attempt for tries in logs.attempts.values() for attempt in tries)
    return {USAGE: usage_csv(usages, {a.folder.name: a.node for a in attempts})}


def _summary(
    findings: _Findings, tree: Tree, files: list[str], log_dir: str, report_dir: str
) -> Summary:
    sorting, run_list = findings.sorting, findings.logs.run_list
    return Summary(
        batch=findings.logs.batch,
        limited=findings.logs.limited,
        log_dir=log_dir,
        report_dir=report_dir,
        run_list_source=run_list.source,
        run_list_complete=run_list.complete,
        repeated=run_list.repeated,
        counts=_counts(sorting),
        kinds={kind: len(items) for kind, items in sorting.failed.items()},
        progress={progress: len(items) for progress, items in sorting.progress.items()},
        silent=len(sorting.silent),
        not_stored=len(sorting.not_stored),
        skipped=len(sorting.skipped),
        outside=len(sorting.outside),
        groups=grouped(findings.messages),
        notes=tuple(sorted(set(tree.notes), key=lambda note: (note.file, note.problem))),
        files=tuple(sorted(files)),
        averages=findings.averages,
        suspicious={item: found.flags for item, found in findings.suspicious.items()},
        next_commands=next_commands(
            findings.logs.batch,
            sorting.failed,
            findings.read,
            report_dir,
            is_foreign=findings.logs.is_foreign,
        ),
        is_foreign=findings.logs.is_foreign,
        failed=sorting.failed,
    )


def _counts(sorting: Sorting) -> Counts:
    parts = {standing: len(sorting.standing(standing)) for standing in Standing}
    return Counts(run_list=len(sorting.reports), **{str(s): n for s, n in parts.items()})


def _by_kind(messages: list[Message]) -> dict[str, list[object]]:
    found: dict[str, list[object]] = {}
    for kind in FailureKind:
        if members := [m.to_json() for m in messages if m.kind is kind]:
            found[kind] = list(members)
    return found


def read_items(
    log_dir: Path,
    *,
    run_list: Path | None,
    report_dir: Path,
    batch: str | None,
    rules: Rules | None = None,
    on_progress: OnProgress | None = None,
) -> Items:
    """The items of one batch, from the log tree alone; nothing is written.

    Args:
        log_dir: the folder of all logs, or of one batch's.
        run_list: the items that were meant to run; None = the batch's own list, else what is seen.
        report_dir: where a report would be.
        batch: which batch; None where there is only one.
        rules: how the tree is laid out, and what its lines mean; None = our own.
        on_progress: hears how many logs are read.

    Raises:
        BadInput: no such logs, several batches and none named, or a run list that cannot be used.
    """
    tree, _, findings = _read(log_dir, run_list, batch, rules or our_rules(), on_progress)
    return Items(
        summary=_summary(findings, tree, [], str(log_dir), str(report_dir)),
        steps=findings.logs.steps,
        ids=tuple(report.item for report in findings.sorting.reports),
        metrics=tuple(sorted({name for own in findings.scores.values() for name in own})),
        made=findings.rows,
    )


def _read(
    log_dir: Path,
    run_list: Path | None,
    batch: str | None,
    rules: Rules,
    on_progress: OnProgress | None,
) -> tuple[Tree, Path, _Findings]:
    """The tree, the folder of the batch in it, and what its logs come to."""
    given = read_run_list(run_list) if run_list is not None else None
    tree = Tree(log_dir.resolve())
    tree.on_progress = on_progress or tree.on_progress
    folder = find_batch(tree.base, batch)
    return tree, folder, _find(tree, _logs(tree, folder, given, rules), rules)


def _logs(tree: Tree, folder: Path, given: RunList | None, rules: Rules) -> BatchLogs:
    if not rules.layout:
        return read_batch(tree, folder, given)
    if not (folder / rules.driver).is_dir():
        own = (folder / BATCH_FILE).is_file()
        raise BadInput(
            f"the rules do not fit the logs in {folder}",
            why=f"they look for {rules.driver}/ there"
            + ("; these are the coordinator's own logs" if own else ""),
            hint="leave out --rules" if own else "give --log_dir their tree, or other --rules",
        )
    return read_by_rules(tree, folder, given, rules)
