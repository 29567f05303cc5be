"""How an attempt ended, by the order of evidence; and outcome files that are not to be believed."""

import json
from typing import Any

import pytest

from coordinator.domain.handoff import (
    Failure,
    FileRecord,
    Outcome,
    has_sizes,
    is_of,
    leaves_all,
    parse_outcome,
    read_handoff,
)
from coordinator.domain.states import ENDED, LIVE, MOVES, AttemptState, FailureKind
from coordinator.domain.verdicts import Ending, StopReason, returned, verdict_of
from coordinator.errors import BadInput

S, K = AttemptState, FailureKind

IDENTITY = {"batch": "b", "dispatch": "d", "step": "s", "item": "i", "attempt": 2}
SUCCESS = Outcome(
    **IDENTITY,
    status="succeeded",
    files=(FileRecord(name="out.txt", size=3, sha256="0" * 64),),
    started_at=1.0,
    ended_at=2.0,
)
NO_DATA = SUCCESS.model_copy(update={"status": "no_data", "files": (), "message": "empty"})
FAILED = SUCCESS.model_copy(
    update={"status": "failed", "failure": Failure(kind=K.BAD_INPUT, message="line 3"), "files": ()}
)

# Section by section: outcome, then the scheduler, then the exit code. Exit 0 alone proves nothing.
WITHOUT_OUTCOME = [
    (Ending(gone=True), S.LOST, K.LOST),
    (Ending(gone=True, exit_code=0), S.LOST, K.LOST),
    (Ending(exit_code=143, signal=15, stop=StopReason.ASKED), S.STOPPED, K.STOPPED),
    (Ending(exit_code=137, signal=9, stop=StopReason.ASKED), S.STOPPED, K.STOPPED),
    (Ending(exit_code=0, stop=StopReason.ASKED), S.STOPPED, K.STOPPED),
    (Ending(exit_code=137, signal=9, stop=StopReason.TIME_LIMIT), S.FAILED, K.TIMEOUT),
    (Ending(exit_code=0, stop=StopReason.TIME_LIMIT), S.FAILED, K.TIMEOUT),
    (Ending(exit_code=70, stop=StopReason.TIME_LIMIT), S.FAILED, K.TIMEOUT),
    (Ending(exit_code=143, stop=StopReason.DRAINED), S.FAILED, K.INFRASTRUCTURE),
    (Ending(exit_code=137, signal=9, stop=StopReason.DRAINED), S.FAILED, K.INFRASTRUCTURE),
    (Ending(gone=True, stop=StopReason.TIME_LIMIT), S.FAILED, K.TIMEOUT),
    (Ending(exit_code=65), S.FAILED, K.BAD_INPUT),
    (Ending(exit_code=70), S.FAILED, K.MODEL_ERROR),
    (Ending(exit_code=75), S.FAILED, K.INFRASTRUCTURE),
    (Ending(exit_code=77), S.FAILED, K.CREDENTIALS),
    (Ending(exit_code=124), S.FAILED, K.TIMEOUT),
    (Ending(exit_code=137), S.FAILED, K.OUT_OF_MEMORY),
    (Ending(exit_code=137, signal=9), S.FAILED, K.OUT_OF_MEMORY),
    (Ending(exit_code=1, oom_killed=True), S.FAILED, K.OUT_OF_MEMORY),
    (Ending(exit_code=139, signal=11), S.UNKNOWN, K.UNKNOWN),
    (Ending(exit_code=0), S.UNKNOWN, K.UNKNOWN),
    (Ending(exit_code=1), S.UNKNOWN, K.UNKNOWN),
    (Ending(exit_code=255), S.UNKNOWN, K.UNKNOWN),
    (Ending(exit_code=-1), S.UNKNOWN, K.UNKNOWN),
    (Ending(), S.UNKNOWN, K.UNKNOWN),
    (Ending(detail="Failed to pull image"), S.FAILED, K.INFRASTRUCTURE),
]
ENDINGS = [ending for ending, _, _ in WITHOUT_OUTCOME]


