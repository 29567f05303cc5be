"""Runs batches of jobs on Nomad or on the embedded executor, and accounts for each item."""

from typing import TYPE_CHECKING

from coordinator.lazily import imports_of

if TYPE_CHECKING:
    from coordinator.commands.opening import BatchView, open_batch

__all__ = ["BatchView", "__version__", "open_batch"]
__version__ = "0.1.0"

if not TYPE_CHECKING:  # or every name would be thought to exist
    __getattr__ = imports_of(__name__, {"commands.opening": ("BatchView", "open_batch")})
