"""The job of a handoff, by name. Each is imported only where it is needed."""

from collections.abc import Callable

from coordinator.domain.handoff import Handoff
from coordinator.domain.work import Job, PackJob
from coordinator.errors import BadInput


def make_job(handoff: Handoff, stopped: Callable[[], bool] = lambda: False) -> Job | PackJob:
    """Load what the whole dispatch shares.

    Raises:
        BadInput: no such job.
        ModelError, MemoryError, TimeoutError: the model cannot be loaded.
        WorkInterrupted: `stopped()` became true while it was loaded.
    """
    match handoff.job:
        case "inference":
            from coordinator.workers.inference import InferenceJob

            return InferenceJob(handoff, stopped)
        case "scoring":
            from coordinator.scoring import ScoringJob

            return ScoringJob(handoff)
        case "command":
            from coordinator.workers.command import CommandJob

            return CommandJob(handoff)
    raise BadInput(
        f"this worker has no job {handoff.job!r}", hint="use a worker of the same version"
    )
