"""The verb that scores without a batch: score."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter, validators

from coordinator.cli.live import Scoring
from coordinator.cli.options import NO_COMMON, Common
from coordinator.cli.output import Output
from coordinator.cli.verb import add_verb
from coordinator.cli.words import plural
from coordinator.domain.shown import for_terminal
from coordinator.errors import ExitCode

if TYPE_CHECKING:
    from coordinator.scoring import Finished

_SHOWN_SUSPICIOUS = 5
_SHOWN = 20  # problems on a screen


def add_to(app: App) -> None:
    add_verb(app, score)


def score(
    *,
    predictions: Annotated[
        Path,
        Parameter(
            help="folder of <source>-<target>/translations.jsonl, or of .txt or .jsonl files"
        ),
    ],
    references: Annotated[
        Path | None,
        Parameter(help="folder of <language>.txt, or several as <language>.<n>.txt"),
    ] = None,
    metrics: Annotated[
        str,
        Parameter(
            help="names, or a YAML file with the list `metrics`; default bleu,chrf,chrf++",
            show_default=False,
        ),
    ] = "",
    model: Annotated[Path | None, Parameter(help="SentencePiece file of spbleu")] = None,
    output: Annotated[Path, Parameter(help="where scores go; default scores")] = Path("scores"),
    processes: Annotated[
        int | None,
        Parameter(
            help="at a time; default as many as there are cores", validator=validators.Number(gte=1)
        ),
    ] = None,
    expected: Annotated[
        Path | None, Parameter(help="file of the items that there should be; default those found")
    ] = None,
    all_pairs: Annotated[
        bool, Parameter(help="expect every pair of the references' languages", negative="")
    ] = False,
    sources: Annotated[
        Path | None, Parameter(help="folder of <language>.txt, to look for copies of the source")
    ] = None,
    prepared: Annotated[
        Path | None,
        Parameter(help="keep prepared references here for other scorings; default in the output"),
    ] = None,
    languages: Annotated[
        Path | None, Parameter(help="table of languages and their groups, in place of the shipped")
    ] = None,
    tags: Annotated[
        Path | None,
        Parameter(help="file with each sentence's tags, tabs between them: scores by tag too"),
    ] = None,
    sentence_scores: Annotated[
        bool, Parameter(help="score each sentence by itself too", negative="")
    ] = False,
    registry: Annotated[
        Path | None, Parameter(help="YAML file of tasks, with their datasets and metrics")
    ] = None,
    task: Annotated[
        str, Parameter(help="the task of the registry to score", show_default=False)
    ] = "",
    common: Common = NO_COMMON,
) -> int:
    """Score translations that are stored already. No batch, cluster or ledger is needed.

    Killed or interrupted, the same command goes on where it was. What is expected and missing
    makes its averages incomplete.

    Examples:
    coordinator score --predictions outputs/my-other-batch --references references
    --metrics bleu,chrf++

    coordinator score --predictions outputs/my-other-batch --references references
    --processes 2 --json

    coordinator score --registry inputs/tasks.yml --task phrasebook
    --predictions inputs/tasks/predictions
    """
    from coordinator.commands.score import ScoreRequest  # no other verb needs what it imports
    from coordinator.commands.score import score as score_stored

    output_lines = Output(as_json=common.json)
    request = ScoreRequest(
        predictions=predictions,
        references=references,
        metrics=metrics,
        output=output,
        processes=processes or len(os.sched_getaffinity(0)),
        model=model,
        expected=expected,
        all_pairs=all_pairs,
        sources=sources,
        prepared=prepared,
        tags=tags,
        sentence_scores=sentence_scores,
        languages=languages,
        registry=registry,
        task=task,
    )
    with Scoring(output_lines) as display:
        found = score_stored(request, display.on_progress)
    output_lines.result({"scoring": _document(found)}, *_lines(found))
    return ExitCode.SOME_FAILED if found.summary.problems else ExitCode.OK


def _document(found: "Finished") -> dict[str, Any]:
    summary = found.summary
    return {
        "output": str(found.output),
        "expected": len(summary.expected),
        "scored": len(summary.scores),
        "scored_before": found.known,
        "averages": {
            metric: {"average": mean.value, "scored": mean.present, "expected": mean.expected}
            for metric, mean in summary.averages.items()
        },
        "signatures": dict(summary.signatures),
        "suspicious": {item: signs.flags for item, signs in summary.suspicious.items()},
        "problems": [vars(problem) for problem in summary.problems],
    }


def _lines(found: "Finished") -> Iterator[str]:
    summary = found.summary
    known = f", {found.known:,} of them before" if found.known else ""
    of_all = f"{len(summary.scores):,} of {plural(len(summary.expected), 'direction')}"
    yield f"{of_all} scored{known}"
    for metric, mean in summary.averages.items():
        shown = f"{mean.value:.2f}" if mean.value is not None else str(mean)
        yield f"  {metric:<10} {shown}  {for_terminal(summary.signatures[metric])}".rstrip()
    if summary.suspicious:
        yield f"  ! suspicious: {plural(len(summary.suspicious), 'direction')}"
    for item, signs in list(summary.suspicious.items())[:_SHOWN_SUSPICIOUS]:
        yield f"    {for_terminal(item)}: {for_terminal('; '.join(signs.flags))}"
    for problem in summary.problems[:_SHOWN]:
        yield f"  not scored: {for_terminal(str(problem))}"
    if (more := len(summary.problems) - _SHOWN) > 0:
        yield f"  ... and {more:,} more: summary/problems.csv"
    yield f"  in {for_terminal(str(found.output))}: items/, summary/"
