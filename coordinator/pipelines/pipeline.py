"""A pipeline: ordered steps, each with the job it dispatches and what it needs and leaves."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from coordinator.domain.job_options import JOB_OPTIONS
from coordinator.domain.names import batch_name_problem, file_name_problem, step_name_problem
from coordinator.domain.states import FailureKind as Kind

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h|)")
_SECONDS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RetryRule(_Part):
    """How often an item may fail in this way at this step."""

    attempts: int = Field(ge=1, le=20)  # in all, the first one included
    wait_seconds: float = Field(default=0.0, ge=0, allow_inf_nan=False)


DEFAULT_RETRIES: dict[Kind, RetryRule] = {
    Kind.INFRASTRUCTURE: RetryRule(attempts=3),
    Kind.LOST: RetryRule(attempts=3),
    Kind.OUT_OF_MEMORY: RetryRule(attempts=2),
    Kind.TIMEOUT: RetryRule(attempts=2),
    Kind.UNKNOWN: RetryRule(attempts=2),
}
ONCE = RetryRule(attempts=1)


def default_retry(kind: Kind) -> RetryRule:
    """What holds where a step says nothing else."""
    return DEFAULT_RETRIES.get(kind, ONCE)


class PackPolicy(_Part):
    """How many items share one dispatch."""

    size: int = Field(default=16, ge=1)  # items at most
    sort_by: str = ""  # a property: items alike in it come to stand together
    at_once: int | None = Field(default=None, ge=1)  # dispatches out at a time; None = any number


class StepResources(_Part):
    """What one dispatch asks for; several memory sizes are tried in turn after out_of_memory."""

    cpu: int = Field(default=1, ge=1)  # cores
    memory_mb: Annotated[
        tuple[Annotated[int, Field(ge=1)], ...],
        BeforeValidator(lambda v: v if isinstance(v, list | tuple) else [v]),
        Field(min_length=1),
    ] = (1024,)
    gpus: int = Field(default=0, ge=0)

    @field_validator("memory_mb")
    @classmethod
    def _memory_grows(cls, sizes: tuple[int, ...]) -> tuple[int, ...]:
        if list(sizes) != sorted(set(sizes)):
            raise ValueError("each memory size must be larger than the one before: they grow")
        return sizes


_VARIABLE = r"[A-Za-z_][A-Za-z0-9_-]*"
_Variable = str | bool | int | float | list[str] | dict[str, str]


class NomadPart(_Part):
    """Where and as what the jobs run on Nomad; what is not given is the coordinator's own."""

    region: str = ""
    namespace: str = ""
    node_pool: str = ""
    datacenters: tuple[str, ...] = ()
    job_file: Path | None = None  # in place of the one that is shipped for the job
    vars: Path | dict[Annotated[str, Field(pattern=f"^{_VARIABLE}$")], _Variable] | None = None

    def over(self, other: "NomadPart") -> "NomadPart":
        """What is given here, and the rest from `other`."""
        return other.model_copy(update={name: getattr(self, name) for name in self.given})

    @property
    def given(self) -> set[str]:
        return {name for name, value in self if value not in ("", (), None)}


def _duration(value: Any) -> Any:
    """Seconds, from a number or from `90s`, `30m`, `6h`."""
    found = _DURATION.fullmatch(str(value).strip())
    if not found:
        raise ValueError("a duration is a number with s, m or h, for example 30m")
    return float(found[1]) * _SECONDS[found[2]]


class Step(_Part):
    """One step. `time_limit` is per item; a pack has the sum of its items' limits."""

    name: str
    job: Literal["inference", "scoring", "command"]
    inputs: dict[str, str] = Field(default_factory=dict)  # name -> asset/NAME or STEP/FILE
    outputs: tuple[str, ...] = ()
    options: dict[str, Any] = Field(default_factory=dict)
    pack: PackPolicy = PackPolicy()
    resources: StepResources = StepResources()
    time_limit: Annotated[float, BeforeValidator(_duration), Field(gt=0, allow_inf_nan=False)] = (
        3600.0  # seconds
    )
    retry: dict[Kind, RetryRule] = Field(default_factory=dict)
    nomad: NomadPart = NomadPart()

    @field_validator("name")
    @classmethod
    def _name_is_safe(cls, name: str) -> str:
        if problem := step_name_problem(name):
            raise ValueError(f"step name {name!r}: {problem}")
        return name

    @field_validator("outputs")
    @classmethod
    def _outputs_are_names(cls, outputs: tuple[str, ...]) -> tuple[str, ...]:
        for name in outputs:
            if problem := file_name_problem(name):
                raise ValueError(f"output {name!r}: {problem}")
        return outputs

    def retry_rule(self, kind: Kind) -> RetryRule:
        return self.retry.get(kind) or default_retry(kind)


