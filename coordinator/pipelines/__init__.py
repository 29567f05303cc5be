"""The pipeline file."""

from coordinator.pipelines.pipeline import NomadPart, Pipeline, RetryRule, Step, default_retry
from coordinator.pipelines.reading import read_pipeline

__all__ = ["NomadPart", "Pipeline", "RetryRule", "Step", "default_retry", "read_pipeline"]
