"""Reports from the log tree alone: no ledger, no cluster, no network."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from coordinator.domain.states import FailureKind
from coordinator.metrics import Average, averages
from coordinator.reports.batches import find_batch
from coordinator.reports.directions import directions_of, language_files
from coordinator.reports.explain import Message, explain
from coordinator.reports.files import json_text, lines_text, write_report
from coordinator.reports.groups import grouped
from coordinator.reports.history import Standing, judge
from coordinator.reports.lists import (
    MESSAGES,
    SCORES,
    SUMMARY_CSV,
    SUMMARY_JSON,
    SUSPICIOUS,
    USAGE,
    Sorting,
    item_lists,
)
from coordinator.reports.reading import BatchLogs, limited_by_record, read_batch
from coordinator.reports.resources import usage_csv, usages_of
from coordinator.reports.run_list import read_run_list
from coordinator.reports.summary import Counts, Summary, next_commands
from coordinator.reports.suspicious import Suspicions, suspicions_of, suspicious_csv
from coordinator.reports.tables import Scores, scores_csv, scores_of, summary_csv
from coordinator.reports.tree import Tree


@dataclass(frozen=True)
class _Findings:
    """What the logs come to."""

    logs: BatchLogs
    sorting: Sorting
    messages: list[Message]
    scores: Scores
    averages: Mapping[str, Average]
    suspicious: Suspicions


def local_reports(
    log_dir: Path, *, run_list: Path | None, report_dir: Path, batch: str | None
) -> Summary:
    """Read the logs of one batch and write its report.

    Args:
        log_dir: the folder of all logs, or of one batch's.
        run_list: the items that were meant to run; None = the batch's own list, else what is seen.
        report_dir: where the lists and tables go; made if need be.
        batch: which batch; None where there is only one.

    Raises:
        BadInput: no such logs, several batches and none named, or a run list that cannot be used.
        UsageError: the report cannot be written.
    """
    given = read_run_list(run_list) if run_list is not None else None
    tree = Tree(log_dir.resolve())
    folder = find_batch(tree.base, batch)
    findings = _find(tree, read_batch(tree, folder, given))
    files = {**_files(findings), **_usage_file(tree, folder, findings.logs)}
    summary = _summary(findings, tree, [*files, SUMMARY_JSON], str(log_dir), str(report_dir))
    write_report(report_dir, {**files, SUMMARY_JSON: json_text(summary.to_json())})
    return summary


def read_scores(log_dir: Path, batch: str | None) -> Scores:
    """Item -> metric -> score of the items that succeeded, from the log tree alone.

    Raises:
        BadInput: no such logs, or several batches and none named.
    """
    tree = Tree(log_dir.resolve())
    logs = read_batch(tree, find_batch(tree.base, batch), None)
    scores = scores_of(sort_items(logs).reports)
    return {item: values for item, values in scores.items() if values}


def read_limited(log_dir: Path, batch: str | None) -> str:
    """What its own record says was left out of a batch; "" = nothing. Raises as `read_scores`."""
    tree = Tree(log_dir.resolve())
    return limited_by_record(tree, find_batch(tree.base, batch))


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


def _find(tree: Tree, logs: BatchLogs) -> _Findings:
    sorting = sort_items(logs)
    scores = scores_of(sorting.reports)
    messages = explain(tree, sorting.reports)
    means = averages(scores, _scorable(sorting))
    return _Findings(logs, sorting, messages, scores, means, suspicions_of(sorting.reports))


def _scorable(sorting: Sorting) -> list[str]:
    """The items that should have scores in the end: an early exit has nothing to score."""
    return [r.item for r in sorting.reports if r.standing is not Standing.EARLY_EXIT]


def _files(findings: _Findings) -> dict[str, str]:
    """File name -> content, of all but the summary."""
    sorting, scores = findings.sorting, findings.scores
    by_item = {message.item: message for message in findings.messages}
    files = {name: lines_text(items) for name, items in item_lists(sorting).items()}
    files[MESSAGES] = json_text(_by_kind(findings.messages))
    limited, skipped = findings.logs.limited, findings.logs.skipped
    files[SUMMARY_CSV] = summary_csv(sorting.reports, by_item, skipped, scores, limited)
    if findings.averages:
        files[SCORES] = scores_csv(scores, findings.averages, limited)
        directions = directions_of(sorting.reports)
        files |= language_files(scores, directions, list(findings.averages), limited)
    if findings.suspicious:
        files[SUSPICIOUS] = suspicious_csv(findings.suspicious, limited)
    return files


def _usage_file(tree: Tree, folder: Path, logs: BatchLogs) -> dict[str, str]:
    usages = usages_of(tree, folder)
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
        silent=len(sorting.silent),
        skipped=len(sorting.skipped),
        outside=len(sorting.outside),
        groups=grouped(findings.messages),
        notes=tuple(sorted(set(tree.notes), key=lambda note: (note.file, note.problem))),
        files=tuple(sorted(files)),
        averages=findings.averages,
        suspicious={item: found.flags for item, found in findings.suspicious.items()},
        next_commands=next_commands(findings.logs.batch, sorting.failed),
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
