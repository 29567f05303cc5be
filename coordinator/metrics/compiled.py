"""The choice between loops compiled by numba (the extra `fast`) and numpy; the numbers are equal.

The environment variable COORDINATOR_SCORING=numpy chooses numpy where numba is installed, too.
"""

import functools
import importlib
import os
from typing import Any


def kernels(module: str = "kernels") -> Any:
    """A module of compiled loops, or None. What it costs to load, the first caller pays."""
    return None if os.environ.get("COORDINATOR_SCORING") == "numpy" else _load(module)


@functools.cache
def _load(module: str) -> Any:
    try:
        return importlib.import_module(f"coordinator.metrics.{module}")
    except ImportError:  # no numba, or none that goes with this numpy
        return None
