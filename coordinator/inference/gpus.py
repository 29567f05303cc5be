"""Which GPUs this job may use, and whether it uses one."""

import re
from collections.abc import Mapping
from itertools import takewhile
from pathlib import Path

from coordinator.errors import ModelError

_DEVICE = re.compile(r"nvidia\d+")


def usable_gpus(environment: Mapping[str, str], devices: Path = Path("/dev")) -> list[str]:
    """As CUDA_VISIBLE_DEVICES names them: where that is not set, by number, from 0."""
    given = environment.get("CUDA_VISIBLE_DEVICES")
    if given is not None:
        names = (name.strip() for name in given.split(","))
        return list(takewhile(lambda name: name not in ("", "-1"), names))  # as CUDA reads it
    found = [path for path in devices.iterdir() if _DEVICE.fullmatch(path.name)]
    return [str(number) for number in range(len(found))]


def device_for(asked: str | None, *, there: bool, library: str) -> str:
    """`asked`, or what is there. Raises ModelError: a GPU was asked for that the library lacks."""
    if asked == "cuda" and not there:
        raise ModelError(
            "there is no GPU here",
            why=f"the device cuda was asked for, and {library} finds none",
            hint="ask for cpu, or run the job where a GPU is",
        )
    return asked or ("cuda" if there else "cpu")
