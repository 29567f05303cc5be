"""A backend from a model folder."""

from pathlib import Path

from coordinator.domain.job_options import InferenceOptions
from coordinator.domain.model_folder import check_model
from coordinator.inference.backend import Backend


def load_backend(folder: Path, options: InferenceOptions, device: str | None) -> Backend:
    """The model in `folder`, loaded; `device` None takes a GPU where there is one.

    Raises:
        ModelError: the folder cannot be used, or loading failed.
        MemoryError: memory ran out, the GPU's included.
    """
    # Imported only when needed: torch takes seconds, and most kinds do without it.
    match check_model(folder):
        case "handler":
            from coordinator.inference.handlers import load_handler

            return load_handler(folder, device)
        case "endpoint":
            from coordinator.inference.http_backend import load_endpoint

            return load_endpoint(folder, options.task)
        case kind:
            raise NotImplementedError(kind)
