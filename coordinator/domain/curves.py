"""Event files for TensorBoard: where a job may leave them, and which are kept."""

import re
from pathlib import Path

VARIABLE = "COORDINATOR_TENSORBOARD_DIR"  # of the environment: tells a job its item's folder
MOST_FILES = 16  # of one attempt
MOST_BYTES = 64 << 20  # of one file; a larger one is kept as it was before

_EVENT_FILE = re.compile(r"events\.out\.tfevents\.[A-Za-z0-9_.@+-]{1,160}")


def is_event_file(name: str) -> bool:
    """Whether a file is called as TensorBoard's event files are."""
    return _EVENT_FILE.fullmatch(name) is not None


def folder_beside(out: Path) -> Path:
    """Where an item's job may write event files: beside its folder `out`."""
    return out.parent / "tensorboard"
