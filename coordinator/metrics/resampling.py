"""The draws of resampling tests as numpy makes them for sacrebleu, and sums over them.

Draws are made in chunks of bounded size, which are the same numbers as all of them at once. Sums
of integers are products of matrices, in floats that hold every sum on the way exactly.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[Any]
Draws = NDArray[np.int64]  # (resamples, segments): which segment stands in each place
Coins = NDArray[np.bool_]  # (trials, segments)

CHUNK_CELLS = 1 << 22  # draws at a time: 32 MiB of indices
_WORD = 32  # coins come 32 from one number of the generator, and it begins anew with each call
_EXACT_IN_FLOAT32 = 1 << 24


def draws(
    rng: np.random.Generator, segments: int, resamples: int, cells: int = CHUNK_CELLS
) -> Iterator[Draws]:
    """As `rng.choice(segments, size=(resamples, segments))`, in chunks of resamples."""
    for count in _chunks(segments, resamples, cells):
        yield rng.choice(segments, size=(count, segments), replace=True)


@dataclass(frozen=True)
class Drawn:
    """Resamples.

    Attributes:
        places: which segment stands in each place, (resamples, segments).
    """

    places: Draws

    @cached_property
    def counts(self) -> NDArray[np.float32]:
        """How often each segment is in each resample, (resamples, segments)."""
        segments = self.places.shape[1]
        counted = (np.bincount(resample, minlength=segments) for resample in self.places)
        return np.stack([each.astype(np.float32) for each in counted])


def drawn(seed: int | None, segments: int, resamples: int) -> Iterable[Drawn]:
    """The resamples that a fresh generator draws.

    Those of one seed are the same for every text of as many segments: they are kept for the next
    one, since drawing takes longer than all else that a test does.
    """
    if seed is None or segments * resamples > CHUNK_CELLS:
        return map(Drawn, draws(np.random.default_rng(seed), segments, resamples))
    return _kept(seed, segments, resamples)


@lru_cache(maxsize=2)
def _kept(seed: int, segments: int, resamples: int) -> tuple[Drawn, ...]:
    return tuple(map(Drawn, draws(np.random.default_rng(seed), segments, resamples)))


def coins(
    rng: np.random.Generator, segments: int, trials: int, cells: int = CHUNK_CELLS
) -> Iterator[Coins]:
    """As `rng.integers(2, size=(trials, segments), dtype=bool)`, in chunks of trials."""
    for count in _chunks(segments, trials, cells):
        yield rng.integers(2, size=(count, segments), dtype=bool)


def sums_of_draws(statistics: Rows, drawn: Drawn) -> Rows:
    """The sums of each resample, (resamples, counts), as sacrebleu has them: in float32."""
    if not np.issubdtype(statistics.dtype, np.integer):
        return _added_in_float32(statistics, drawn.places)
    sums: Rows = drawn.counts @ statistics.astype(np.float32)
    if sums.max(initial=0) > _EXACT_IN_FLOAT32:  # on the way there the order begins to matter
        return _added_in_float32(statistics, drawn.places)
    return np.asarray(sums)


def sums_of_coins(heads: Rows, tails: Rows, tossed: Coins) -> Rows:
    """The sums of each trial, (trials, counts): a segment's row is of `heads` where its coin says
    so, else of `tails`.
    """
    if not all(np.issubdtype(rows.dtype, np.integer) for rows in (heads, tails)):
        return np.asarray(tossed @ heads + ~tossed @ tails)
    from_tails: NDArray[np.int64] = tails.sum(axis=0, dtype=np.int64)
    return from_tails + _product(tossed, heads.astype(np.int64) - tails)


def _product(tossed: Coins, rows: Rows) -> NDArray[np.int64]:
    """Integers, summed in floats that hold every partial sum."""
    small = np.abs(rows).sum(axis=0).max(initial=0) <= _EXACT_IN_FLOAT32
    kind = np.float32 if small else np.float64
    return np.asarray((tossed.astype(kind) @ rows.astype(kind)).astype(np.int64))


def _added_in_float32(statistics: Rows, drawn: Draws) -> Rows:
    rows = statistics.astype(np.float32)
    return np.stack([rows[resample].sum(0) for resample in drawn])


def _chunks(segments: int, total: int, cells: int) -> Iterator[int]:
    """How many resamples at a time, `total` in all."""
    most = max(_WORD, cells // max(segments, 1) // _WORD * _WORD)
    for begin in range(0, total, most):
        yield min(most, total - begin)
