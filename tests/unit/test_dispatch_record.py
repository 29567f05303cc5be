import json

import pytest

from coordinator.domain.dispatch_record import (
    AttemptRecord,
    DispatchRecord,
    EndingRecord,
    parse_dispatch,
)
from coordinator.domain.states import AttemptState, FailureKind
from coordinator.domain.verdicts import Ending, StopReason

RECORD = DispatchRecord(
    batch="b",
    step="score",
    steps=("translate", "score"),
    dispatch="b--score.eng-fra--a1v1",
    claimed_at=1.5,
    ended_at=3.0,
    ending=EndingRecord.of(Ending(exit_code=None, gone=True, detail="node down")),
    attempts=(
        AttemptRecord(
            item="eng-fra", attempt=1, state=AttemptState.LOST, kind=FailureKind.LOST, reason="x"
        ),
    ),
)


def test_a_record_comes_back_as_it_was_written() -> None:
    assert parse_dispatch(RECORD.to_bytes()) == RECORD


@pytest.mark.parametrize(
    "ending",
    [
        Ending(),
        Ending(exit_code=137, oom_killed=True),
        Ending(signal=9, stop=StopReason.TIME_LIMIT),
        Ending(gone=True, stop=StopReason.DRAINED, detail="a\nb"),
    ],
)
def test_an_ending_comes_back_as_it_was(ending: Ending) -> None:
    assert EndingRecord.of(ending).to_ending() == ending


def test_fields_of_a_newer_program_are_ignored() -> None:
    document = json.loads(RECORD.to_bytes()) | {"gpu": "H100"}
    assert parse_dispatch(json.dumps(document).encode()) == RECORD


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"batch": None},
        {"attempts": [{"item": "a", "attempt": 0, "state": "failed"}]},
        {"attempts": [{"item": "a", "attempt": 1, "state": "exploded"}]},
    ],
)
def test_what_is_no_whole_record_is_none(change: dict[str, object]) -> None:
    assert parse_dispatch(json.dumps(json.loads(RECORD.to_bytes()) | change).encode()) is None


@pytest.mark.parametrize("size", [0, 1, 50, -2])
def test_a_record_cut_short_is_none(size: int) -> None:
    data = RECORD.to_bytes()
    assert parse_dispatch(data[: size if size >= 0 else len(data) + size]) is None
