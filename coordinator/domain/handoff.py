"""The files through which the two sides meet: the handoff (what to do) and the outcome (what came).

The coordinator writes a handoff before it submits the job. The worker writes `begun.json` when it
takes an item up and `outcome.json`, last, when that item's files are in place. Where it is asked to
stop before that, it says in `begun.json` that the item is handed back.
"""

import hashlib
from collections.abc import Iterable
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from coordinator.domain.faults import first_error
from coordinator.domain.manifest import Manifest
from coordinator.domain.names import file_name_problem
from coordinator.domain.reach import Reach
from coordinator.domain.states import FailureKind
from coordinator.errors import BadInput

FORMAT = 1


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FileRecord(_Document):
    """A file that an attempt wrote."""

    name: str
    size: int = Field(ge=0)  # bytes
    sha256: str

    @field_validator("name")
    @classmethod
    def _name_is_plain(cls, name: str) -> str:
        if problem := file_name_problem(name):
            raise ValueError(problem)
        return name


class InputRef(_Document):
    """A file that an attempt reads: a key in the output root, or a location outside it."""

    key: str = ""
    href: str = ""
    sha256: str = ""  # "" = unknown
    lines: int = Field(default=0, ge=0)  # of a text only so many, from its beginning; 0 = all


class HandoffItem(_Document):
    """One attempt of the pack."""

    item: str
    attempt: int = Field(ge=1)
    properties: dict[str, Any] = Field(default_factory=dict)
    inputs: dict[str, InputRef] = Field(default_factory=dict)


class Sent(_Document):
    """How the coordinator sent a dispatch: by this, one that has lost its ledger knows it again."""

    number: int = Field(ge=1)
    token: str
    memory_step: int = Field(default=0, ge=0)


class Handoff(_Document):
    """All that a worker needs to know of one dispatch."""

    format: Literal[1] = 1
    batch: str
    dispatch: str
    step: str
    job: str  # inference | scoring | command
    output_root: str  # URI of the store that keys refer to
    model: str = ""  # location of the model, for inference
    manifest: Manifest | None = None  # what the model's files must be; None = nobody knows
    trust_model_code: bool = False  # whether a handler may come from a bucket
    options: dict[str, Any] = Field(default_factory=dict)
    outputs: tuple[str, ...] = ()  # file names that a successful item must leave
    items: tuple[HandoffItem, ...]
    reach: Reach = Reach()  # which servers the inputs may be fetched from
    monitoring_interval: float = Field(default=0, ge=0)  # seconds; 0 = nothing is measured
    sent: Sent | None = None
    limited: str = ""  # what was left out of the batch, in words that go into what comes of it


class Failure(_Document):
    """Why an item failed."""

    kind: FailureKind
    message: str
    traceback: str = ""


class Outcome(_Document):
    """What became of one attempt; its identity and the sizes must fit, else it counts as absent."""

    format: Literal[1] = 1
    batch: str
    dispatch: str
    step: str
    item: str
    attempt: int
    status: Literal["succeeded", "no_data", "failed"]
    failure: Failure | None = None
    message: str = ""
    files: tuple[FileRecord, ...] = ()
    facts: dict[str, Any] = Field(default_factory=dict)  # counts and seconds, for reports
    started_at: float
    ended_at: float


class Begun(_Document):
    """Word that an item was taken up."""

    at: float  # seconds since 1970
    handed_back: bool = False  # its worker was asked to stop, and left it as it was


def is_handed_back(data: bytes) -> bool:
    """Whether `data` says so; what cannot be read does not."""
    try:
        return Begun.model_validate_json(data).handed_back
    except ValidationError:
        return False


def read_handoff(data: bytes) -> Handoff:
    """The handoff in `data`.

    Raises:
        BadInput: it cannot be read, or is of a newer version.
    """
    try:
        return Handoff.model_validate_json(data)
    except ValidationError as error:
        raise BadInput(
            "the handoff file cannot be read",
            why=first_error(error),
            hint="coordinator and worker must be of the same version",
        ) from error


def parse_outcome(data: bytes) -> Outcome | None:
    """The outcome in `data`, or None if it is no whole outcome document."""
    try:
        outcome = Outcome.model_validate_json(data)
    except ValidationError:
        return None
    consistent = (outcome.status == "failed") == (outcome.failure is not None)
    return outcome if consistent else None


def is_of(outcome: Outcome, *, batch: str, step: str, item: str, attempt: int) -> bool:
    """Whether `outcome` is of this very attempt."""
    found = (outcome.batch, outcome.step, outcome.item, outcome.attempt)
    return found == (batch, step, item, attempt)


def has_sizes(outcome: Outcome, sizes: dict[str, int]) -> bool:
    """Whether every file that the outcome names is there with its size. `sizes`: name -> bytes."""
    return all(sizes.get(f.name) == f.size for f in outcome.files)


def leaves_all(outcome: Outcome, outputs: Iterable[str]) -> bool:
    """Whether a success names every output that its step promised."""
    return outcome.status != "succeeded" or {f.name for f in outcome.files} >= set(outputs)


def sha256_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
