"""What the dispatches of a batch used, as the run `Diagnostics` of TensorBoard."""

from itertools import islice
from pathlib import Path
from typing import Any

from coordinator.domain.usage import COLUMNS, Series
from coordinator.errors import UsageError
from coordinator.reports.batches import find_batch
from coordinator.reports.resources import series_of
from coordinator.reports.tree import Tree

RUN = "Diagnostics"
MOST = 500  # dispatches: TensorBoard shows no more in a useful way
_SUFFIX = ".coordinator"  # of the files that are ours


def write_diagnostics(log_dir: Path, batch: str | None, folder: Path) -> int:
    """Write `<folder>/Diagnostics/`, in place of what was there of an earlier time.

    A tag is `<column>/<step>/<dispatch>`, a step a whole second since the first measurement of
    that dispatch.

    Returns:
        How many dispatches are in it.

    Raises:
        UsageError: nothing was measured, the library is missing, or the folder cannot be written.
        BadInput: no such logs, or several batches and none named.
    """
    tree = Tree(log_dir.resolve())
    found = islice(series_of(tree, find_batch(tree.base, batch)), MOST)
    first = next(found, None)
    if first is None:
        raise UsageError(
            "nothing of this batch was measured",
            hint="--monitoring_interval_seconds 10 when it is submitted",
        )
    try:
        with _writer(folder / RUN) as writer:
            count = 0
            for logs, series in (first, *found):
                _add(writer, f"{logs.folder.parent.name}/{logs.folder.name}", series)
                count += 1
            return count
    except OSError as error:
        raise UsageError(
            f"{folder} cannot be written", why=error.strerror or str(error), hint="choose another"
        ) from error


def _writer(folder: Path) -> Any:
    try:
        from tensorboardX.writer import SummaryWriter
    except ImportError as error:
        raise UsageError(
            "event files for TensorBoard cannot be written",
            why="the library tensorboardX is not installed",
            hint="pip install 'coordinator[monitor]'",
        ) from error
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob(f"events.out.tfevents.*{_SUFFIX}"):
        old.unlink()
    return SummaryWriter(str(folder), filename_suffix=_SUFFIX)


def _add(writer: Any, name: str, series: Series) -> None:
    began = series.rows[0].time - series.rows[0].seconds
    for row in series.rows:
        for column, value in zip(COLUMNS, row.values, strict=True):
            if value is not None:
                second = round(row.time - began)
                writer.add_scalar(f"{column}/{name}", value, second, walltime=row.time)
