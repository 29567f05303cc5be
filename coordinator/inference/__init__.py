"""Models that translate: a user's handler or a Hugging Face folder, behind one protocol."""

from coordinator.inference.model import BatchRecord, Model, OnBatch, load_model
from coordinator.inference.trial import sample_sentences, try_handler

__all__ = ["BatchRecord", "Model", "OnBatch", "load_model", "sample_sentences", "try_handler"]
