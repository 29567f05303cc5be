"""Names that are not there, and those that may have been meant."""

from collections.abc import Iterator
from itertools import chain

from coordinator.domain.shown import for_terminal
from coordinator.errors import BadInput, BatchMissing, Problem
from coordinator.ledger import FILE, Ledger
from coordinator.settings import Settings, among


def batch_names(settings: Settings) -> list[str]:
    """The batches whose ledgers are on this machine."""
    if not settings.state_dir.is_dir():
        return []
    return sorted(path.parent.name for path in settings.state_dir.glob(f"*/{FILE}"))


def no_batch(settings: Settings, batch: str, error: BatchMissing) -> BatchMissing:
    """The same error, with the batches that there are."""
    known = batch_names(settings)
    none = f"there are no batches in {settings.state_dir}, where coordinator ls looks: --state_dir"
    hint = among(batch, known, "batch", len(known), "coordinator ls") if known else none
    return BatchMissing(error.what, why=error.why, hint=hint)


def no_item(ledger: Ledger, batch: str, item: str) -> BadInput:
    """The error about an item that the batch does not have."""
    return BadInput(f"batch {batch} has no item {item!r}", hint=_near(ledger, item))


def not_in_batch(ledger: Ledger, item: str) -> Problem:
    """The same as one of several problems."""
    return Problem(for_terminal(item), "is not in the batch", _near(ledger, item))


def _near(ledger: Ledger, item: str) -> str:
    return among(item, _candidates(ledger, item), "item", ledger.tally().total)


def _candidates(ledger: Ledger, item: str) -> Iterator[str]:
    """Those that begin alike, wherever in the list they stand; then the first of the list."""
    around = dict.fromkeys(ledger.ids_around(item))
    return chain(around, (name for name in ledger.item_ids() if name not in around))
