"""The number of edits of TER, compiled by numba: the very number that sacrebleu's `lib_ter` finds.

sacrebleu keeps the rows of the edit table of every order of words that it has met. Here, two tables
are kept for the words as they stand: what it costs to come to a cell, and what is left from there
to the end. A shift moves the words of a span and leaves the others, so only the rows of the span
are filled anew, and the cheapest way through the last of them is the distance after the shift.
Beam, limits, and which of several equal shifts is taken are sacrebleu's (2.6.0).

Importing this module imports numba.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numba import types
from numpy.typing import NDArray

from coordinator.metrics.jit import INT32, INT64, compiled

Ids = NDArray[np.int32]
Places = NDArray[np.int64]
Costs = NDArray[np.int32]

# Compiled code is kept on disk by this file's date: constants of another module would go stale.
BEAM_WIDTH = 25
MAX_SHIFT_SIZE = 10
MAX_SHIFT_DIST = 50
MAX_SHIFT_CANDIDATES = 1000

_INFINITY = 1 << 29
_NO_WORD = -2  # unlike any word, and unlike the -1 of words that the reference lacks
_NOTHING = (-_INFINITY, 0, 0, 0)
_FIRST, _LAST, _LEFT = 0, 1, 2
_BEFORE, _AFTER, _TRIAL = 0, 1, 2
_KEPT, _REPLACED, _DROPPED, _ADDED = 0, 1, 2, 3

Shift = tuple[int, int, int, int]  # gain, words, -start, -target: the greatest is the best


class _Tables(NamedTuple):
    """Rows are places in the hypothesis, columns in the reference.

    `beam` is (3, rows): for each row its FIRST column and the one after its LAST, outside of which
    all costs are infinite, and LEFT, the column that the row begins with in `costs`: as far left as
    its neighbours look.

    `costs` is (3, rows, columns kept): of the way to a cell (BEFORE), of the way from there to the
    end (AFTER), and of the way to a cell after a shift that is being tried (TRIAL).
    """

    words: Any  # the hypothesis as it stands
    reference: Any  # with `_NO_WORD` at its end
    beam: Any
    costs: Any


class _Alignment(NamedTuple):
    """Where each word of the reference went, and how many words before a place are wrong."""

    place: Any
    reference_wrong: Any
    words_wrong: Any


@compiled()
def _edits(words: Ids, reference: Ids) -> int:
    rows, columns = len(words), len(reference)
    if rows == 0 or columns == 0:
        return max(rows, columns)
    tables = _tables(words, reference)
    _fill_before(tables, _BEFORE, 1, rows)
    _fill_after(tables, rows - 1)
    shifts = checked = 0
    while True:
        distance = int(tables.costs[_BEFORE, rows, columns - tables.beam[_LEFT, rows]])
        best, checked = _best_shift(tables, distance, checked)
        if checked >= MAX_SHIFT_CANDIDATES or best[0] <= 0:
            return int(shifts + distance)
        _make_shift(tables, -best[2], best[1], -best[3])
        shifts += 1


@compiled()
def _tables(words: Ids, reference: Ids) -> _Tables:
    rows, columns = len(words), len(reference)
    beam = _beam(rows, columns)
    kept = 0
    for i in range(rows + 1):
        kept = max(kept, beam[_LAST, min(i + 1, rows)] - beam[_LEFT, i] + 1)
    costs = np.full((3, rows + 1, kept), _INFINITY, np.int32)
    for j in range(beam[_LAST, 0]):
        costs[_BEFORE, 0, j + 1] = j
    for j in range(beam[_FIRST, rows], columns + 1):
        costs[_AFTER, rows, j - beam[_LEFT, rows]] = columns - j
    ended = np.full(columns + 1, _NO_WORD, np.int32)
    for j in range(columns):
        ended[j] = reference[j]
    return _Tables(words.copy(), ended, beam, costs)


@compiled()
def _beam(rows: int, columns: int) -> Places:
    ratio = columns / rows
    width = BEAM_WIDTH
    if width < ratio / 2:
        width = math.ceil(ratio / 2 + BEAM_WIDTH)
    beam = np.empty((3, rows + 1), np.int64)
    beam[_FIRST, 0] = 0
    beam[_LEFT, 0] = -1
    for i in range(1, rows + 1):
        diagonal = math.floor(i * ratio)
        beam[_FIRST, i] = max(0, diagonal - width)
        beam[_LAST, i] = min(columns + 1, diagonal + width)
        beam[_LEFT, i] = beam[_FIRST, i - 1] - 1
    beam[_LAST, rows] = columns + 1
    beam[_LAST, 0] = beam[_LAST, 1]  # row 0 is whole, but no more of it is ever looked at
    return beam


@compiled()
def _fill_before(tables: _Tables, kind: int, begin: int, end: int) -> None:
    """Fills rows `begin` to `end` (with it) of BEFORE or TRIAL; the row above is filled already."""
    for i in range(begin, end + 1):
        above, row = tables.costs[kind, i - 1], tables.costs[kind, i]
        above_left, left = tables.beam[_LEFT, i - 1], tables.beam[_LEFT, i]
        word, cost = tables.words[i - 1], _INFINITY
        for j in range(tables.beam[_FIRST, i], tables.beam[_LAST, i]):
            kept = above[j - 1 - above_left] + (tables.reference[j - 1] != word)
            cost = min(kept, above[j - above_left] + 1, cost + 1)
            row[j - left] = cost


@compiled()
def _fill_after(tables: _Tables, begin: int) -> None:
    """Fills rows `begin` up to 1 of AFTER; the row below is filled already."""
    for i in range(begin, 0, -1):
        below, row = tables.costs[_AFTER, i + 1], tables.costs[_AFTER, i]
        below_left, left = tables.beam[_LEFT, i + 1], tables.beam[_LEFT, i]
        word, cost = tables.words[i], _INFINITY
        for j in range(tables.beam[_LAST, i] - 1, tables.beam[_FIRST, i] - 1, -1):
            kept = below[j + 1 - below_left] + (tables.reference[j] != word)
            cost = min(kept, below[j - below_left] + 1, cost + 1)
            row[j - left] = cost


@compiled()
def _best_shift(tables: _Tables, distance: int, checked: int) -> tuple[Shift, int]:
    """The best shift, and how many have been tried with those before.

    Every stretch of words is looked for that occurs in both, not too far apart.
    """
    words, reference = tables.words, tables.reference
    aligned = _alignment(tables)
    best = _NOTHING
    for start in range(len(words)):
        nearest = max(0, start - MAX_SHIFT_DIST)
        for at in range(nearest, min(len(reference) - 1, start + MAX_SHIFT_DIST + 1)):
            for size in range(1, min(MAX_SHIFT_SIZE, len(words) - start) + 1):
                if words[start + size - 1] != reference[at + size - 1]:
                    break
                if _may_move(aligned, start, at, size):
                    best, checked = _try_targets(
                        tables, aligned, distance, start, at, size, best, checked
                    )
                    if checked >= MAX_SHIFT_CANDIDATES:
                        return best, checked
    return best, checked


@compiled()
def _may_move(aligned: _Alignment, start: int, at: int, size: int) -> bool:
    """Whether the words are wrong here, missing there, and `there` is outside of them."""
    words_wrong, reference_wrong = aligned.words_wrong, aligned.reference_wrong
    return (
        words_wrong[start + size] > words_wrong[start]
        and reference_wrong[at + size] > reference_wrong[at]
        and not start <= aligned.place[at] < start + size
    )


@compiled()
def _try_targets(
    tables: _Tables,
    aligned: _Alignment,
    distance: int,
    start: int,
    at: int,
    size: int,
    best: Shift,
    checked: int,
) -> tuple[Shift, int]:
    """Tries to put the words before, and after each of, those that are in their place."""
    previous = -1
    for offset in range(at - 1, at + size):
        target = aligned.place[offset] + 1 if offset >= 0 else 0
        if target != previous:
            previous = target
            checked += 1
            gain = distance - _distance_after(tables, start, size, target)
            shift = (gain, size, -start, -target)
            if shift > best:
                best = shift
    return best, checked


@compiled()
def _distance_after(tables: _Tables, start: int, size: int, target: int) -> int:
    """The distance with the words shifted; `tables.words` is left as it was."""
    words = tables.words
    begin, middle, end = _rotation(len(words), start, size, target)
    _rotate(words, begin, middle, end)
    for column in range(tables.costs.shape[2]):
        tables.costs[_TRIAL, begin, column] = tables.costs[_BEFORE, begin, column]
    _fill_before(tables, _TRIAL, begin + 1, end)
    _rotate(words, begin, begin + end - middle, end)
    return _way_through(tables.costs[_TRIAL, end], tables.costs[_AFTER, end])


@compiled()
def _way_through(before: Costs, after: Costs) -> int:
    """The cheapest way through a row."""
    cheapest = 2 * _INFINITY
    for column in range(len(before)):
        cheapest = min(cheapest, before[column] + after[column])
    return cheapest


@compiled()
def _rotation(count: int, start: int, size: int, target: int) -> tuple[int, int, int]:
    """A shift as two neighbours that change places: words from begin, and from middle to end."""
    if target < start:
        return target, start, start + size
    if target > start + size:
        return start, start + size, target
    return start, start + size, min(count, size + target)  # within its own words: sacrebleu's way


@compiled()
def _rotate(words: Ids, begin: int, middle: int, end: int) -> None:
    moved, rest = words[begin:middle].copy(), end - middle
    for n in range(rest):
        words[begin + n] = words[middle + n]
    for n in range(len(moved)):
        words[begin + rest + n] = moved[n]


@compiled()
def _make_shift(tables: _Tables, start: int, size: int, target: int) -> None:
    begin, middle, end = _rotation(len(tables.words), start, size, target)
    _rotate(tables.words, begin, middle, end)
    _fill_before(tables, _BEFORE, begin + 1, len(tables.words))
    _fill_after(tables, end - 1)


@compiled()
def _alignment(tables: _Tables) -> _Alignment:
    """Goes the cheapest way back from the end."""
    i, j = len(tables.words), len(tables.reference) - 1
    place = np.empty(j, np.int64)
    reference_wrong, words_wrong = np.full(j + 1, 0), np.full(i + 1, 0)
    while i > 0 or j > 0:
        step = _last_step(tables, i, j)
        if step != _DROPPED:
            place[j - 1] = i - 1
            reference_wrong[j] = step != _KEPT
        if step != _ADDED:
            words_wrong[i] = step != _KEPT
        i -= step != _ADDED
        j -= step != _DROPPED
    _add_up(reference_wrong)
    _add_up(words_wrong)
    return _Alignment(place, reference_wrong, words_wrong)


@compiled()
def _add_up(counts: Places) -> None:
    for n in range(1, len(counts)):
        counts[n] += counts[n - 1]


@compiled()
def _last_step(tables: _Tables, i: int, j: int) -> int:
    """Of equally cheap steps, the word is kept or replaced, or else dropped."""
    if i == 0:
        return _ADDED
    above, above_left = tables.costs[_BEFORE, i - 1], tables.beam[_LEFT, i - 1]
    cost = tables.costs[_BEFORE, i, j - tables.beam[_LEFT, i]]
    wrong = tables.words[i - 1] != tables.reference[j - 1]
    if cost == above[j - 1 - above_left] + wrong:
        return _REPLACED if wrong else _KEPT
    return _DROPPED if cost == above[j - above_left] + 1 else _ADDED


@compiled(types.int64[::1](INT32, INT64, INT32, INT64))
def count_edits(words: Ids, words_at: Places, references: Ids, references_at: Places) -> Places:
    """The edits of each segment.

    Args:
        words: the hypotheses' words, all segments in a row; equal words have equal numbers, of
            zero or more, and words that no reference has are -1.
        words_at: (segments + 1,) where each segment begins, and where the last one ends.
        references: one reference's words, likewise.
        references_at: as `words_at`.
    """
    edits = np.empty(len(words_at) - 1, np.int64)
    for n in range(len(edits)):
        hypothesis = words[words_at[n] : words_at[n + 1]]
        edits[n] = _edits(hypothesis, references[references_at[n] : references_at[n + 1]])
    return edits
