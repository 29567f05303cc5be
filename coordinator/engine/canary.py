"""Canaries: the first items of a batch have to succeed before any other is begun.

How they stand is read from the ledger's items each time, so the gate needs no state of its own:
it outlives every crash, and where canaries are done again it is closed again. What is in flight by
then goes on: at the stop threshold the canaries wait for it.
"""

from dataclasses import dataclass
from itertools import takewhile

from coordinator.domain.states import DONE_ITEMS, FINISHED_ITEMS, ItemState
from coordinator.ledger import ItemRow, Ledger

_LONGEST = 200  # characters of a reason


@dataclass(frozen=True)
class Gate:
    """What the canaries let through.

    Attributes:
        first: only so many items, from the top of the list, may be begun; None = all.
        held: what the others wait for, or "".
        failed: why it does not open by itself, and what opens it; "" while it may.
    """

    first: int | None = None
    held: str = ""
    failed: str = ""


def gate_of(ledger: Ledger, batch: str, canaries: int) -> Gate:
    """How the gate stands; open where all `canaries` have succeeded, or no other item waits."""
    states = ledger.states_of_first(canaries) if canaries else {}
    if states.keys() <= DONE_ITEMS:
        return Gate()
    tally = ledger.tally()
    if canaries >= tally.total or tally.items.keys() <= FINISHED_ITEMS:
        return Gate()
    which = "the first item" if canaries == 1 else f"the first {canaries:,} items"
    failed = _verdict(ledger, batch, canaries) if states.keys() <= FINISHED_ITEMS else ""
    return Gate(canaries, f"canary: {which} must succeed before any other is started", failed)


def _verdict(ledger: Ledger, batch: str, canaries: int) -> str:
    in_order = ledger.items(ItemState.FAILED, ItemState.STOPPED)
    bad = list(takewhile(lambda item: item.seq < canaries, in_order))
    if not bad:  # whoever only looks on may see them begun again in between
        return ""
    which = f"{len(bad):,} of the first {canaries:,} items" if canaries > 1 else "the first item"
    return (
        f"canary: {which} did not succeed, so no other is started ({_told(bad[0])})."
        f" Mend the cause; coordinator resubmit {batch} then runs what failed again, and the"
        " others if it succeeds. To go on without:"
        f" coordinator submit --batch_name {batch} --resume --canary 0"
    )


def _told(item: ItemRow) -> str:
    reason = " ".join(item.reason.split())
    reason = reason if len(reason) <= _LONGEST else f"{reason[: _LONGEST - 3]}..."
    return f"{item.id}: {item.kind or item.state}: {reason}"
