"""What `compare` learns from the files beside two batches' scores: signatures, and paired tests."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from coordinator.clock import Clock
from coordinator.commands.batch_logs import known_record
from coordinator.domain.paths import BatchKeys
from coordinator.errors import BadInput, ObjectMissing
from coordinator.metrics import SCORES, STATISTICS, ItemScores, read_scores, sacrebleu_seed
from coordinator.metrics.significance import Method, usual_samples
from coordinator.metrics.stored import read_statistics
from coordinator.parallel import ordered_map
from coordinator.reports.comparison.legend import Signatures
from coordinator.reports.comparison.result import PairedTests
from coordinator.reports.significance import (
    Difference,
    ScoredItem,
    Untested,
    adjusted,
    differences_of,
    signatures_of,
)
from coordinator.settings import Settings
from coordinator.storage import Storage, open_storage

LANES = 4
Progress = Callable[[str, int, int | None], None]


@dataclass(frozen=True)
class Examined:
    """What the stored files of two batches say.

    Attributes:
        signatures: item -> those of the metrics of both, where its files could be read.
        tests: None = none were asked for.
        other_references: items that were not scored against the same references.
    """

    signatures: Mapping[str, Signatures]
    tests: PairedTests | None
    other_references: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outputs:
    """Where a batch's files are."""

    storage: Storage
    keys: BatchKeys

    def scores(self, item: str) -> ItemScores:
        """Raises BadInput or ObjectMissing: the file is not there, or is none."""
        return read_scores(self._read(item, SCORES))

    def scored(self, item: str, scores: ItemScores) -> ScoredItem:
        """Raises as `scores`."""
        return ScoredItem(scores, read_statistics(self._read(item, STATISTICS)))

    def _read(self, item: str, name: str) -> bytes:
        return self.storage.read(self.keys.published(item, name))


@dataclass(frozen=True)
class _Item:
    """One item. `reason`: why it was not tested; "" = it was."""

    item: str
    signatures: Signatures = field(default_factory=dict)
    differences: Sequence[Difference] = ()
    reason: str = ""
    same_references: bool = True


def outputs_of(settings: Settings, batch: str, clock: Clock) -> Outputs:
    """Where the files of a batch are.

    Raises:
        BadInput: its ledger, which knows that, is not on this machine.
    """
    record = known_record(settings, batch, clock)
    if record is None:
        raise BadInput(
            f"the ledger of batch {batch} is not on this machine",
            why="it says where the batch's outputs are, with the statistics of each sentence",
            hint="run this where the batch ran, or with --significance none",
        )
    return Outputs(open_storage(record.output_root), BatchKeys(batch))


def examine(
    outputs: tuple[Outputs, Outputs],
    items: Sequence[str],
    test: Method | None,
    on_progress: Progress,
    *,
    samples: int | None = None,
) -> Examined:
    """Look at the files of each of the items, and test the difference in every metric of both.

    Args:
        outputs: where those of A are, and those of B.
        items: ids.
        test: which one; None = only the signatures are read.
        on_progress: is told how far it is.
        samples: resamples or trials of each test; None = sacrebleu's defaults.

    Raises:
        BadInput: there is no such seed ($SACREBLEU_SEED).
    """
    seed = sacrebleu_seed() if test else None
    work = partial(_examined, outputs, test, seed, samples)
    seen, what = [], "items tested" if test else "items read"
    for done, found in enumerate(ordered_map(work, items, LANES), start=1):
        seen.append(found)
        on_progress(what, done, len(items))
    return Examined(
        {found.item: found.signatures for found in seen if found.signatures},
        _tests(test, seed, samples, seen) if test else None,
        tuple(found.item for found in seen if not found.same_references),
    )


def _examined(
    outputs: tuple[Outputs, Outputs],
    test: Method | None,
    seed: int | None,
    samples: int | None,
    item: str,
) -> _Item:
    told: Signatures = {}
    try:
        scores = [each.scores(item) for each in outputs]
        told = signatures_of(*scores)
        if scores[0].reference_sha256 != scores[1].reference_sha256:
            reason = "scored against different references"
            return _Item(item, told, reason=reason, same_references=False)
        if test is None:
            return _Item(item, told)
        a, b = (each.scored(item, own) for each, own in zip(outputs, scores, strict=True))
        return _Item(item, told, differences_of(item, a, b, test, seed=seed, samples=samples))
    except (BadInput, ObjectMissing) as error:
        return _Item(item, told, reason=str(error))


def _tests(
    test: Method, seed: int | None, samples: int | None, seen: Sequence[_Item]
) -> PairedTests:
    differences = adjusted(each for found in seen for each in found.differences)
    untested = (Untested(found.item, found.reason) for found in seen if found.reason)
    count = usual_samples(test) if samples is None else samples
    return PairedTests(test, seed, count, tuple(differences), tuple(untested))
