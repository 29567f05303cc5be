"""`score`: scores from stored predictions."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from coordinator.errors import BadInput, UsageError
from coordinator.metrics import (
    DEFAULT_METRICS,
    LanguageTable,
    MetricSpec,
    parse_metrics,
    read_languages,
)
from coordinator.scoring import (
    Finished,
    Plan,
    Setup,
    plan_task,
    read_registry,
    read_tags,
    score_predictions,
)
from coordinator.scoring.plan import plan
from coordinator.settings import read_yaml

PREPARED = ".prepared"
_LISTS = (".yml", ".yaml")
_MODEL_KIND = "spbleu"
_Metrics = tuple[MetricSpec, ...]


@dataclass(frozen=True)
class ScoreRequest:
    """What is to be scored, and how.

    Attributes:
        references: folder of references; None with a task, which has its own.
        metrics: names, separated by commas, or the path of a YAML file with the list `metrics`;
            "" = the default ones, or the task's.
        model: the SentencePiece file of those metrics that were only named and need one.
        expected: a file with the items that there should be.
        sources: folder of source texts, to look for copies of them.
        prepared: folder of prepared references; None = in the output folder.
        languages: a table of languages in place of the shipped one.
        tags: a file with the tags of each sentence, for scores by tag.
        sentence_scores: whether those are wanted.
        registry: a YAML file of tasks.
        task: the one of them that is scored.
    """

    predictions: Path
    references: Path | None
    metrics: str
    output: Path
    processes: int
    model: Path | None = None
    expected: Path | None = None
    all_pairs: bool = False
    sources: Path | None = None
    prepared: Path | None = None
    languages: Path | None = None
    tags: Path | None = None
    sentence_scores: bool = False
    registry: Path | None = None
    task: str = ""


def score(
    request: ScoreRequest, on_progress: Callable[[int, int], None] = lambda done, total: None
) -> Finished:
    """Score all that the folders hold; see `score_predictions`.

    Raises:
        BadInput: a folder, a list or a metric cannot be used, or nothing can be scored.
        UsageError: flags that do not go together, or an output that cannot be written.
    """
    if request.expected and request.all_pairs:
        raise UsageError("--expected and --all-pairs each say what is expected", hint="give one")
    if request.tags:
        read_tags(request.tags)  # before anything is begun
    table = read_languages(request.languages) if request.languages else read_languages()
    made = _of_task(request) if request.task or request.registry else _of_folders(request, table)
    planned, metrics = made
    prepared = request.prepared or request.output / PREPARED
    setup = Setup(metrics, request.output, prepared, request.tags, request.sentence_scores)
    return score_predictions(
        planned, setup, table, processes=request.processes, on_progress=on_progress
    )


def _of_folders(request: ScoreRequest, table: LanguageTable) -> tuple[Plan, _Metrics]:
    if request.references is None:
        raise UsageError("nothing to compare with", hint="give --references, or --task")
    metrics = read_metrics(request.metrics or ",".join(DEFAULT_METRICS), request.model)
    planned = plan(
        request.predictions,
        request.references,
        expected=request.expected,
        all_pairs=request.all_pairs,
        sources=request.sources,
        known=table.codes,
    )
    return planned, metrics


def _of_task(request: ScoreRequest) -> tuple[Plan, _Metrics]:
    if request.registry is None or not request.task:
        raise UsageError("--task and --registry go together", hint="give both")
    others = {
        "--references": request.references, "--metrics": request.metrics,
        "--model": request.model, "--expected": request.expected,
        "--all-pairs": request.all_pairs, "--sources": request.sources, "--tags": request.tags,
    }  # fmt: skip
    if given := [flag for flag, value in others.items() if value]:
        raise UsageError(f"--task with {', '.join(given)}", hint="the registry says what they say")
    task = read_registry(request.registry).task(request.task)
    return plan_task(task, request.predictions, request.output), task.metrics


def read_metrics(text: str, model: Path | None) -> tuple[MetricSpec, ...]:
    """The metrics that `--metrics` and `--model` name.

    Raises:
        BadInput: the file or its list cannot be used, or an unknown metric.
        UsageError: a model that no metric needs.
    """
    if text.endswith(_LISTS):
        return _listed(Path(text), model)
    names = [name.strip() for name in text.split(",") if name.strip()]
    if model is not None and _MODEL_KIND not in names:
        raise UsageError(f"--model is for {_MODEL_KIND}", hint=f"add {_MODEL_KIND} to --metrics")
    if model is None and _MODEL_KIND in names:
        raise UsageError(
            f"{_MODEL_KIND} needs a SentencePiece file", hint="give --model FILE.model"
        )
    with_model = {"name": _MODEL_KIND, "model": str(model)}
    entries = [with_model if name == _MODEL_KIND else name for name in names]
    return parse_metrics(entries, where="--metrics")


def _listed(path: Path, model: Path | None) -> tuple[MetricSpec, ...]:
    """Paths of models in the file start at its folder."""
    if model is not None:
        raise UsageError(f"--model, but the metrics are in {path}", hint="name the model there")
    document = read_yaml(path)
    if set(document.data) != {"metrics"}:
        raise BadInput(f"{path} holds something else than `metrics`", hint="metrics: [bleu, chrf]")
    entries = document.data["metrics"]
    return parse_metrics(entries, where=document.where(("metrics",)), base=path.parent)
