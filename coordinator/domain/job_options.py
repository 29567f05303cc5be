"""The options of the three kinds of job, as a pipeline file gives and a worker takes them."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from coordinator.domain.endpoint import TRANSLATE

ComputeType = Literal["float32", "float16", "bfloat16", "int8", "int8_float16", "int8_bfloat16"]


class _Options(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class InferenceOptions(_Options):
    """A model translates the sentences of asset `source`."""

    batch_size: int | None = Field(default=None, ge=1)  # sentences at most; None = no such limit
    max_batch_tokens: int | None = Field(default=None, ge=1)  # padding included; None = measured
    sentence_timeout: float = Field(default=120.0, gt=0, allow_inf_nan=False)  # seconds
    load_timeout: float = Field(default=1800.0, gt=0, allow_inf_nan=False)  # seconds
    processes: int | None = Field(default=None, ge=1)  # None = one a GPU, else one
    device: Literal["cpu", "cuda"] | None = None  # None = cuda when there
    task: str = TRANSLATE  # which prompt of an endpoint; other models have no choice
    beams: int = Field(default=1, ge=1, le=64)  # of the search; 1 = greedy
    compute_type: ComputeType | None = None  # of CTranslate2; None = float32, halves on a GPU


class ScoringOptions(_Options):
    """Metrics over translations and references; see `coordinator.metrics`."""

    metrics: list[str | dict[str, Any]] = ["bleu", "chrf", "chrf++"]
    prepared: str | None = None  # a folder of the node that keeps prepared references


class CommandOptions(_Options):
    """A program runs once per item, without a shell.

    In each argument `{item}`, `{out}`, `{input.NAME}` and `{property.NAME}` are replaced.
    """

    command: list[str] = Field(min_length=1)
    no_data_exit_code: int | None = None


JOB_OPTIONS: dict[str, type[_Options]] = {
    "inference": InferenceOptions,
    "scoring": ScoringOptions,
    "command": CommandOptions,
}
