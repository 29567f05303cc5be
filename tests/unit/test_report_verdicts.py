from pathlib import Path

import pytest

from coordinator.domain.states import AttemptState as S
from coordinator.domain.states import FailureKind as K
from coordinator.reports.dispatches import Attempt
from coordinator.reports.history import ItemReport, Progress, Standing, judge

STEPS = ("translate", "score")
KINDS = {S.FAILED: K.TIMEOUT, S.LOST: K.LOST, S.UNKNOWN: K.UNKNOWN, S.STOPPED: K.STOPPED}


def verdict(*story: str, first: dict[str, int] | None = None) -> ItemReport:
    """`story`: attempts as `<t or s><number> <state>`, in any order."""
    attempts = []
    for entry in story:
        where, state = entry.split()
        step = {"t": "translate", "s": "score"}[where[0]]
        found = S(state)
        attempts.append(
            Attempt("i", step, int(where[1:]), found, KINDS.get(found), "why", Path(where))
        )
    return judge("i", attempts, STEPS, first)


@pytest.mark.parametrize(
    ("story", "standing"),
    [
        ((), Standing.NOT_RUN),
        (("t1 returned",), Standing.NOT_RUN),
        (("t1 submitted",), Standing.STILL_RUNNING),
        (("t1 claimed",), Standing.STILL_RUNNING),
        (("t1 running",), Standing.STILL_RUNNING),
        (("t1 succeeded",), Standing.STILL_RUNNING),
        (("t1 succeeded", "s1 returned"), Standing.STILL_RUNNING),
        (("t1 succeeded", "s1 running"), Standing.STILL_RUNNING),
        (("t1 succeeded", "s1 succeeded"), Standing.SUCCEEDED),
        (("t1 failed", "t2 succeeded", "s1 succeeded"), Standing.SUCCEEDED),
        (("s2 succeeded", "t1 succeeded", "s1 failed"), Standing.SUCCEEDED),
        (("t1 succeeded", "s1 succeeded", "s2 lost"), Standing.SUCCEEDED),
        (("t1 no_data",), Standing.EARLY_EXIT),
        (("t1 failed", "t2 no_data"), Standing.EARLY_EXIT),
        (("t1 succeeded", "s1 no_data"), Standing.EARLY_EXIT),
        (("t1 failed",), Standing.FAILED),
        (("t1 lost",), Standing.FAILED),
        (("t1 stopped",), Standing.FAILED),
        (("t1 unknown",), Standing.FAILED),
        (("t1 failed", "t2 running"), Standing.STILL_RUNNING),
        (("t1 failed", "t2 returned"), Standing.FAILED),
        (("t1 submitted", "t2 failed"), Standing.FAILED),
        (("t1 succeeded", "s1 failed", "t2 running"), Standing.FAILED),
        (("t1 failed", "s1 failed", "t2 running"), Standing.STILL_RUNNING),
        (("t2 failed", "t10 lost"), Standing.FAILED),
    ],
)
def test_the_verdict_over_an_item(story: tuple[str, ...], standing: Standing) -> None:
    assert verdict(*story).standing is standing


@pytest.mark.parametrize(
    ("story", "progress"),
    [
        (("t1 submitted",), Progress.QUEUED),
        (("t1 claimed",), Progress.QUEUED),
        (("t1 ready",), Progress.QUEUED),
        (("t1 failed", "t2 submitted"), Progress.QUEUED),
        (("t1 running",), Progress.RUNNING),
        (("t1 succeeded", "s1 running"), Progress.RUNNING),
        (("t1 succeeded", "s1 submitted"), Progress.PARTIAL),
        (("t1 succeeded",), Progress.PARTIAL),
        (("t1 succeeded", "s1 returned"), Progress.PARTIAL),
        (("t1 succeeded", "s1 failed"), None),
        (("t1 succeeded", "s1 succeeded"), None),
        ((), None),
    ],
)
def test_how_far_an_item_is(story: tuple[str, ...], progress: Progress | None) -> None:
    assert verdict(*story).progress is progress


def test_the_newest_attempt_says_why() -> None:
    report = verdict("t2 failed", "t10 lost")
    assert (report.kind, report.attempts) == (K.LOST, 2)


def test_what_was_given_back_is_no_attempt() -> None:
    report = verdict("t1 failed", "t2 returned", "t3 returned")
    assert (report.kind, report.attempts) == (K.TIMEOUT, 1)


def test_only_an_end_without_a_reason_is_silent() -> None:
    assert verdict("t1 unknown").silent
    assert not verdict("t1 failed").silent
    assert not verdict("t1 unknown", "t2 succeeded").silent
    assert not verdict("t1 running").silent


def test_a_success_has_no_kind() -> None:
    assert verdict("t1 failed", "t2 succeeded", "s1 succeeded").kind is None


@pytest.mark.parametrize(
    ("story", "first", "standing"),
    [
        (("t1 succeeded", "s1 succeeded"), {"score": 2}, Standing.STILL_RUNNING),
        (("t1 succeeded", "s1 succeeded", "s2 running"), {"score": 2}, Standing.STILL_RUNNING),
        (("t1 succeeded", "s1 succeeded", "s2 failed"), {"score": 2}, Standing.FAILED),
        (("t1 succeeded", "s1 succeeded", "s2 succeeded"), {"score": 2}, Standing.SUCCEEDED),
        (("t1 succeeded", "s1 succeeded"), {"translate": 2, "score": 2}, Standing.NOT_RUN),
        (("t1 succeeded", "s1 succeeded", "t2 succeeded"), {"score": 2}, Standing.STILL_RUNNING),
        (("t1 no_data", "t2 failed"), {"translate": 2}, Standing.FAILED),
    ],
)
def test_what_was_done_again_counts_from_there(
    story: tuple[str, ...], first: dict[str, int], standing: Standing
) -> None:
    found = verdict(*story, first=first)
    assert found.standing is standing
    assert found.attempts == len(story), "earlier tries are history, and history is counted"
