"""States of attempts and items, failure kinds, and the one table of permitted moves."""

from enum import StrEnum


class AttemptState(StrEnum):
    """One try of one step for one item."""

    READY = "ready"  # may be dispatched
    CLAIMED = "claimed"  # ours to submit; the cluster may or may not have heard of it
    SUBMITTED = "submitted"  # the cluster has it
    RUNNING = "running"  # the cluster says that it runs
    SUCCEEDED = "succeeded"  # a whole outcome file of this attempt says so
    NO_DATA = "no_data"  # a whole outcome file says there was nothing to do, as expected
    FAILED = "failed"  # the worker said so, or the way it ended does
    LOST = "lost"  # the cluster forgot the job or its node, and no outcome was left
    UNKNOWN = "unknown"  # it ended, left no whole outcome, and nothing says why
    STOPPED = "stopped"  # we asked for it
    RETURNED = "returned"  # its dispatch ended before this item was begun: not charged


S = AttemptState

LIVE = frozenset({S.READY, S.CLAIMED, S.SUBMITTED, S.RUNNING})
OUT = frozenset({S.CLAIMED, S.SUBMITTED, S.RUNNING})  # with the cluster, or about to be
DONE = frozenset({S.SUCCEEDED, S.NO_DATA})
ENDED = frozenset(AttemptState) - LIVE

_ENDINGS = frozenset({S.SUCCEEDED, S.NO_DATA, S.FAILED, S.LOST, S.UNKNOWN, S.STOPPED, S.RETURNED})

MOVES: dict[AttemptState, frozenset[AttemptState]] = {
    S.READY: frozenset({S.CLAIMED, S.STOPPED}),
    S.CLAIMED: frozenset({S.SUBMITTED, S.FAILED, S.STOPPED}),
    S.SUBMITTED: _ENDINGS | {S.RUNNING},  # a quick job is first seen when it has ended
    S.RUNNING: _ENDINGS,
    **dict.fromkeys(_ENDINGS, frozenset()),
}


class ItemState(StrEnum):
    """Where an item of the batch stands; the states partition the item list."""

    WAITING = "waiting"  # not started
    IN_FLIGHT = "in_flight"  # started and not finished, whatever step it is in
    SUCCEEDED = "succeeded"
    NO_DATA = "no_data"  # ended early, as expected
    FAILED = "failed"
    STOPPED = "stopped"
    SKIPPED = "skipped"  # bad input, left out by --skip-bad


DONE_ITEMS = frozenset({ItemState.SUCCEEDED, ItemState.NO_DATA})
FINISHED_ITEMS = frozenset(ItemState) - {ItemState.WAITING, ItemState.IN_FLIGHT}


class FailureKind(StrEnum):
    """Why an attempt did not succeed."""

    INFRASTRUCTURE = "infrastructure"
    LOST = "lost"
    CREDENTIALS = "credentials"
    OUT_OF_MEMORY = "out_of_memory"
    TIMEOUT = "timeout"
    BAD_INPUT = "bad_input"
    MODEL_ERROR = "model_error"
    UNKNOWN = "unknown"
    STOPPED = "stopped"

    @property
    def sentence(self) -> str:
        return _SENTENCES[self]


_SENTENCES = {
    FailureKind.INFRASTRUCTURE: "the cluster, a node, the store or an image failed, not the work",
    FailureKind.LOST: "the node or the job went away without an outcome",
    FailureKind.CREDENTIALS: "a token or key was expired or refused",
    FailureKind.OUT_OF_MEMORY: "the job needed more memory than it was given",
    FailureKind.TIMEOUT: "the step's time limit passed",
    FailureKind.BAD_INPUT: "the item or one of its files cannot be used",
    FailureKind.MODEL_ERROR: "the model or its handler raised an error",
    FailureKind.UNKNOWN: "the job ended without an outcome and without a reason",
    FailureKind.STOPPED: "somebody asked for the job to stop",
}
