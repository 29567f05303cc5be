"""`resubmit`: failed items get another round in the same batch."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from coordinator.clock import Clock
from coordinator.commands.driving import Driven, Watch, drive
from coordinator.commands.record import record_of
from coordinator.commands.status import open_ledger
from coordinator.commands.unknown import not_in_batch
from coordinator.domain.states import FailureKind, ItemState
from coordinator.errors import BadInput, Problem
from coordinator.ledger import ItemRow, Ledger
from coordinator.settings import Settings


@dataclass(frozen=True)
class ResubmitPlan:
    """Which items will run again; `failed`: how many failed in all, by their kind."""

    batch: str
    items: tuple[ItemRow, ...]
    steps: tuple[str, ...]
    failed: Mapping[FailureKind, int]


def plan_resubmit(
    settings: Settings,
    batch: str,
    clock: Clock,
    *,
    kinds: Collection[FailureKind] = (),
    items: Collection[str] = (),
) -> ResubmitPlan:
    """Failed and stopped items; of these kinds and ids only, where some are given.

    Raises:
        BadInput: an id that is not a failed item of the batch.
    """
    ledger = open_ledger(settings, batch, clock)
    try:
        failed = list(ledger.items(ItemState.FAILED, ItemState.STOPPED))
        _refuse_unknown(batch, items, ledger, {item.id for item in failed})
        chosen = tuple(
            item
            for item in failed
            if (not kinds or item.kind in kinds) and (not items or item.id in items)
        )
        kinds_failed = Counter(item.kind or FailureKind.UNKNOWN for item in failed)
        return ResubmitPlan(batch, chosen, record_of(ledger).steps, kinds_failed)
    finally:
        ledger.close()


def resubmit(plan: ResubmitPlan, settings: Settings, clock: Clock, watch: Watch) -> Driven:
    """Reopen the planned items and drive the batch to its end."""

    def prepare(ledger: Ledger) -> None:
        ledger.reopen(plan.items)

    return drive(settings, plan.batch, clock, watch, prepare)


def _refuse_unknown(
    batch: str, asked: Collection[str], ledger: Ledger, failed: Collection[str]
) -> None:
    others = [item for item in asked if item not in failed]
    known = ledger.known_ids(others)
    problems = [
        Problem(item, "did not fail") if item in known else not_in_batch(ledger, item)
        for item in others
    ]
    if problems:
        raise BadInput(
            f"{len(problems):,} of the items cannot be resubmitted in {batch}",
            problems=problems,
            hint=f"coordinator status {batch} --failed lists those that can",
        )
