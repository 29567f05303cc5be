"""What the GPUs of a job are doing, where there are any and NVIDIA's library is installed."""

from collections.abc import Mapping
from typing import Any

_MB = 1e6


class Gpus:
    """The GPUs that a job was given; none where they cannot be asked."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._nvml, self._handles = _opened(environment.get("CUDA_VISIBLE_DEVICES"))

    def look(self) -> tuple[float, float] | None:
        """Percent of time that they are busy (mean), and MB of their memory in use (sum)."""
        if not self._handles:
            return None
        try:
            busy = [self._nvml.nvmlDeviceGetUtilizationRates(h).gpu for h in self._handles]
            used = [self._nvml.nvmlDeviceGetMemoryInfo(h).used for h in self._handles]
        except self._nvml.NVMLError:  # a card that has gone, or that tells nothing of itself
            return None
        return sum(busy) / len(busy), sum(used) / _MB


def _opened(visible: str | None) -> tuple[Any, list[Any]]:
    try:
        import pynvml  # nvidia-ml-py: an extra
    except ImportError:
        return None, []
    nvml: Any = pynvml
    try:
        nvml.nvmlInit()
        return nvml, [_handle(nvml, name) for name in _names(nvml, visible)]
    except (nvml.NVMLError, ValueError):  # no driver, or a name that it does not know
        return nvml, []


def _names(nvml: Any, visible: str | None) -> list[str]:
    """Numbers or UUIDs, as CUDA takes them; all where nothing was said.

    CUDA counts the fastest first and NVML by slot: with cards of one kind that is the same.
    """
    if visible is None:
        return [str(number) for number in range(nvml.nvmlDeviceGetCount())]
    return [name.strip() for name in visible.split(",") if name.strip()]


def _handle(nvml: Any, name: str) -> Any:
    if name.startswith(("GPU-", "MIG-")):
        return nvml.nvmlDeviceGetHandleByUUID(name)
    return nvml.nvmlDeviceGetHandleByIndex(int(name))
