"""Decides what runs when: throttle, packs, verdicts and the tick."""

from coordinator.engine.batch import Batch
from coordinator.engine.canary import Gate, gate_of
from coordinator.engine.driver import Driver, Recovery, Wish
from coordinator.engine.forecast import Pack, full_packs, largest_first, new_packs
from coordinator.engine.makespan import Makespan, Run, makespan
from coordinator.engine.masking import mask_of
from coordinator.engine.packs import Left, Rule, cut, most_out
from coordinator.engine.policy import sort_key
from coordinator.engine.progress import Snapshot, StepProgress
from coordinator.engine.rates import Rate, kept_rates, rates_of
from coordinator.engine.throttle import Thresholds, is_paused, thresholds_for

__all__ = [
    "Batch",
    "Driver",
    "Gate",
    "Left",
    "Makespan",
    "Pack",
    "Rate",
    "Recovery",
    "Rule",
    "Run",
    "Snapshot",
    "StepProgress",
    "Thresholds",
    "Wish",
    "cut",
    "full_packs",
    "gate_of",
    "is_paused",
    "kept_rates",
    "largest_first",
    "makespan",
    "mask_of",
    "most_out",
    "new_packs",
    "rates_of",
    "sort_key",
    "thresholds_for",
]
