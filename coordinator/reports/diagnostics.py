"""What the dispatches of a batch used, as the run `Diagnostics` of TensorBoard."""

from itertools import islice
from pathlib import Path
from typing import Any, Self

from coordinator.domain.usage import COLUMNS, Row, Series
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
        with Diagnostics(folder) as written:
            for logs, series in (first, *found):
                written.add(logs.folder.parent.name, logs.folder.name, series)
            return written.count
    except OSError as error:
        raise UsageError(
            f"{folder} cannot be written", why=error.strerror or str(error), hint="choose another"
        ) from error


class Diagnostics:
    """The run `Diagnostics` below a folder, which may grow. A context manager.

    Raises UsageError where the library is missing.
    """

    def __init__(self, folder: Path) -> None:
        self._writer = _writer(folder / RUN)
        self._first: dict[str, float] = {}  # series -> when it began
        self._last: dict[str, float] = {}  # series -> time of the last row that is written

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._writer.close()

    @property
    def count(self) -> int:
        """Dispatches of which there is something."""
        return len(self._last)

    def add(self, step: str, dispatch: str, series: Series) -> None:
        """What of a dispatch's series is newer than what was added before."""
        name = f"{step}/{dispatch}"
        if not series.rows or (name not in self._last and self.count >= MOST):
            return
        began = self._first.setdefault(name, series.rows[0].time - series.rows[0].seconds)
        before = self._last.get(name, began)
        for row in series.rows:
            if row.time > before:
                self._add(name, round(row.time - began), row)
        self._last[name] = max(before, series.rows[-1].time)

    def flush(self) -> None:
        self._writer.flush()

    def _add(self, name: str, second: int, row: Row) -> None:
        for column, value in zip(COLUMNS, row.values, strict=True):
            if value is not None:
                self._writer.add_scalar(f"{column}/{name}", value, second, walltime=row.time)


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
