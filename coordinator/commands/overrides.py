"""Options of the inference steps that are given as flags: they hold in place of the pipeline's."""

from collections.abc import Mapping

from pydantic import ValidationError

from coordinator.domain.faults import first_error
from coordinator.domain.job_options import InferenceOptions
from coordinator.errors import UsageError
from coordinator.pipelines import Pipeline


def overridden(pipeline: Pipeline, options: Mapping[str, object]) -> Pipeline:
    """The pipeline with these options in each of its inference steps.

    Raises:
        UsageError: it has no such step, or a value cannot be used.
    """
    if not options:
        return pipeline
    flags = ", ".join(f"--{name} {value}" for name, value in options.items())
    if not pipeline.uses("inference"):
        why = f"no step of pipeline {pipeline.name} runs inference"
        raise UsageError(f"{flags} changes nothing", why=why, hint="leave it out")
    try:
        InferenceOptions.model_validate(options)
    except ValidationError as error:
        hint = "docs/pipeline-format.md says what each option takes"
        raise UsageError(f"{flags} cannot be used", why=first_error(error), hint=hint) from error
    steps = [
        step.model_copy(update={"options": {**step.options, **options}})
        if step.job == "inference"
        else step
        for step in pipeline.steps
    ]
    return pipeline.model_copy(update={"steps": tuple(steps)})
