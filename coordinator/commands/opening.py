"""A batch from Python: the records that `--json` shows."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from coordinator.bootstrap import make_clock
from coordinator.clock import Clock
from coordinator.commands.exporting import items_of
from coordinator.commands.status import status
from coordinator.domain.plain import plain
from coordinator.reports.export.filters import conditions, kept
from coordinator.reports.items import Items
from coordinator.settings import Settings, load_settings


@dataclass(frozen=True)
class BatchView:
    """One batch as it stood when it was first looked at; nothing is changed or written.

    What is asked of the logs is read once: open the batch again to see how it went on.
    """

    name: str
    settings: Settings
    clock: Clock

    def status(self) -> dict[str, Any]:
        """As `coordinator status NAME --json` has it, from the ledger, anew at each call.

        Raises:
            BatchMissing: the ledger is not on this machine.
        """
        found: dict[str, Any] = plain(status(self.settings, self.name, self.clock).to_json())
        return found

    def items(self, *filters: str) -> Iterator[dict[str, Any]]:
        """As `coordinator report NAME --format ndjson` has them, from the logs, sorted by item.

        Args:
            filters: conditions like `state=failed` that all have to hold; see `--filter`.

        Raises:
            BadInput: there are no logs of the batch.
            UsageError: a condition that cannot be.
        """
        rows = kept(self._items.rows(), conditions(filters, self._items))
        return (plain(row) for row in rows)

    def summary(self) -> dict[str, Any]:
        """As `summary.json` has it, from the logs; no files are written, and none are named.

        Raises:
            BadInput: there are no logs of the batch.
        """
        found: dict[str, Any] = plain(self._items.summary.to_json())
        return found

    @cached_property
    def _items(self) -> Items:
        return items_of(self.settings, self.name, self.clock)


def open_batch(name: str, settings: Settings | None = None) -> BatchView:
    """Look at a batch.

    Args:
        name: the batch's.
        settings: where ledgers and logs are; None = as for the command line: from the environment
            and from `settings.yml` in the working folder.

    Raises:
        UsageError: the settings cannot be used.
    """
    return BatchView(name, settings or load_settings(None), make_clock())
