"""A batch as the engine drives it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from coordinator.cluster import Resources
from coordinator.domain.limits import Limits
from coordinator.domain.manifest import Manifest
from coordinator.domain.names import JobName, unit_of_item, unit_of_pack
from coordinator.domain.paths import BatchKeys, LogTree
from coordinator.domain.reach import Reach
from coordinator.engine.throttle import Thresholds
from coordinator.ledger import Attempt, Dispatch
from coordinator.pipelines import Pipeline, Step


@dataclass(frozen=True)
class Batch:
    """What was asked for, and where it lies."""

    name: str
    pipeline: Pipeline
    model: str
    thresholds: Thresholds
    logs: LogTree
    wait_seconds: float = 0.0  # between dispatches
    max_same_failure: int = 0  # dispatches that fail the same way in a row; 0 = any number
    keep_jobs: bool = True  # whether the cluster remembers jobs that are home
    reach: Reach = field(default_factory=Reach)  # which servers its jobs may ask
    manifest: Manifest | None = None  # what the model's files must be; None = nobody knows
    trust_model_code: bool = False  # whether a handler may come from a bucket
    monitoring_interval: float = 0.0  # seconds between two looks at a job; 0 = none
    limits: Limits = field(default_factory=Limits)  # what is left out, for a quick try
    canaries: int = 0  # items, the first of the list, that have to succeed before any other starts

    @property
    def keys(self) -> BatchKeys:
        return BatchKeys(self.name)

    @property
    def step_names(self) -> tuple[str, ...]:
        return tuple(step.name for step in self.pipeline.steps)

    def step(self, dispatch: Dispatch) -> Step:
        return self.pipeline.steps[dispatch.step]

    def job_name(self, attempts: Sequence[Attempt], number: int) -> str:
        """The name of the dispatch `number` of these attempts."""
        step, first = self.pipeline.steps[attempts[0].step].name, attempts[0]
        if len(attempts) == 1:
            return str(JobName(self.name, unit_of_item(step, first.item.id), first.number))
        return str(JobName(self.name, unit_of_pack(step, number), 1))

    def resources(self, dispatch: Dispatch) -> Resources:
        asked = self.step(dispatch).resources
        memory = asked.memory_mb[min(dispatch.memory_step, len(asked.memory_mb) - 1)]
        return Resources(asked.cpu, memory, asked.gpus)
