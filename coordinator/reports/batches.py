"""Which folder holds the logs of the batch that is asked for."""

import os
from pathlib import Path

from coordinator.domain.shown import for_terminal
from coordinator.errors import BadInput
from coordinator.reports.run_list import ITEMS_FILE
from coordinator.settings import among

BATCH_FILE = "batch.json"
BATCH_MARKS = {BATCH_FILE, ITEMS_FILE, "coordinator.log"}
_MOST_NAMED = 10


def find_batch(log_dir: Path, batch: str | None) -> Path:
    """The folder of the batch: `log_dir` itself, or one in it.

    Raises:
        BadInput: there is none, or there are several and none is named.
    """
    if not log_dir.is_dir():
        raise BadInput(
            f"there is no log folder {log_dir}", hint="give --log_dir the folder with the logs"
        )
    here = {log_dir.name: log_dir} if _is_batch(log_dir) else _batches_in(log_dir)
    if batch is not None:
        return _named(batch, here, log_dir)
    if len(here) == 1:
        return next(iter(here.values()))
    if not here:
        raise BadInput(
            f"{log_dir} holds no logs of a batch",
            why="neither it nor a folder in it has a batch.json or a dispatch.json",
            hint="give --log_dir the folder that the batch wrote its logs to",
        )
    raise BadInput(
        f"{log_dir} holds the logs of {len(here)} batches",
        why=_names(here),
        hint="say which: --batch_name NAME",
    )


def _named(batch: str, here: dict[str, Path], log_dir: Path) -> Path:
    if batch in here:
        return here[batch]
    raise BadInput(
        f"{log_dir} holds no logs of a batch {for_terminal(batch)}",
        why=f"there is {_names(here)}" if here else "there are no logs of any batch",
        hint=f"{among(for_terminal(batch), map(for_terminal, sorted(here)), 'batch', len(here))};"
        " or check --log_dir",
    )


def _batches_in(log_dir: Path) -> dict[str, Path]:
    folders = sorted(e.name for e in os.scandir(log_dir) if e.is_dir(follow_symlinks=False))
    return {name: log_dir / name for name in folders if _is_batch(log_dir / name)}


def _is_batch(folder: Path) -> bool:
    """Whether `folder` looks like `<batch>/` of the log tree, be it half there."""
    try:
        names = set(os.listdir(folder))
    except OSError:
        return False
    return (
        bool(names & BATCH_MARKS)
        or any(folder.glob("*/*/dispatch.json"))
        or any(folder.glob("*/dispatch-[[]*"))  # of another batch system, to be read by rules
    )


def _names(here: dict[str, Path]) -> str:
    names = sorted(here)
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(map(for_terminal, names[:_MOST_NAMED])) + more
