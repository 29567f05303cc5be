"""The pipeline file, checked as a whole before anything is dispatched."""

from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from coordinator.domain.job_options import JOB_OPTIONS, ScoringOptions
from coordinator.errors import BadInput, PipelineError, Problem
from coordinator.metrics import parse_metrics
from coordinator.pipelines.pipeline import NomadPart, Pipeline, Step, all_keys
from coordinator.settings import YamlDocument, problems_of, read_yaml


def read_pipeline(path: Path) -> Pipeline:
    """The pipeline in the YAML file at `path`.

    Raises:
        PipelineError: every fault, each with its line.
    """
    try:
        document = read_yaml(path)
    except BadInput as error:
        raise PipelineError(error.what, why=error.why, hint=error.hint) from error
    try:
        pipeline = Pipeline.model_validate(document.data)
    except ValidationError as error:
        raise _refused(path, problems_of(error, document, all_keys())) from error
    problems = list(_option_problems(pipeline, document))
    steps = [_with_metrics(step, document, i, problems) for i, step in enumerate(pipeline.steps)]
    if problems:
        raise _refused(path, problems)
    return _with_absolute_paths(pipeline.model_copy(update={"steps": tuple(steps)}), path)


def _with_absolute_paths(pipeline: Pipeline, file: Path) -> Pipeline:
    """The pipeline with the files and the folder that it names taken from its own folder."""
    base = file.absolute().parent
    root = pipeline.output_root
    if root and "://" not in root:
        root = str(base / root)
    steps = [s.model_copy(update={"nomad": _rooted(s.nomad, base)}) for s in pipeline.steps]
    changes = {
        "output_root": root,
        "nomad": _rooted(pipeline.nomad, base),
        "steps": tuple(steps),
    }
    return pipeline.model_copy(update=changes)


def _rooted(part: NomadPart, base: Path) -> NomadPart:
    paths = {"job_file": part.job_file, "vars": part.vars}
    return part.model_copy(
        update={name: base / path for name, path in paths.items() if isinstance(path, Path)}
    )


def _with_metrics(step: Step, document: YamlDocument, index: int, problems: list[Problem]) -> Step:
    """The step with its metrics written out, and the files they name as absolute paths."""
    if step.job != "scoring" or problems:
        return step
    where = document.where(("steps", index, "options", "metrics"))
    base = Path(document.name).absolute().parent
    try:
        wanted = ScoringOptions.model_validate(step.options).metrics
        metrics = parse_metrics(wanted, where=where, base=base)
    except BadInput as error:
        problems += error.problems or [Problem(where, str(error))]
        return step
    written = {**step.options, "metrics": [metric.to_option() for metric in metrics]}
    return step.model_copy(update={"options": written})


def _option_problems(pipeline: Pipeline, document: YamlDocument) -> Iterator[Problem]:
    for index, step in enumerate(pipeline.steps):
        try:
            JOB_OPTIONS[step.job].model_validate(step.options)
        except ValidationError as error:
            inner = document.below(("steps", index, "options"))
            yield from problems_of(error, inner, JOB_OPTIONS[step.job].model_fields)


def _refused(path: Path, problems: list[Problem]) -> PipelineError:
    return PipelineError(
        f"pipeline {path} cannot be used",
        problems=problems,
        hint="docs/pipeline-format.md lists every key",
    )
