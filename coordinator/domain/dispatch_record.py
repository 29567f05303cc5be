"""What the log tree says of one dispatch: `dispatch.json`, all reports need besides the logs."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from coordinator.domain.states import AttemptState, FailureKind
from coordinator.domain.verdicts import Ending, StopReason


class _Document(BaseModel):
    # Unknown fields are ignored: logs of a newer version are still worth a report.
    model_config = ConfigDict(frozen=True, extra="ignore")


class AttemptRecord(_Document):
    """One attempt that the dispatch carries, as the coordinator sees it."""

    item: str
    attempt: int = Field(ge=1)
    state: AttemptState
    kind: FailureKind | None = None
    reason: str = ""


class EndingRecord(_Document):
    """How the dispatch ended, in the cluster's words."""

    exit_code: int | None = None
    signal: int = 0
    oom_killed: bool = False
    gone: bool = False
    stop: StopReason = StopReason.NONE
    detail: str = ""

    @classmethod
    def of(cls, ending: Ending) -> Self:
        return cls(
            exit_code=ending.exit_code,
            signal=ending.signal,
            oom_killed=ending.oom_killed,
            gone=ending.gone,
            stop=ending.stop,
            detail=ending.detail,
        )

    def to_ending(self) -> Ending:
        return Ending(
            gone=self.gone,
            exit_code=self.exit_code,
            signal=self.signal,
            oom_killed=self.oom_killed,
            stop=self.stop,
            detail=self.detail,
        )


class DispatchRecord(_Document):
    """Written when the dispatch was submitted, and again when it ended.

    Times are seconds since the epoch; `ended_at` and `ending` are None while the dispatch is out.
    """

    format: Literal[1] = 1
    batch: str
    step: str
    steps: tuple[str, ...]  # all steps of the batch, in order
    dispatch: str
    job_id: str = ""
    node: str = ""
    claimed_at: float
    submitted_at: float | None = None
    ended_at: float | None = None
    ending: EndingRecord | None = None
    attempts: tuple[AttemptRecord, ...] = ()

    def to_bytes(self) -> bytes:
        return self.model_dump_json(indent=1).encode() + b"\n"


def parse_dispatch(data: bytes) -> DispatchRecord | None:
    """The record in `data`, or None if it is no whole record of this format."""
    try:
        return DispatchRecord.model_validate_json(data)
    except ValidationError:
        return None
