"""`compare --significance`: tests of two batches, from the statistics beside their scores."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from coordinator.clock import Clock
from coordinator.commands.reporting import known_record
from coordinator.domain.paths import BatchKeys
from coordinator.errors import BadInput, ObjectMissing
from coordinator.metrics import SCORES, STATISTICS, read_scores, sacrebleu_seed
from coordinator.metrics.significance import Method
from coordinator.metrics.stored import read_statistics
from coordinator.parallel import ordered_map
from coordinator.reports.significance import (
    Difference,
    ScoredItem,
    Untested,
    adjusted,
    differences_of,
)
from coordinator.settings import Settings
from coordinator.storage import Storage, open_storage

LANES = 2
Progress = Callable[[str, int, int | None], None]


@dataclass(frozen=True)
class Significance:
    """All tests of two batches.

    Attributes:
        seed: of the generator; None = another one for each test.
        tests: by metric, then in the order of the items.
    """

    test: Method
    seed: int | None
    tests: tuple[Difference, ...]
    untested: tuple[Untested, ...]


@dataclass(frozen=True)
class _Outputs:
    """Where a batch's files are."""

    storage: Storage
    keys: BatchKeys

    def scored(self, item: str) -> ScoredItem:
        """Raises BadInput or ObjectMissing: its files are not there, or are no such files."""
        scores = read_scores(self._read(item, SCORES))
        return ScoredItem(scores, read_statistics(self._read(item, STATISTICS)))

    def _read(self, item: str, name: str) -> bytes:
        return self.storage.read(self.keys.published(item, name))


def significance(
    settings: Settings,
    a: str,
    b: str,
    items: Sequence[str],
    test: Method,
    clock: Clock,
    on_progress: Progress,
) -> Significance:
    """Test the difference of each of the items, in every metric that both batches have.

    Raises:
        BadInput: a batch's ledger, which knows where its outputs are, is not on this machine; or
            there is no such seed ($SACREBLEU_SEED).
    """
    outputs = [_outputs(settings, batch, clock) for batch in (a, b)]
    seed = sacrebleu_seed()
    work = partial(_tests_of, outputs[0], outputs[1], test, seed)
    tests: list[Difference] = []
    untested: list[Untested] = []
    for done, found in enumerate(ordered_map(work, items, LANES), start=1):
        if isinstance(found, Untested):
            untested.append(found)
        else:
            tests.extend(found)
        on_progress("items tested", done, len(items))
    return Significance(test, seed, tuple(adjusted(tests)), tuple(untested))


def _outputs(settings: Settings, batch: str, clock: Clock) -> _Outputs:
    record = known_record(settings, batch, clock)
    if record is None:
        raise BadInput(
            f"the ledger of batch {batch} is not on this machine",
            why="it says where the batch's outputs are, with the statistics of each sentence",
            hint="run this where the batch ran, or leave --significance out",
        )
    return _Outputs(open_storage(record.output_root), BatchKeys(batch))


def _tests_of(
    a: _Outputs, b: _Outputs, test: Method, seed: int | None, item: str
) -> list[Difference] | Untested:
    try:
        return differences_of(item, a.scored(item), b.scored(item), test, seed=seed)
    except (BadInput, ObjectMissing) as error:
        return Untested(item, str(error))
