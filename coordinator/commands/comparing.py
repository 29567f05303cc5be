"""`compare`: two batches side by side."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from coordinator.clock import Clock
from coordinator.commands.batch_logs import known_record
from coordinator.commands.remote_logs import logs_at_hand
from coordinator.commands.significance import Examined, Progress, examine, outputs_of
from coordinator.errors import BadInput
from coordinator.metrics import read_languages
from coordinator.reports.compare import ComparisonRow, compare_scores
from coordinator.reports.comparison.changes import changes_of
from coordinator.reports.comparison.facts import (
    BatchFacts,
    directions_of_both,
    read_facts,
    signatures_of_both,
)
from coordinator.reports.comparison.groups import GroupDifference, group_differences
from coordinator.reports.comparison.legend import Legend, legend_of
from coordinator.reports.comparison.result import Comparison, PairedTests
from coordinator.reports.tables import Scores
from coordinator.settings import Settings

Choice = Literal["bootstrap", "randomization", "none"]


def compare(
    settings: Settings,
    a: str,
    b: str,
    clock: Clock,
    on_progress: Progress,
    *,
    test: Choice | None = None,
    samples: int | None = None,
) -> Comparison:
    """Compare two batches, item by item.

    Args:
        settings: where logs and ledgers are.
        a: the name of one.
        b: that of the other.
        clock: for opening the ledgers.
        on_progress: is told how far it is.
        test: of each item's difference; None = the bootstrap, where the ledgers are here.
        samples: resamples or trials of each test; None = sacrebleu's defaults.

    Raises:
        BadInput: a batch without logs, or without scores; or a test was asked for that cannot be.
    """
    with logs_at_hand(settings.log_dir, on_progress, [a, b]) as logs:
        facts = [_facts(settings, name, clock, logs, on_progress) for name in (a, b)]
    common = sorted(facts[0].scores.keys() & facts[1].scores.keys())
    seen, unknown = _seen(settings, facts, clock, common, test, samples, on_progress)
    legend = legend_of({**dict(signatures_of_both(*facts)), **seen.signatures}.items())
    scores = [_alike(each.scores, legend) for each in facts]
    rows = compare_scores(*scores)
    return Comparison(
        a=facts[0],
        b=facts[1],
        rows=rows,
        legend=legend,
        tests=seen.tests,
        groups=tuple(_groups(rows, scores, facts, seen.tests)),
        changes=changes_of(facts[0].states, facts[1].states),
        other_references=seen.other_references,
        unknown=unknown,
    )


def _facts(
    settings: Settings, batch: str, clock: Clock, logs: Path, on_progress: Progress
) -> BatchFacts:
    known = known_record(settings, batch, clock)
    found = read_facts(Path(known.log_dir) if known else logs, batch, on_progress)
    if not found.scores:
        raise BadInput(
            f"batch {batch} has no scores",
            hint=f"coordinator status {batch} says how far it is",
        )
    return found


def _seen(
    settings: Settings,
    facts: Sequence[BatchFacts],
    clock: Clock,
    common: Sequence[str],
    test: Choice | None,
    samples: int | None,
    on_progress: Progress,
) -> tuple[Examined, str]:
    """What the stored files say; or nothing, and why."""
    try:
        outputs = [outputs_of(settings, each.batch, clock) for each in facts]
    except BadInput as error:
        if test in ("bootstrap", "randomization"):
            raise
        return Examined({}, None), error.what
    method = None if test == "none" else test or "bootstrap"
    found = examine((outputs[0], outputs[1]), common, method, on_progress, samples=samples)
    return found, ""


def _alike(scores: Scores, legend: Sequence[Legend]) -> Scores:
    """The scores without those that were made with other settings in the other batch."""
    unlike = {(item, entry.metric) for entry in legend for item in entry.unlike}
    if not unlike:
        return scores
    return {
        item: {metric: score for metric, score in own.items() if (item, metric) not in unlike}
        for item, own in scores.items()
    }


def _groups(
    rows: Sequence[ComparisonRow],
    scores: Sequence[Scores],
    facts: Sequence[BatchFacts],
    tests: PairedTests | None,
) -> list[GroupDifference]:
    table, directions = read_languages(), directions_of_both(*facts)
    found: list[GroupDifference] = []
    for row in rows:
        verdicts: Mapping[str, str] = tests.verdicts(row.metric) if tests else {}
        pairs = _pairs(row.metric, *scores)
        found += group_differences(row.metric, pairs, directions, verdicts, table)
    return found


def _pairs(metric: str, a: Scores, b: Scores) -> dict[str, tuple[float, float]]:
    return {
        item: (own[metric], b[item][metric])
        for item, own in a.items()
        if metric in own and metric in b.get(item, {})
    }
