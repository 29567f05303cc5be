"""Scores of translations against references: as a pipeline's job, and alone on folders of files.

A job of a pipeline needs little of this package: each part is imported when it is asked for.
"""

from typing import TYPE_CHECKING

from coordinator.lazily import imports_of

if TYPE_CHECKING:
    from coordinator.scoring.alone import Finished, score_predictions
    from coordinator.scoring.crew import CrewLost
    from coordinator.scoring.datasets import Dataset
    from coordinator.scoring.desk import Setup
    from coordinator.scoring.files import read_hypotheses, read_reference, read_translations
    from coordinator.scoring.job import ScoringJob
    from coordinator.scoring.parts import read_tags
    from coordinator.scoring.plan import Direction, Plan
    from coordinator.scoring.references import References, read_references
    from coordinator.scoring.registered import plan_task
    from coordinator.scoring.registry import Registry, read_registry
    from coordinator.scoring.scorer import Scored, Scorer, Task, score_files
    from coordinator.scoring.summary import Summary

_LATER = {
    "alone": ("Finished", "score_predictions"),
    "crew": ("CrewLost",),
    "datasets": ("Dataset",),
    "desk": ("Setup",),
    "files": ("read_hypotheses", "read_reference", "read_translations"),
    "job": ("ScoringJob",),
    "parts": ("read_tags",),
    "plan": ("Direction", "Plan"),
    "references": ("References", "read_references"),
    "registered": ("plan_task",),
    "registry": ("Registry", "read_registry"),
    "scorer": ("Scored", "Scorer", "Task", "score_files"),
    "summary": ("Summary",),
}

__all__ = [
    "CrewLost",
    "Dataset",
    "Direction",
    "Finished",
    "Plan",
    "References",
    "Registry",
    "Scored",
    "Scorer",
    "ScoringJob",
    "Setup",
    "Summary",
    "Task",
    "plan_task",
    "read_hypotheses",
    "read_reference",
    "read_references",
    "read_registry",
    "read_tags",
    "read_translations",
    "score_files",
    "score_predictions",
]


if not TYPE_CHECKING:  # or every name would be thought to exist
    __getattr__ = imports_of(__name__, _LATER)
