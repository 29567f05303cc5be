"""Scores of translations against references: as a pipeline's job, and alone on two files."""

from coordinator.scoring.files import read_hypotheses, read_reference, read_translations
from coordinator.scoring.job import ScoringJob
from coordinator.scoring.scorer import Scored, Scorer, score_files

__all__ = [
    "Scored",
    "Scorer",
    "ScoringJob",
    "read_hypotheses",
    "read_reference",
    "read_translations",
    "score_files",
]
