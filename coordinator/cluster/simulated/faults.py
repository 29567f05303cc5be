"""What goes wrong, how often, and how often it did."""

from collections import Counter
from collections.abc import Mapping
from enum import StrEnum
from random import Random


class Fault(StrEnum):
    """All that can be made to go wrong. A rate is a probability at each occasion."""

    # of the cluster's API
    SLOW = "slow answer"
    API_ERROR = "API error"
    OUTAGE = "API outage"
    CREDENTIALS = "credentials refused for a while"
    CUT_BEFORE = "connection cut before commit"
    CUT_AFTER = "connection cut after commit"
    DONE_BUT_ERROR = "done, but an error was seen"
    PHANTOM_ID = "phantom ID for a repeated token"
    STALE_FIND = "job not found though it is there"
    STALE_LOOK = "stale read of where a job stands"
    REFUSED = "job refused"
    BUSY = "cluster too busy for a while"
    # of where jobs run
    DELAY = "placed late"
    NO_LANES = "no free lanes for a while"
    NEVER_STARTED = "driver failure before the start"
    NODE_LOST = "node lost"
    NODE_CUT_OFF = "node cut off, its jobs run on"
    DUPLICATE = "replacement placed beside the first"
    LEFT_UNKNOWN = "job of a lost node left unknown"  # by a cluster that can be asked to look again
    DRAINED = "node drained"
    FORGOTTEN = "ended job collected"
    LOGS_LOST = "logs of a job lost"
    # of the work itself
    OUT_OF_MEMORY = "out of memory"
    KILLED = "killed by a signal"
    MODEL_ERROR = "model error"
    BAD_INPUT = "bad input"
    NO_DATA = "no data"
    HUNG = "hung beyond its time"
    DEAF = "deaf to SIGTERM"
    SILENT = "exit 0 without an outcome"
    TRY_AGAIN = "worker gave up, exit 75"
    KEYS_REFUSED = "worker's keys refused, exit 77"
    HALF_OUTCOME = "half an outcome"
    LYING_SIZES = "outcome whose files are cut"
    FOREIGN_OUTCOME = "outcome of another attempt"
    # of the machine that the coordinator runs on
    CLOCK_STEP = "wall clock set back or on"
    # of the object store
    STORE_DOWN = "store unavailable for a while"
    STORE_ERROR = "store unavailable"
    STORED_BUT_ERROR = "stored, but an error was seen"
    LATE = "not there right after it was written"
    STORE_SLOW = "slow store"


class Faults:
    """Strikes at random, by rates, from one seed; counts each strike."""

    def __init__(self, random: Random, rates: Mapping[str, float] | None = None) -> None:
        self.random, self._rates = random, dict(rates or {})
        self.counts: Counter[str] = Counter()
        self._until: dict[str, float] = {}

    def strikes(self, fault: str) -> bool:
        """Whether it strikes now."""
        rate = self._rates.get(fault, 0.0)
        if not rate or self.random.random() >= rate:
            return False
        self.counts[fault] += 1
        return True

    def lasts(self, fault: str, now: float, longest: float) -> bool:
        """Whether one that goes on for a while, once it strikes, strikes now or still does."""
        if now < self._until.get(fault, 0.0):
            return True
        if not self.strikes(fault):
            return False
        self._until[fault] = now + self.within(1.0, longest)
        return True

    def within(self, shortest: float, longest: float) -> float:
        return self.random.uniform(shortest, longest)

    def cease(self) -> None:
        """Nothing strikes any more, and what did has passed."""
        self._rates.clear()
        self._until.clear()
