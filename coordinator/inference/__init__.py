"""Models that translate, whatever they are made of, behind one protocol."""

from coordinator.inference.model import Model, load_model
from coordinator.inference.records import BatchRecord, OnBatch
from coordinator.inference.trial import sample_sentences, try_handler

__all__ = ["BatchRecord", "Model", "OnBatch", "load_model", "sample_sentences", "try_handler"]
