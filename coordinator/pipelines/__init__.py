"""The pipeline file."""

from coordinator.pipelines.pipeline import NomadPart, Pipeline, RetryRule, Step
from coordinator.pipelines.reading import read_pipeline

__all__ = ["NomadPart", "Pipeline", "RetryRule", "Step", "read_pipeline"]
