"""What follows from the end of an attempt: the next step, another try, or the end of its item."""

from collections.abc import Mapping

from coordinator.domain.cost import MOST
from coordinator.domain.items import WorkItem
from coordinator.domain.states import AttemptState as S
from coordinator.domain.states import FailureKind, ItemState
from coordinator.domain.verdicts import Verdict
from coordinator.ledger import Attempt, Finish, NextStep, Retry, Sequel
from coordinator.pipelines import Pipeline, Step


def sequel_of(
    attempt: Attempt, verdict: Verdict, failures: Mapping[str, int], pipeline: Pipeline
) -> Sequel:
    """What follows. `failures`: kind -> how often the item failed so here before this attempt."""
    match verdict.state:
        case S.SUCCEEDED:
            return _after_success(attempt, pipeline)
        case S.NO_DATA:
            return Finish(ItemState.NO_DATA)
        case S.RETURNED:
            return Retry(memory_step=attempt.memory_step)
        case S.STOPPED:
            return Finish(ItemState.STOPPED, FailureKind.STOPPED)
        case _:
            kind = verdict.kind or FailureKind.UNKNOWN
            return _after_failure(attempt, kind, failures, pipeline.steps[attempt.step])


def sort_key(item: WorkItem, step: Step) -> str:
    """What items of a step are ordered by before the item list's own order.

    That is the property that the step names, or else their size: items that cost twice as much and
    more go first, so that no long one is left for the end.
    """
    if step.pack.sort_by:
        return str(item.properties.get(step.pack.sort_by, ""))
    return f"{MOST.bit_length() - item.cost.bit_length():02}"


def _after_success(attempt: Attempt, pipeline: Pipeline) -> Sequel:
    following = attempt.step + 1
    if following == len(pipeline.steps):
        return Finish(ItemState.SUCCEEDED)
    return NextStep(sort_key(attempt.item, pipeline.steps[following]))


def _after_failure(
    attempt: Attempt, kind: FailureKind, failures: Mapping[str, int], step: Step
) -> Sequel:
    rule = step.retry_rule(kind)
    if failures.get(kind, 0) + 1 >= rule.attempts:
        return Finish(ItemState.FAILED, kind)
    grown = attempt.memory_step + (kind is FailureKind.OUT_OF_MEMORY)
    return Retry(rule.wait_seconds, min(grown, len(step.resources.memory_mb) - 1))
