"""Matches equal those counted with dictionaries, with numba and without."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator.metrics import compiled
from coordinator.metrics.ngrams import NgramIndex, totals

Text = list[int]


@pytest.fixture(params=["numba", "numpy"], autouse=True)
def loops(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "numpy":
        monkeypatch.setenv("COORDINATOR_SCORING", "numpy")
    else:
        pytest.importorskip("numba")
        monkeypatch.delenv("COORDINATOR_SCORING", raising=False)
        assert compiled.kernels() is not None
    return str(request.param)


def packed(texts: list[Text]) -> tuple[np.ndarray, np.ndarray]:
    ids = np.array([token for text in texts for token in text], np.int32)
    return ids, np.cumsum([0, *map(len, texts)])


def ngrams(text: Text, order: int) -> Counter[tuple[int, ...]]:
    return Counter(tuple(text[i : i + order]) for i in range(len(text) - order + 1))


def counted(hyps: list[Text], references: list[list[Text]], orders: int) -> list[list[int]]:
    rows = []
    for hyp, *refs in zip(hyps, *references, strict=True):
        row = []
        for order in range(1, orders + 1):
            most: Counter[tuple[int, ...]] = Counter()
            for ref in refs:
                most |= ngrams(ref, order)
            row.append((ngrams(hyp, order) & most).total())
        rows.append(row)
    return rows


def index(references: list[list[Text]], orders: int) -> NgramIndex:
    texts = [text for reference in references for text in reference]
    return NgramIndex.build(*packed(texts), orders=orders, references=len(references))


def assert_counted(hyps: list[Text], references: list[list[Text]], orders: int = 4) -> None:
    built = index(references, orders)
    assert (built.orders, built.segments) == (orders, len(hyps))
    found = built.matches(*packed(hyps))
    assert found.dtype == np.int64
    assert found.tolist() == counted(hyps, references, orders)


@pytest.mark.parametrize(
    ("hyp", "ref"),
    [
        ([], []),
        ([], [1, 2]),
        ([1, 2], []),
        ([1], [1]),
        ([-1], [0]),
        ([7, 7, 7, 7, 7, 7], [7, 7, 7]),
        ([7, 7], [7, 7, 7, 7, 7, 7, 7]),
        ([0, 1, -1, 0, 1, 2], [0, 1, 0, 1, 2]),
        ([1, 2, 3, 1, 2, 4, 1, 2, 3, 4], [1, 2, 3, 4, 1, 2, 4, 1]),
        ([2**31 - 1, 5, 900_000], [5, 900_000]),
    ],
)
def test_edges(hyp: Text, ref: Text) -> None:
    assert_counted([hyp], [[ref]])
    assert_counted([[1], hyp, [], hyp], [[[1], ref, [3], ref[::-1]]])


def test_no_segments() -> None:
    assert index([[]], 4).matches(*packed([])).shape == (0, 4)


@given(data=st.data())
@settings(max_examples=200, deadline=None)
def test_any_text(data: st.DataObject) -> None:
    token = st.integers(0, data.draw(st.sampled_from([1, 3, 30])))
    segments = data.draw(st.integers(1, 5))
    texts = st.lists(st.lists(token, max_size=25), min_size=segments, max_size=segments)
    hyp = st.lists(st.lists(token | st.just(-1), max_size=25), min_size=segments, max_size=segments)
    references = data.draw(st.lists(texts, min_size=1, max_size=3))
    assert_counted(data.draw(hyp), references, data.draw(st.integers(1, 6)))


def test_long_lines_of_many_and_of_few_words() -> None:
    draw = np.random.default_rng(6)
    for words in (3, 40_000):
        ref, hyp = draw.integers(0, words, (2, 10_000)).tolist()
        assert_counted([hyp, ref], [[ref, ref]], 6)


def test_one_word_that_thousands_follow() -> None:
    ref = [word for n in range(1, 5_000) for word in (0, n)]
    hyp = [word for n in range(5_001, 0, -1) for word in (0, n)]
    assert_counted([hyp], [[ref]], 3)


def test_a_million_ngrams_of_large_ids() -> None:
    """Node times vocabulary is far beyond 32 bits."""
    draw = np.random.default_rng(7)
    ref = draw.integers(2**24 - 400_000, 2**24, 300_000).astype(np.int32)
    offsets = np.array([0, 100_000, 300_000])
    built = NgramIndex.build(ref, offsets, orders=4)
    assert built.token.size > 1_000_000
    assert built.matches(ref, offsets).tolist() == totals(offsets, 4).tolist()
    assert built.matches(ref[::-1], offsets)[:, 1:].sum() < 20


@pytest.mark.parametrize("ids", [[-1], [2**24]])
def test_ids_that_no_index_can_hold(ids: Text) -> None:
    with pytest.raises(ValueError, match="ids must be"):
        NgramIndex.build(np.array(ids), np.array([0, 1]), orders=4)


def test_as_many_texts_as_segments() -> None:
    with pytest.raises(ValueError, match="2 texts for 1 segments"):
        index([[[1]]], 4).matches(*packed([[1], [1]]))


def test_kept_in_files_it_is_the_same(tmp_path: Path) -> None:
    texts = [[1, 2, 3, 1, 2], [], [4, 4]]
    for name, array in index([texts], 4).to_arrays().items():
        np.save(tmp_path / f"{name}.npy", array, allow_pickle=False)
    mapped = {path.stem: np.load(path, mmap_mode="r") for path in tmp_path.iterdir()}
    kept = NgramIndex.from_arrays(mapped)
    assert kept.matches(*packed([[1, 2, 1], [5], [4]])).tolist() == [
        [3, 1, 0, 0],
        [0, 0, 0, 0],
        [1, 0, 0, 0],
    ]
    assert isinstance(mapped["ngrams_count"], np.memmap) and not kept.count.flags.writeable


def test_totals() -> None:
    assert totals(np.array([0, 0, 1, 6]), 4).tolist() == [[0, 0, 0, 0], [1, 0, 0, 0], [5, 4, 3, 2]]
