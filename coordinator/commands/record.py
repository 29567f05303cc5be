"""What a batch was asked to be: kept in its ledger, in its outputs and in its log tree."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from coordinator import __version__
from coordinator.bootstrap import Venue
from coordinator.bootstrap.place import NomadPlace
from coordinator.domain.limits import Limits
from coordinator.domain.manifest import Manifest
from coordinator.domain.paths import LogTree
from coordinator.domain.reach import Reach
from coordinator.errors import LedgerError
from coordinator.ledger import Ledger
from coordinator.pipelines import Pipeline

if TYPE_CHECKING:
    from coordinator.engine import Batch

_OF_THE_VENUE = (
    "cluster",
    "batch",
    "uid",
    "pipeline",
    "output_root",
    "slots",
    "nomad",
    "job_vars",
    "use_local_creds",
)


class Skipped(BaseModel):
    """An item that was left out on request, and why."""

    model_config = ConfigDict(frozen=True)

    id: str
    reason: str


class BatchRecord(BaseModel):
    """`batch.json`."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    format: Literal[1] = 1
    batch: str
    pipeline: Pipeline
    inference: dict[str, Any] = {}  # options in it that were given as flags
    steps: tuple[str, ...]
    model: str = ""
    manifest: Manifest | None = None  # what the model's files must be; None = nobody knows
    trust_model_code: bool = False  # a handler may come from a bucket
    source: str
    output_root: str
    log_dir: str
    cluster: str
    slots: int
    stop_threshold: int
    resume_threshold: int
    wait_seconds: float
    max_same_failure: int = 10  # dispatches; 0 = any number
    use_local_creds: bool = False  # its jobs are given the caller's AWS keys
    keep_jobs: bool = True  # the cluster remembers jobs that are home
    save_ledger: bool = False  # to the output root, as it goes
    reach: Reach = Reach()  # which servers its jobs may ask
    monitoring_interval: float = 0.0  # seconds between two looks at a job; 0 = none
    uid: str = ""  # tells two batches of one name apart
    nomad: NomadPlace = NomadPlace()
    job_vars: str = ""  # a file of variables for Nomad's job files
    canary: int = 0  # items, the first, that have to succeed before any other is started
    limits: Limits = Limits()
    limited: str = ""  # the same in words, for whoever reads this
    items: int
    items_sha256: str  # of the ids, one a line
    skipped: tuple[Skipped, ...] = ()
    created_at: float
    version: str = Field(default=__version__)

    @property
    def logs(self) -> LogTree:
        return LogTree(Path(self.log_dir), self.batch)

    @property
    def venue(self) -> Venue:
        """Where its jobs run."""
        shared = {name: getattr(self, name) for name in _OF_THE_VENUE}
        return Venue(**shared)

    def to_batch(self) -> "Batch":
        """The batch as the engine takes it. Raises UsageError for thresholds that cannot be."""
        from coordinator.engine import Batch, Thresholds  # whoever only looks needs no engine

        thresholds = Thresholds(self.stop_threshold, self.resume_threshold)
        return Batch(
            self.batch,
            self.pipeline,
            self.model,
            thresholds,
            self.logs,
            self.wait_seconds,
            keep_jobs=self.keep_jobs,
            max_same_failure=self.max_same_failure,
            reach=self.reach,
            manifest=self.manifest,
            trust_model_code=self.trust_model_code,
            monitoring_interval=self.monitoring_interval,
            limits=self.limits,
            canaries=self.canary,
        )

    def to_bytes(self) -> bytes:
        return self.model_dump_json(indent=1).encode() + b"\n"


def record_of(ledger: Ledger) -> BatchRecord:
    """What the batch of a ledger was asked to be. Raises LedgerError if that is damaged."""
    try:
        return BatchRecord.model_validate(ledger.record())
    except ValidationError as error:
        batch = ledger.path.parent.name
        raise LedgerError(
            f"the ledger {ledger.path} is damaged",
            why=f"{error.error_count()} faults in what the batch was asked to be",
            hint=f"coordinator rebuild-ledger {batch} makes a new one from what is left",
        ) from error


def digest_of(ids: Iterable[str]) -> str:
    """sha256 of the ids, one a line."""
    digest = hashlib.sha256()
    for item_id in ids:
        digest.update(item_id.encode() + b"\n")
    return digest.hexdigest()


def as_document(record: BatchRecord) -> dict[str, Any]:
    return record.model_dump(mode="json")
