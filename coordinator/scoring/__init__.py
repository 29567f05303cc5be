"""Scores of translations against references: as a pipeline's job, and alone on folders of files."""

from coordinator.scoring.alone import Finished, score_predictions
from coordinator.scoring.crew import CrewLost
from coordinator.scoring.datasets import Dataset
from coordinator.scoring.desk import Setup
from coordinator.scoring.files import read_hypotheses, read_reference, read_translations
from coordinator.scoring.job import ScoringJob
from coordinator.scoring.parts import read_tags
from coordinator.scoring.plan import Direction, Plan, plan
from coordinator.scoring.references import References, read_references
from coordinator.scoring.registered import plan_task
from coordinator.scoring.registry import Registry, read_registry
from coordinator.scoring.scorer import Scored, Scorer, Task, score_files
from coordinator.scoring.summary import Summary

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
    "plan",
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
