"""The pipeline file."""

from coordinator.pipelines.pipeline import Pipeline, RetryRule, Step
from coordinator.pipelines.reading import read_pipeline

__all__ = ["Pipeline", "RetryRule", "Step", "read_pipeline"]
