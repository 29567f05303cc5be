"""The ledger of a batch: states, moves and events in one SQLite file."""

from coordinator.ledger import addresses
from coordinator.ledger.control import Asked, Control, ControlDesk, Whereabouts, wholly_of
from coordinator.ledger.ends import DispatchEnd
from coordinator.ledger.health import refuse_damage
from coordinator.ledger.ledger import FILE, Ledger
from coordinator.ledger.lock import driver_lock, holder
from coordinator.ledger.mark import put_in_place
from coordinator.ledger.portable import PortableLedger
from coordinator.ledger.redo import CountedFrom, Finished, RedoDesk
from coordinator.ledger.rows import (
    Attempt,
    AttemptEnd,
    Dispatch,
    Event,
    Finish,
    ItemRow,
    NextStep,
    Retry,
    Sequel,
    Tally,
)

__all__ = [
    "FILE",
    "Asked",
    "Attempt",
    "AttemptEnd",
    "Control",
    "ControlDesk",
    "CountedFrom",
    "Dispatch",
    "DispatchEnd",
    "Event",
    "Finish",
    "Finished",
    "ItemRow",
    "Ledger",
    "NextStep",
    "PortableLedger",
    "RedoDesk",
    "Retry",
    "Sequel",
    "Tally",
    "Whereabouts",
    "addresses",
    "driver_lock",
    "holder",
    "put_in_place",
    "refuse_damage",
    "wholly_of",
]
