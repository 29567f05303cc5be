"""`purge`: the cluster forgets finished jobs of one batch, when all of theirs is home."""

from dataclasses import dataclass

from coordinator.bootstrap import batch_folder, make_cluster, make_key_shelf
from coordinator.clock import Clock
from coordinator.cluster import Cluster, JobId
from coordinator.commands.record import BatchRecord, record_of
from coordinator.commands.status import open_ledger
from coordinator.domain.verdicts import StopReason
from coordinator.engine import Driver, Wish
from coordinator.errors import BatchBusy, UsageError
from coordinator.ledger import Dispatch, Ledger, driver_lock, holder
from coordinator.settings import Settings
from coordinator.storage import open_storage


@dataclass(frozen=True)
class PurgePlan:
    """Which jobs go, and which stay."""

    batch: str
    finished: tuple[Dispatch, ...]  # ended, and home: they go
    running: tuple[Dispatch, ...]  # not ended: they stay, unless asked for

    @property
    def jobs(self) -> list[str]:
        return [d.job_id or "" for d in self.finished]


def plan_purge(settings: Settings, batch: str, clock: Clock) -> PurgePlan:
    """A dispatch is ended in the ledger only after its logs and outcomes came home."""
    ledger = open_ledger(settings, batch, clock)
    try:
        known = ledger.purgeable(include_running=True)
    finally:
        ledger.close()
    finished = tuple(d for d in known if d.state is None)
    return PurgePlan(batch, finished, tuple(d for d in known if d.state is not None))


def purge(
    plan: PurgePlan, settings: Settings, clock: Clock, *, include_running: bool, yes: bool
) -> PurgePlan:
    """Purge; running jobs are stopped and brought home first where that was asked for.

    Returns:
        what was purged and what stays.

    Raises:
        UsageError: running jobs were asked for without `yes`.
        BatchBusy: running jobs were asked for while the batch is being driven.
    """
    if include_running and plan.running:
        _refuse_running(plan, settings, yes=yes)
        stop_all(settings, plan.batch, clock)
        plan = plan_purge(settings, plan.batch, clock)
    ledger = open_ledger(settings, plan.batch, clock, read_only=False)
    try:
        record = record_of(ledger)
        cluster = make_cluster(settings, record.venue)
        try:
            cluster.purge([JobId(job) for job in plan.jobs])
            ledger.mark_purged(plan.finished)
            if not ledger.out():
                _dismantle(settings, record, cluster)
        finally:
            cluster.close()
    finally:
        ledger.close()
    return plan


def _dismantle(settings: Settings, record: BatchRecord, cluster: Cluster) -> None:
    """Remove what the batch as a whole has on the cluster; whoever goes on with it puts it back.

    Not while it is driven: steps that have no job out just now need it too.
    """
    try:
        with (
            driver_lock(batch_folder(settings, record.batch), record.batch),
            cluster.held(lambda _why: None),
        ):
            cluster.dismantle()
            if shelf := make_key_shelf(settings, record.venue):
                shelf.remove()
    except BatchBusy:
        return


def _refuse_running(plan: PurgePlan, settings: Settings, *, yes: bool) -> None:
    if not yes:
        raise UsageError(
            f"{len(plan.running)} jobs of {plan.batch} still run",
            why="--include-running stops them, and what they were doing is lost",
            hint="add --yes if that is meant",
        )
    if who := holder(batch_folder(settings, plan.batch)):
        raise BatchBusy(
            f"batch {plan.batch} is being driven by {who}",
            hint="stop it first (Ctrl-C twice there)",
        )


def stop_all(settings: Settings, batch: str, clock: Clock) -> None:
    """Stop what runs and bring it home; nothing new is started."""
    folder = batch_folder(settings, batch)
    ledger = Ledger.open(folder, clock)
    try:
        with driver_lock(folder, batch):
            record = record_of(ledger)
            cluster = make_cluster(settings, record.venue)
            try:
                with cluster.held(lambda _why: None):
                    _stop_and_collect(record, ledger, cluster, clock)
            finally:
                cluster.close()
    finally:
        ledger.close()


def _stop_and_collect(record: BatchRecord, ledger: Ledger, cluster: Cluster, clock: Clock) -> None:
    storage = open_storage(record.output_root)
    driver = Driver(record.to_batch(), ledger, cluster, storage, clock)
    driver.recover()
    driver.wish(Wish.DRAIN)
    out = [d for d in ledger.out() if d.job_id]
    for dispatch in out:
        ledger.set_stop_reason(dispatch, StopReason.ASKED)
    cluster.stop([JobId(d.job_id or "") for d in out], StopReason.ASKED)
    driver.run(lambda _snapshot: None)
