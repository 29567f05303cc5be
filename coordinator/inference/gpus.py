"""Which GPUs this job may use, without loading what would use them."""

import re
from collections.abc import Mapping
from itertools import takewhile
from pathlib import Path

_DEVICE = re.compile(r"nvidia\d+")


def usable_gpus(environment: Mapping[str, str], devices: Path = Path("/dev")) -> list[str]:
    """As CUDA_VISIBLE_DEVICES names them: where that is not set, by number, from 0."""
    given = environment.get("CUDA_VISIBLE_DEVICES")
    if given is not None:
        names = (name.strip() for name in given.split(","))
        return list(takewhile(lambda name: name not in ("", "-1"), names))  # as CUDA reads it
    found = [path for path in devices.iterdir() if _DEVICE.fullmatch(path.name)]
    return [str(number) for number in range(len(found))]