class Pipeline(_Part):
    """The whole file."""

    name: str
    description: str = ""
    properties: tuple[str, ...] = ()  # that each item must have
    aligned: tuple[tuple[str, str], ...] = ()  # pairs of assets with equal line counts
    output_root: str = ""  # in place of the coordinator's own
    nomad: NomadPart = NomadPart()  # of the steps that do not say otherwise
    steps: tuple[Step, ...]

    @field_validator("steps")
    @classmethod
    def _some_steps(cls, steps: tuple[Step, ...]) -> tuple[Step, ...]:
        if not steps:
            raise ValueError("a pipeline has at least one step")
        return steps

    @field_validator("name")
    @classmethod
    def _name_is_safe(cls, name: str) -> str:
        if problem := batch_name_problem(name):
            raise ValueError(f"pipeline name {name!r}: {problem}")
        return name

    @model_validator(mode="after")
    def _steps_fit_together(self) -> Self:
        faults = [*_names_again(self.steps), *_bad_references(self.steps)]
        if faults:
            details = [_detail(path, why) for path, why in faults]
            raise ValidationError.from_exception_data("Pipeline", details)
        return self

    @property
    def assets(self) -> frozenset[str]:
        """The assets that some step reads."""
        references = (r for step in self.steps for r in step.inputs.values())
        return frozenset(r.removeprefix("asset/") for r in references if r.startswith("asset/"))

    @property
    def texts(self) -> frozenset[str]:
        """The assets of one sentence a line, as far as the steps and `aligned` tell."""
        known = [name for pair in self.aligned for name in pair]
        read = [
            step.inputs.get(name, "") for step in self.steps for name in _TEXTS.get(step.job, ())
        ]
        known += [r.removeprefix("asset/") for r in read if r.startswith("asset/")]
        return frozenset(known)

    def nomad_of(self, step: Step) -> NomadPart:
        """Where and as what the step's jobs run on Nomad."""
        return step.nomad.over(self.nomad)

    def uses(self, job: str) -> bool:
        return any(step.job == job for step in self.steps)


_TEXTS = {"inference": ("source",), "scoring": ("translations", "reference", "source")}
_Fault = tuple[tuple[str | int, ...], str]  # where in the file, and what is wrong there


def _detail(path: tuple[str | int, ...], why: str) -> InitErrorDetails:
    fault = PydanticCustomError("fit", "{why}", {"why": why})
    return InitErrorDetails(type=fault, loc=path, input=None)


def _names_again(steps: tuple[Step, ...]) -> Iterator[_Fault]:
    """What clashes in an item's folder, where all is published and each step has a folder too."""
    names = [step.name for step in steps]
    left: set[str] = set()
    for index, step in enumerate(steps):
        if step.name in names[:index]:
            yield ("steps", index, "name"), f"two steps are called {step.name!r}"
        for number, output in enumerate(step.outputs):
            where = ("steps", index, "outputs", number)
            if output in left:
                yield where, f"output {output!r} would replace the other of this name"
            if output in names:
                yield where, f"output {output!r} is called like a step"
            left.add(output)


def _bad_references(steps: tuple[Step, ...]) -> Iterator[_Fault]:
    known: dict[str, Step] = {}
    for index, step in enumerate(steps):
        for name, reference in step.inputs.items():
            if problem := _reference_problem(reference, known):
                yield ("steps", index, "inputs", name), f"input {reference!r} {problem}"
        known.setdefault(step.name, step)


def _reference_problem(reference: str, known: dict[str, Step]) -> str:
    origin, _, name = reference.partition("/")
    if origin == "asset" and name:
        return ""
    if origin not in known:
        return "is neither asset/NAME nor a file of an earlier step"
    if name not in known[origin].outputs:
        left = ", ".join(known[origin].outputs) or "nothing"
        return f"is no such output of step {origin!r}, which leaves {left}"
    return ""


def all_keys() -> set[str]:
    """Every key that a pipeline file may hold, for suggestions."""
    parts: list[type[BaseModel]] = [Pipeline, Step, PackPolicy, StepResources, RetryRule, NomadPart]
    parts += JOB_OPTIONS.values()
    return {name for part in parts for name in part.model_fields} | {str(k) for k in Kind}
