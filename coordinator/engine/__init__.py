"""Decides what runs when: throttle, packs, verdicts and the tick.

What is asked for is imported then: whoever only looks needs no driver.
"""

from typing import TYPE_CHECKING

from coordinator.engine.makespan import Makespan, Run, makespan  # called like its module
from coordinator.lazily import imports_of

if TYPE_CHECKING:
    from coordinator.engine.batch import Batch
    from coordinator.engine.canary import Gate, gate_of
    from coordinator.engine.driver import Driver, Recovery, Wish
    from coordinator.engine.forecast import Pack, full_packs, largest_first, new_packs
    from coordinator.engine.masking import mask_of
    from coordinator.engine.packs import Left, Rule, cut, most_out
    from coordinator.engine.policy import sort_key
    from coordinator.engine.progress import (
        Snapshot,
        StepProgress,
        Trouble,
        step_progress,
        threshold_reason,
    )
    from coordinator.engine.rates import Rate, kept_rates, rates_of
    from coordinator.engine.throttle import Thresholds, is_paused, thresholds_for

_LATER = {
    "batch": ("Batch",),
    "canary": (
        "Gate",
        "gate_of",
    ),
    "driver": (
        "Driver",
        "Recovery",
        "Wish",
    ),
    "forecast": (
        "Pack",
        "full_packs",
        "largest_first",
        "new_packs",
    ),
    "masking": ("mask_of",),
    "packs": (
        "Left",
        "Rule",
        "cut",
        "most_out",
    ),
    "policy": ("sort_key",),
    "progress": (
        "Snapshot",
        "StepProgress",
        "Trouble",
        "step_progress",
        "threshold_reason",
    ),
    "rates": (
        "Rate",
        "kept_rates",
        "rates_of",
    ),
    "throttle": (
        "Thresholds",
        "is_paused",
        "thresholds_for",
    ),
}


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
    "Trouble",
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
    "step_progress",
    "threshold_reason",
    "thresholds_for",
]


if not TYPE_CHECKING:  # or every name would be thought to exist
    __getattr__ = imports_of(__name__, _LATER)
