"""How an attempt ended, by the order of evidence: outcome file, then scheduler, then exit code."""

from dataclasses import dataclass
from enum import StrEnum

from coordinator.domain.handoff import Outcome
from coordinator.domain.states import AttemptState, FailureKind
from coordinator.errors import WorkerExit


class StopReason(StrEnum):
    """Why a job was stopped from outside."""

    NONE = ""
    ASKED = "asked"  # by us, on a user's wish
    TIME_LIMIT = "time_limit"  # by us, because its time was up
    DRAINED = "drained"  # by the cluster, to free the node


@dataclass(frozen=True)
class Ending:
    """What the cluster knows of how a job ended."""

    gone: bool = False  # the cluster no longer knows the job, or lost its node
    exit_code: int | None = None  # of the main task; None = never ended by itself or unknown
    signal: int = 0  # that ended the main task; 0 = none
    oom_killed: bool = False
    stop: StopReason = StopReason.NONE
    detail: str = ""  # the cluster's own words: driver errors, missing images


@dataclass(frozen=True)
class Verdict:
    """The state an attempt ends in."""

    state: AttemptState
    kind: FailureKind | None = None
    reason: str = ""


_BY_EXIT_CODE = {
    WorkerExit.BAD_INPUT: FailureKind.BAD_INPUT,
    WorkerExit.MODEL_ERROR: FailureKind.MODEL_ERROR,
    WorkerExit.TRY_AGAIN: FailureKind.INFRASTRUCTURE,
    WorkerExit.CREDENTIALS: FailureKind.CREDENTIALS,
    WorkerExit.TIMEOUT: FailureKind.TIMEOUT,
}


def verdict_of(outcome: Outcome | None, ending: Ending) -> Verdict:
    """The verdict over one attempt that was begun, or whose whole dispatch never began any.

    `outcome` is a whole outcome of this very attempt, or None.
    """
    if outcome is not None:
        return _from_outcome(outcome)
    return _from_ending(ending)


def returned(ending: Ending) -> Verdict:
    """The verdict over an attempt that its dispatch never took up, while it did take up others."""
    reason = _from_ending(ending).reason
    return Verdict(AttemptState.RETURNED, reason=f"not begun when its dispatch ended ({reason})")


def excused() -> Verdict:
    """The verdict over an attempt that was cut short because its keys were refused."""
    return Verdict(AttemptState.RETURNED, reason="its keys were refused: that is not charged")


def _from_outcome(outcome: Outcome) -> Verdict:
    if outcome.failure is not None:
        return Verdict(AttemptState.FAILED, outcome.failure.kind, outcome.failure.message)
    return Verdict(AttemptState(outcome.status), reason=outcome.message)


def _from_ending(ending: Ending) -> Verdict:
    if ending.stop is StopReason.TIME_LIMIT:
        return _failed(FailureKind.TIMEOUT, "stopped at its time limit")
    if ending.stop is StopReason.ASKED:
        return Verdict(AttemptState.STOPPED, FailureKind.STOPPED, "stopped on request")
    if ending.stop is StopReason.DRAINED:
        return _failed(FailureKind.INFRASTRUCTURE, "its node was drained")
    if ending.gone:
        reason = ending.detail or "the cluster no longer knows the job"
        return Verdict(AttemptState.LOST, FailureKind.LOST, reason)
    return _from_exit(ending)


def _from_exit(ending: Ending) -> Verdict:
    code = ending.exit_code
    if ending.oom_killed or ending.signal == 9 or code == 137:
        return _failed(FailureKind.OUT_OF_MEMORY, "killed (exit 137): out of memory, most likely")
    if ending.signal:
        return _failed(
            FailureKind.UNKNOWN, f"ended by signal {ending.signal}", AttemptState.UNKNOWN
        )
    kind = _BY_EXIT_CODE.get(WorkerExit(code)) if code in set(WorkerExit) else None
    if kind is not None:
        return _failed(kind, f"exit code {code} and no outcome")
    if code is None and ending.detail:
        return _failed(FailureKind.INFRASTRUCTURE, ending.detail)
    reason = "no exit code" if code is None else f"exit code {code}"
    return _failed(FailureKind.UNKNOWN, f"{reason}, no outcome and no reason", AttemptState.UNKNOWN)


def _failed(kind: FailureKind, reason: str, state: AttemptState = AttemptState.FAILED) -> Verdict:
    return Verdict(state, kind, reason)
