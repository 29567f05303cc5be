"""`status` and `ls`: where batches stand, read from their ledgers; nothing is changed."""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

from coordinator.bootstrap import batch_folder, make_cluster
from coordinator.clock import Clock
from coordinator.cluster import JobId
from coordinator.commands.record import BatchRecord, record_of
from coordinator.commands.results import Results, results_of
from coordinator.commands.unknown import batch_names, no_batch, no_item
from coordinator.domain.names import JobName
from coordinator.domain.states import ItemState
from coordinator.errors import BatchMissing, CoordinatorError, UsageError
from coordinator.ledger import Control, ControlDesk, Dispatch, ItemRow, Ledger, holder
from coordinator.settings import Settings


@dataclass(frozen=True)
class JobOut:
    """A dispatch that has not ended."""

    unit: str  # the item or the pack
    step: str
    items: int
    state: str
    job_id: str  # "" while the cluster may not have heard of it
    node: str  # "" until it runs
    address: str  # of a page about it; "" where the cluster has none
    since: float  # seconds since the epoch


@dataclass(frozen=True)
class Status:
    """One batch."""

    record: BatchRecord
    results: Results
    driven_by: str | None
    paused: bool  # by its thresholds
    asked: Control  # what people ask of it
    jobs: tuple[JobOut, ...]
    failed: tuple[ItemRow, ...]  # the first of them, or all

    @property
    def failed_count(self) -> int:
        counts = self.results.counts
        return counts.get(ItemState.FAILED, 0) + counts.get(ItemState.STOPPED, 0)

    @property
    def held(self) -> str:
        """Why nothing new is started, or ""."""
        if self.asked.paused:
            return f"paused {self.asked.paused}: coordinator resume {self.record.batch} goes on"
        return "paused at its stop threshold" if self.paused and self.driven_by else ""

    def to_json(self) -> dict[str, Any]:
        failed = [{"item": i.id, "kind": i.kind, "reason": i.reason} for i in self.failed]
        return {
            **self.results.to_json(),
            "driven_by": self.driven_by,
            "paused": self.paused,
            "asked": self.asked.model_dump(mode="json"),
            "jobs": [asdict(job) for job in self.jobs],
            "failed_items": failed,
        }


def open_ledger(settings: Settings, batch: str, clock: Clock, *, read_only: bool = True) -> Ledger:
    """The batch's ledger.

    Raises:
        BatchMissing: with the nearest names that are known.
    """
    try:
        return Ledger.open(batch_folder(settings, batch), clock, read_only=read_only)
    except BatchMissing as error:
        raise no_batch(settings, batch, error) from error


def status(
    settings: Settings, batch: str, clock: Clock, *, most_failed: int | None = None
) -> Status:
    """Where a batch stands.

    Args:
        settings: where the ledgers are.
        batch: its name.
        clock: for opening the ledger.
        most_failed: failed items that are wanted by name; None = all, and the groups of their
            reasons too, which takes a while where many have failed.

    Raises:
        BatchMissing: with the nearest names that are known.
    """
    ledger = open_ledger(settings, batch, clock)
    try:
        record = record_of(ledger)
        return Status(
            record=record,
            results=results_of(ledger, record, with_failures=most_failed is None),
            driven_by=holder(batch_folder(settings, batch)),
            paused=ledger.was_paused(),
            asked=ControlDesk(ledger).read(),
            jobs=jobs_out(settings, record, ledger),
            failed=_failed(ledger, most_failed),
        )
    finally:
        ledger.close()


def _failed(ledger: Ledger, most: int | None) -> tuple[ItemRow, ...]:
    """The first of the failed items. What is not read of them is let go of while it is open."""
    if most == 0:
        return ()
    return tuple(islice(ledger.items(ItemState.FAILED, ItemState.STOPPED), most))


def driven_batches(settings: Settings) -> list[str]:
    """The batches that somebody on this machine drives now."""
    return [name for name in batch_names(settings) if holder(batch_folder(settings, name))]


def the_batch(settings: Settings) -> str:
    """The one that is being driven here, else the only one there is.

    Raises:
        UsageError: there is not one.
    """
    driven = driven_batches(settings)
    for names in (driven, batch_names(settings)):
        if len(names) == 1:
            return names[0]
    raise UsageError(
        "name a batch",
        why="several are being driven here" if driven else "there is not just one here",
        hint="coordinator ls lists them",
    )


def jobs_out(settings: Settings, record: BatchRecord, ledger: Ledger) -> tuple[JobOut, ...]:
    """What is with the cluster, oldest first, as the ledger has it."""
    out = ledger.out()
    addresses = _addresses(settings, record, [d.job_id for d in out if d.job_id])
    return tuple(_job_out(dispatch, record, addresses) for dispatch in out)


def _job_out(dispatch: Dispatch, record: BatchRecord, addresses: Mapping[str, str]) -> JobOut:
    step, name = record.steps[dispatch.step], JobName.parse(dispatch.name)
    job_id = dispatch.job_id or ""
    return JobOut(
        unit=name.unit.removeprefix(f"{step}.") if name else dispatch.name,
        step=step,
        items=dispatch.size,
        state=str(dispatch.state),
        job_id=job_id,
        node=dispatch.node,
        address=addresses.get(job_id, ""),
        since=dispatch.submitted_at or dispatch.claimed_at,
    )


def _addresses(settings: Settings, record: BatchRecord, jobs: Collection[str]) -> Mapping[str, str]:
    """Pages about jobs, where the cluster has such and can be named from here."""
    if not jobs or record.cluster == "local":
        return {}
    try:
        cluster = make_cluster(settings, record.venue)
    except CoordinatorError:
        return {}  # the ledger alone says where the batch stands
    try:
        return {job: cluster.address_of(JobId(job)) for job in jobs}
    finally:
        cluster.close()


def item_history(settings: Settings, batch: str, item: str, clock: Clock) -> list[dict[str, Any]]:
    """Every attempt of one item.

    Raises:
        BadInput: no such item, with the nearest ones.
    """
    ledger = open_ledger(settings, batch, clock)
    try:
        attempts = ledger.history(item)
        if not attempts:
            raise no_item(ledger, batch, item)
        steps = record_of(ledger).steps
    finally:
        ledger.close()
    return [_attempt(row, steps) for row in attempts]


def _attempt(row: dict[str, Any], steps: tuple[str, ...]) -> dict[str, Any]:
    return {
        "step": steps[row["step"]],
        "attempt": row["number"],
        "state": row["state"],
        "kind": row["kind"],
        "reason": row["reason"],
        "dispatch": row["dispatch_name"],
        "job_id": row["job_id"],
    }