@pytest.mark.parametrize(("ending", "state", "kind"), WITHOUT_OUTCOME)
def test_without_an_outcome_the_ending_decides(
    ending: Ending, state: AttemptState, kind: FailureKind
) -> None:
    verdict = verdict_of(None, ending)
    assert (verdict.state, verdict.kind) == (state, kind)
    assert verdict.reason


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_outcome_wins_over_everything(ending: Ending) -> None:
    success, nothing, failure = (verdict_of(o, ending) for o in (SUCCESS, NO_DATA, FAILED))
    assert (success.state, success.kind) == (S.SUCCEEDED, None)
    assert (nothing.state, nothing.kind, nothing.reason) == (S.NO_DATA, None, "empty")
    assert (failure.state, failure.kind, failure.reason) == (S.FAILED, K.BAD_INPUT, "line 3")


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_was_not_begun_is_not_charged(ending: Ending) -> None:
    verdict = returned(ending)
    assert (verdict.state, verdict.kind) == (S.RETURNED, None)
    assert verdict.reason


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_verdict_is_a_permitted_end(ending: Ending) -> None:
    for state in (verdict_of(None, ending).state, returned(ending).state):
        assert state in ENDED
        assert state in MOVES[S.RUNNING] and state in MOVES[S.SUBMITTED]


def test_the_table_of_moves() -> None:
    assert set(MOVES) == set(AttemptState) == LIVE | ENDED
    assert all(not MOVES[state] for state in ENDED)
    assert all(S.READY not in after for after in MOVES.values())  # a retry is a new attempt
    assert MOVES[S.READY] == {S.CLAIMED, S.STOPPED}
    assert S.SUCCEEDED not in MOVES[S.CLAIMED]
    assert MOVES[S.SUBMITTED] - {S.RUNNING} == MOVES[S.RUNNING] == ENDED


# outcome files


def test_an_outcome_comes_back_as_it_was_written() -> None:
    for outcome in (SUCCESS, NO_DATA, FAILED):
        assert parse_outcome(outcome.model_dump_json().encode()) == outcome


def test_half_an_outcome_is_none() -> None:
    whole = SUCCESS.model_dump_json(indent=1).encode()
    assert all(parse_outcome(whole[:cut]) is None for cut in range(len(whole)))


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"status": "done"},
        {"status": "failed"},  # without a failure
        {"failure": {"kind": "bad_input", "message": "x"}},  # of a success
        {"attempt": "two"},
        {"surprise": 1},
        {"files": [{"name": "out.txt", "size": -1, "sha256": ""}]},
        {"files": [{"name": "../../../etc/passwd", "size": 1, "sha256": ""}]},
        {"files": [{"name": "/etc/passwd", "size": 1, "sha256": ""}]},
        {"files": [{"name": "", "size": 1, "sha256": ""}]},
        {"files": [{"name": "a\0b", "size": 1, "sha256": ""}]},
        {"files": [{"name": "a" * 5000, "size": 1, "sha256": ""}]},
        {"files": [{"name": "outcome.json", "size": 1, "sha256": ""}]},
    ],
)
def test_an_outcome_that_cannot_be_meant_is_none(change: dict[str, Any]) -> None:
    assert parse_outcome(json.dumps(SUCCESS.model_dump() | change).encode()) is None


@pytest.mark.parametrize("data", [b"", b"null", b"[]", b"{}", b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_outcome_is_none(data: bytes) -> None:
    assert parse_outcome(data) is None


@pytest.mark.parametrize("key", ["batch", "step", "item", "attempt"])
def test_an_outcome_of_another_attempt_is_told_apart(key: str) -> None:
    asked = {name: value for name, value in IDENTITY.items() if name != "dispatch"}
    assert is_of(SUCCESS, **asked)
    other: Any = 3 if key == "attempt" else "other"
    assert not is_of(SUCCESS, **(asked | {key: other}))


@pytest.mark.parametrize("sizes", [{}, {"out.txt": 2}, {"out.txt": 4}, {"other.txt": 3}])
def test_sizes_that_do_not_fit(sizes: dict[str, int]) -> None:
    assert has_sizes(SUCCESS, {"out.txt": 3})
    assert not has_sizes(SUCCESS, sizes)


def test_a_success_leaves_what_its_step_promised() -> None:
    assert leaves_all(SUCCESS, ["out.txt"]) and leaves_all(SUCCESS, [])
    assert not leaves_all(SUCCESS, ["out.txt", "more.txt"])
    assert leaves_all(NO_DATA, ["out.txt"]) and leaves_all(FAILED, ["out.txt"])


@pytest.mark.parametrize("data", [b"", b"{}", b'{"format": 2}', b"\xff"])
def test_a_handoff_that_cannot_be_read_says_so(data: bytes) -> None:
    with pytest.raises(BadInput) as caught:
        read_handoff(data)
    assert caught.value.why and caught.value.hint
