"""A page about each kind of failure. The only place: docs, reports and `explain` take it from here.

How often a kind is tried again is read from the rules that the engine follows.
"""

import shlex
from dataclasses import asdict, dataclass
from typing import Any

from coordinator.domain.states import FailureKind
from coordinator.pipelines import default_retry

K = FailureKind


@dataclass(frozen=True)
class KindPage:
    """What a kind of failure is. Backticks mark commands and names, as in Markdown.

    Attributes:
        meaning: what happened.
        detected: what decides that it is this kind, the strongest evidence first.
        retried: what is done about it by itself, where the pipeline file says nothing else.
        to_do: what helps, the most likely first; `BATCH` and `ITEM` stand for names.
    """

    meaning: str
    detected: str
    retried: str
    to_do: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def page_of(kind: FailureKind) -> KindPage:
    """The page about `kind`."""
    meaning, detected, to_do = _PAGES[kind]
    return KindPage(meaning, detected, retried_in_words(kind), to_do)


def retried_in_words(kind: FailureKind) -> str:
    """How often an item may fail so at a step before it is given up, by default."""
    rule = default_retry(kind)
    if rule.attempts == 1:
        words = "not tried again"
    else:
        words = f"tried {_times(rule.attempts)} in all"
        wait = f"after {rule.wait_seconds:g} s" if rule.wait_seconds else "at once"
        words += f", each time {wait}" if rule.attempts > 2 else f", the second time {wait}"
    return words + _BESIDES.get(kind, "")


def may_be_set(kind: FailureKind) -> bool:
    """Whether `retry` in a pipeline file has a say: what somebody stopped is never tried again."""
    return kind is not K.STOPPED


def must_be_mended(kind: FailureKind) -> bool:
    """Whether the same again comes to the same: it is not tried again by itself."""
    return default_retry(kind).attempts == 1 and kind is not K.STOPPED


def next_lines(batch: str, kind: FailureKind, again: str = "") -> tuple[str, ...]:
    """What to do about failures of this kind, a line each.

    Args:
        batch: its name.
        kind: why its items failed.
        again: the command that runs them again; "" = by their kind.
    """
    name = shlex.quote(batch)
    again = again or f"coordinator resubmit {name} --kind {kind}"
    if not must_be_mended(kind):
        return (again,)
    return (f"coordinator failures {name} --kind {kind}", f"mend it, then: {again}")


def _times(count: int) -> str:
    return {2: "twice", 3: "three times"}.get(count, f"{count} times")


_BESIDES = {
    K.OUT_OF_MEMORY: "; with the step's next `memory_mb`, where the pipeline file lists several",
    K.CREDENTIALS: "; but while a job's keys are refused, the batch waits for better ones by"
    " itself, and items that were cut short are given back, not charged",
    K.STOPPED: ": somebody meant it",
}

# Kind -> meaning, detected, to do.
_PAGES: dict[FailureKind, tuple[str, str, tuple[str, ...]]] = {
    K.INFRASTRUCTURE: (
        "Something around the work failed: an image, a driver or a secret was missing, a node was"
        " drained, the cluster refused the job, or the store did not answer. The item may well be"
        " fine.",
        "Its outcome says so. Without a whole outcome: its node was drained, or the job ended with"
        " exit code 75, or it never came to an exit code and the cluster names a reason.",
        (
            "read the cluster's words: `coordinator why BATCH ITEM`",
            "check what is around it: `coordinator doctor`",
            "once it is mended: `coordinator resubmit BATCH --kind infrastructure`",
        ),
    ),
    K.LOST: (
        "The job or its node went away and left no outcome. Nothing says that the item is at"
        " fault.",
        "The cluster no longer knows the job, or says that its node was lost, and there is no whole"
        " outcome of this attempt. If one turns up, it counts.",
        (
            "run it again: `coordinator resubmit BATCH --kind lost`",
            "if it comes back, look whether one node is behind it, in the column `node` of the"
            " report's `summary.csv`: `coordinator report BATCH`",
        ),
    ),
    K.CREDENTIALS: (
        "A token or key was missing, expired or refused, by the store, by Nomad or by a server that"
        " the work asked.",
        "Its outcome says so. Without a whole outcome: the job ended with exit code 77.",
        (
            "renew the keys; `coordinator credentials BATCH` tells whose they are",
            "then `coordinator resubmit BATCH --kind credentials`",
        ),
    ),
    K.OUT_OF_MEMORY: (
        "The job needed more memory than it was given, on the machine or on its GPU.",
        "Its outcome says so, as it mostly does of a GPU. Without a whole outcome: the cluster saw"
        " it killed for its memory, or it ended by signal 9 or exit code 137 and nobody had stopped"
        " it.",
        (
            "give the step more `memory_mb`, or several sizes to be tried in turn, or smaller"
            " batches (`--max_batch_tokens`), in a new batch; the same size again seldom helps",
            "if others used the node's memory: `coordinator resubmit BATCH --kind out_of_memory`",
            "to see what jobs used, submit with `--monitoring_interval_seconds 10`",
        ),
    ),
    K.TIMEOUT: (
        "A time limit passed: that of the step, of one sentence, or of the job on the cluster.",
        "Its outcome says so. Without a whole outcome: the coordinator or the cluster stopped the"
        " job at its limit, or it ended with exit code 124.",
        (
            "look where it stood: `coordinator logs BATCH ITEM`",
            "raise the step's `time_limit` in a new batch",
            "if the node was slow: `coordinator resubmit BATCH --kind timeout`",
        ),
    ),
    K.BAD_INPUT: (
        "The item, or a file that it names, cannot be used. The same input will fail again.",
        "Its outcome says so, and names the file or field. Without a whole outcome: the job ended"
        " with exit code 65.",
        (
            "see which file or field: `coordinator failures BATCH --kind bad_input`",
            "mend the file and run it again: `coordinator resubmit BATCH --kind bad_input`",
        ),
    ),
    K.MODEL_ERROR: (
        "The model, its handler or the command of the step raised an error.",
        "Its outcome says so, with the traceback. Without a whole outcome: the job ended with exit"
        " code 70.",
        (
            "read the traceback: `coordinator failures BATCH --kind model_error`",
            "mend the handler and try it: `coordinator test-handler FOLDER`",
            "then `coordinator resubmit BATCH --kind model_error`",
        ),
    ),
    K.UNKNOWN: (
        "The job ended without an outcome, and nothing says why. It is never taken for a success,"
        " whatever its exit code was.",
        "There is no whole outcome, and neither the cluster nor the exit code says more: 0 or 1 for"
        " instance, or a signal other than 9.",
        (
            "read the end of its log: `coordinator logs BATCH ITEM`",
            "then `coordinator resubmit BATCH --kind unknown`",
        ),
    ),
    K.STOPPED: (
        "Somebody asked for the item, or its whole batch, to stop; here or on the cluster.",
        "There is no whole outcome, and the job was stopped on request. What was waiting is stopped"
        " without a job.",
        ("if that was not meant: `coordinator resubmit BATCH --kind stopped`",),
    ),
}
