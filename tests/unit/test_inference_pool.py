"""How batches are made of the rows in hand."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from coordinator.inference.backend import Row
from coordinator.inference.pool import Pool, Unit, cost

ROWS = st.lists(  # item, tokens
    st.tuples(st.integers(0, 5), st.integers(1, 40)), max_size=60
)
TOKENS = st.none() | st.integers(1, 200)
MOST = st.none() | st.integers(1, 10)


def units(rows: Sequence[tuple[int, int]]) -> list[Unit]:
    """Items 0 to 2 are of one direction, the others of another."""
    return [
        Unit(f"{number}", ("eng", "deu" if item < 3 else "fra"), [(item, number)], Row(tokens))
        for number, (item, tokens) in enumerate(rows)
    ]


def batches(pool: Pool, tokens: int | None, rows: int | None) -> list[list[Unit]]:
    taken = []
    while batch := pool.take(tokens, rows):
        taken.append(batch)
    assert len(pool) == 0 and pool.tokens == 0 and pool.items == 0
    return taken


def pool_of(found: list[Unit], **kind: bool) -> Pool:
    pool = Pool(**{"mixes_directions": True, **kind})
    pool.add(found)
    return pool


@given(ROWS, TOKENS, MOST, st.booleans(), st.booleans())
def test_every_row_is_taken_once(
    rows: list[tuple[int, int]], tokens: int | None, most: int | None, mixes: bool, whole: bool
) -> None:
    found = units(rows)
    pool = pool_of(found, mixes_directions=mixes, whole_items=whole)
    assert pool.tokens == sum(n for _, n in rows)
    taken = [unit for batch in batches(pool, tokens, most) for unit in batch]
    assert sorted(map(id, taken)) == sorted(map(id, found))


@given(ROWS, TOKENS, MOST)
def test_no_batch_is_larger_than_it_may_be(
    rows: list[tuple[int, int]], tokens: int | None, most: int | None
) -> None:
    for batch in batches(pool_of(units(rows)), tokens, most):
        assert len(batch) == 1 or tokens is None or cost(batch) <= tokens
        assert most is None or len(batch) <= most


@given(ROWS, TOKENS, MOST)
def test_a_batch_holds_the_longest_row_of_the_oldest_item(
    rows: list[tuple[int, int]], tokens: int | None, most: int | None
) -> None:
    left = units(rows)
    for batch in batches(pool_of(left), tokens, most):
        oldest = min(unit.item for unit in left)
        longest = max(unit.tokens for unit in left if unit.item == oldest)
        assert any(unit.item == oldest and unit.tokens == longest for unit in batch)
        left = [unit for unit in left if unit not in batch]


@given(ROWS, TOKENS, MOST)
def test_a_batch_holds_neighbours_in_length(
    rows: list[tuple[int, int]], tokens: int | None, most: int | None
) -> None:
    """Nothing that stays behind is strictly between the shortest and the longest."""
    left = units(rows)
    for batch in batches(pool_of(left), tokens, most):
        left = [unit for unit in left if unit not in batch]
        low, high = min(u.tokens for u in batch), max(u.tokens for u in batch)
        assert not any(low < unit.tokens < high for unit in left)


@given(ROWS, TOKENS)
def test_a_batch_is_as_full_as_it_can_be(rows: list[tuple[int, int]], tokens: int | None) -> None:
    left = units(rows)
    for batch in batches(pool_of(left), tokens, None):
        left = [unit for unit in left if unit not in batch]
        longest = max(unit.tokens for unit in batch)
        shorter = [unit for unit in left if unit.tokens <= longest]
        assert not shorter or (tokens is not None and (len(batch) + 1) * longest > tokens)


@given(ROWS, TOKENS, MOST)
def test_directions_are_kept_apart_where_they_must_be(
    rows: list[tuple[int, int]], tokens: int | None, most: int | None
) -> None:
    pool = pool_of(units(rows), mixes_directions=False)
    for batch in batches(pool, tokens, most):
        assert len({unit.direction for unit in batch}) == 1


def test_directions_share_a_batch_where_they_may() -> None:
    [batch] = batches(pool_of(units([(0, 3), (5, 3)])), None, None)
    assert len({unit.direction for unit in batch}) == 2


@given(ROWS)
def test_whole_items_come_one_by_one_in_order(rows: list[tuple[int, int]]) -> None:
    found = units(rows)
    taken = batches(pool_of(found, whole_items=True), None, None)
    wanted = [[u for u in found if u.item == item] for item in sorted({u.item for u in found})]
    assert taken == wanted


def test_like_lengths_of_several_items_stand_together() -> None:
    pool = pool_of(units([(0, 9), (0, 2), (1, 8), (1, 3), (2, 10), (2, 30)]))
    lengths = [[unit.tokens for unit in batch] for batch in batches(pool, 30, None)]
    assert lengths == [[8, 9, 10], [2, 3], [30]]
