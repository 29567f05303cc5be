"""The token budget of a torch model on its GPU. On a real GPU this has not been run yet."""

import torch

from coordinator.inference.faults import model_errors
from coordinator.inference.probe import largest_budget
from coordinator.inference.torch_backend import TorchBackend


def measured_budget(backend: TorchBackend) -> int | None:
    """Tokens that a batch may hold; None = not known: no GPU, or no greedy writing of our own.

    Sentences as long as the model reads are translated into texts as long as it writes.

    Raises:
        ModelError: the model failed at that.
    """
    writer, longest = backend.writer, backend.longest
    if backend.device != "cuda" or writer is None:
        return None

    def used(tokens: int) -> float:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        with model_errors("measuring its memory"), torch.inference_mode():
            writer.exhaust(tokens // longest, longest)
        return _share_in_use()

    found = largest_budget(used, longest)
    torch.cuda.empty_cache()
    return found


def _share_in_use() -> float:
    """Of the GPU's memory: at most by this process since the last reset, and by others now."""
    free, total = torch.cuda.mem_get_info()
    others = total - free - torch.cuda.memory_reserved()
    return (others + torch.cuda.max_memory_reserved()) / total
