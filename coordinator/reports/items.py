"""The items of a batch as rows, for whoever wants them without a report."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from coordinator.reports.rows import Row
from coordinator.reports.summary import Summary

LIMITED = "limited"  # a field of every row, where something was left out of the batch


@dataclass(frozen=True)
class Items:
    """What a report knows of a batch and of each of its items.

    Attributes:
        summary: as a report has it; no files were written.
        steps: all, in order.
        ids: the run list, sorted.
        metrics: that any item has a score of, sorted.
        made: a row for each item of the run list, anew at each call.
    """

    summary: Summary
    steps: tuple[str, ...]
    ids: tuple[str, ...]
    metrics: tuple[str, ...]
    made: Callable[[], Iterator[Row]]

    @property
    def batch(self) -> str:
        return self.summary.batch

    @property
    def limited(self) -> str:
        """What was left out of the batch, in words; "" = nothing."""
        return self.summary.limited

    def rows(self) -> Iterator[Row]:
        """One for each item of the run list, sorted by item, made as it is asked for."""
        mark = {LIMITED: self.limited} if self.limited else {}
        return ({**row, **mark} for row in self.made()) if mark else self.made()
