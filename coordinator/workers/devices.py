"""The GPUs that a scheduler gave to a job, as CUDA is told of them."""

from collections.abc import MutableMapping

_NO_LIST = {"", "all", "none", "void"}  # words of NVIDIA's container runtime


def use_given_devices(environment: MutableMapping[str, str]) -> None:
    """Let CUDA see just the GPUs of `NVIDIA_VISIBLE_DEVICES`.

    Outside containers nothing else heeds that variable, which is all that Nomad's device plugin
    sets: two jobs of one node would share its first GPU. To be called before CUDA is loaded.
    """
    given = environment.get("NVIDIA_VISIBLE_DEVICES", "")
    if given not in _NO_LIST:
        environment.setdefault("CUDA_VISIBLE_DEVICES", given)
