"""The backend of a model folder, by its kind. Each is imported only where it is needed."""

import os
from pathlib import Path

from coordinator.domain.job_options import InferenceOptions
from coordinator.domain.model_folder import check_model
from coordinator.inference.backend import Backend
from coordinator.inference.faults import needed


def load_backend(folder: Path, options: InferenceOptions, device: str | None) -> Backend:
    """The model in `folder`, ready to translate; to be called in the process that is to run it.

    Args:
        folder: holds `handler.py`, `endpoint.json`, a model converted for CTranslate2, or a Hugging
            Face seq2seq model (M2M100, NLLB, mBART-50, Marian).
        options: those of the pipeline's step.
        device: "cpu" or "cuda"; None takes the GPU where there is one.

    Raises:
        ModelError: the folder cannot be used, or loading failed.
        MemoryError: memory ran out, the GPU's included.
    """
    match check_model(folder):
        case "handler":
            from coordinator.inference.handlers import load_handler

            return load_handler(folder, device)
        case "endpoint":
            from coordinator.inference.http_backend import load_endpoint

            return load_endpoint(folder, options.task)
        case "ctranslate2":
            with needed("ctranslate2", "worker"):
                from coordinator.inference.ctranslate2_backend import load_ctranslate2

            return load_ctranslate2(folder, options, device)
        case "huggingface":
            _let_others_work(options.processes or 1)
            with needed("huggingface", "torch"):
                from coordinator.inference.torch_backend import load_torch
                from coordinator.inference.torch_probe import measured_budget

            backend = load_torch(folder, device, options.beams)
            if options.max_batch_tokens is None:
                backend.token_budget = measured_budget(backend)
            return backend


def _let_others_work(processes: int) -> None:
    """Before torch is imported: the threads of so many processes share the cores, idle ones sleep.

    Several jobs share a machine. Where they have more threads than it has cores, spinning ones
    made translation ten to twenty times slower. The user's own settings stand.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    threads = len(os.sched_getaffinity(0)) // processes
    os.environ.setdefault("OMP_NUM_THREADS", str(max(threads, 1)))
