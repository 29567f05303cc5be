"""Decides what runs when: throttle, packs, verdicts and the tick."""

from coordinator.engine.batch import Batch
from coordinator.engine.canary import Gate, gate_of
from coordinator.engine.driver import Driver, Recovery, Wish
from coordinator.engine.masking import mask_of
from coordinator.engine.packs import pack_size
from coordinator.engine.policy import sort_key
from coordinator.engine.progress import Snapshot, StepProgress
from coordinator.engine.throttle import Thresholds, is_paused, thresholds_for

__all__ = [
    "Batch",
    "Driver",
    "Gate",
    "Recovery",
    "Snapshot",
    "StepProgress",
    "Thresholds",
    "Wish",
    "gate_of",
    "is_paused",
    "mask_of",
    "pack_size",
    "sort_key",
    "thresholds_for",
]
