"""The verdict over an item, from all its attempts. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from coordinator.domain.states import DONE, LIVE, AttemptState, FailureKind
from coordinator.reports.dispatches import Attempt


class Standing(StrEnum):
    """Where an item of the run list stands; every item has exactly one."""

    SUCCEEDED = "succeeded"
    EARLY_EXIT = "early_exit"  # nothing to do, as expected
    FAILED = "failed"
    STILL_RUNNING = "still_running"  # started and not finished, between two steps too
    NOT_RUN = "not_run"


class Progress(StrEnum):
    """How far an item is that was started and is not finished; each has exactly one."""

    RUNNING = "running"  # a job of it runs
    PARTIAL = "partial"  # a step is done, and no job of the next one runs
    QUEUED = "queued"  # nothing is done, and no job of it runs yet
    UNFINISHED = "unfinished"  # its log just stops: it runs, or it was lost


@dataclass(frozen=True, slots=True)
class ItemReport:
    """What became of one item.

    Attributes:
        attempts: how many tries were made, over all steps; those given back are none.
        deciding: the attempt that the verdict rests on; None where there was none.
        progress: how far it is; None unless it is still running.
    """

    item: str
    standing: Standing
    attempts: int = 0
    deciding: Attempt | None = None
    progress: Progress | None = None

    @property
    def kind(self) -> FailureKind | None:
        """Why it failed; None unless it did."""
        if self.standing is not Standing.FAILED or self.deciding is None:
            return None
        return self.deciding.kind or FailureKind.UNKNOWN

    def of_kind(self, kind: FailureKind) -> "ItemReport":
        """The same failure, of a kind that its last words told."""
        if self.deciding is None or self.kind is kind:
            return self
        read = replace(self.deciding, state=AttemptState.FAILED, kind=kind)
        return replace(self, deciding=read)

    @property
    def silent(self) -> bool:
        """Whether it ended without an outcome and without a reason."""
        failed = self.standing is Standing.FAILED and self.deciding is not None
        return failed and self.deciding.state is AttemptState.UNKNOWN  # type: ignore[union-attr]


def judge(
    item: str,
    attempts: Iterable[Attempt],
    steps: Sequence[str],
    redone: Mapping[str, int] | None = None,
) -> ItemReport:
    """The verdict over `item`.

    A later success outweighs an earlier failure, whatever the clock said: attempts are ordered by
    step and number. An attempt that was given back unbegun counts as absent; so does the verdict of
    one from before the item was done again.

    Args:
        item: its id.
        attempts: all of its attempts, in any order.
        steps: all steps of the batch, in order.
        redone: step -> its first attempt that counts, where the item was done again.
    """
    tries = [a for a in attempts if a.state is not AttemptState.RETURNED]
    counted = [a for a in tries if a.number >= (redone or {}).get(a.step, 1)]
    if not counted:
        return ItemReport(item, Standing.NOT_RUN, len(tries))
    standing, deciding = _verdict(_by_step(counted, steps), steps)
    progress = _progress(deciding, steps) if standing is Standing.STILL_RUNNING else None
    return ItemReport(item, standing, len(tries), deciding, progress)


def _progress(deciding: Attempt, steps: Sequence[str]) -> Progress:
    if deciding.is_open:
        return Progress.UNFINISHED
    if deciding.state is AttemptState.RUNNING:
        return Progress.RUNNING
    is_begun = deciding.state is AttemptState.SUCCEEDED or deciding.step != steps[0]
    return Progress.PARTIAL if is_begun else Progress.QUEUED


def _verdict(by_step: Sequence[Attempt], steps: Sequence[str]) -> tuple[Standing, Attempt]:
    """`by_step`: the attempt that speaks for each step that was tried, in order of the steps."""
    furthest = by_step[-1]
    if furthest.step == steps[-1] and furthest.state is AttemptState.SUCCEEDED:
        return Standing.SUCCEEDED, furthest
    for attempt in reversed(by_step):
        if attempt.state is AttemptState.NO_DATA:
            return Standing.EARLY_EXIT, attempt
    for attempt in reversed(by_step):
        if attempt.state in LIVE:
            return Standing.STILL_RUNNING, attempt
    if furthest.state is AttemptState.SUCCEEDED:  # the next step has not begun
        return Standing.STILL_RUNNING, furthest
    return Standing.FAILED, furthest


def _by_step(attempts: Sequence[Attempt], steps: Sequence[str]) -> list[Attempt]:
    found = {}
    for step in steps:
        if tries := [a for a in attempts if a.step == step]:
            found[step] = max(tries, key=_weight)
    return list(found.values())


def _weight(attempt: Attempt) -> tuple[bool, int]:
    """What is done stays done; else the newest try speaks for its step."""
    return attempt.state in DONE, attempt.number
