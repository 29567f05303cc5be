"""What items cost, and where that is known from."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.catalog import Needs, open_source, select_items
from coordinator.clock import SystemClock
from coordinator.domain.cost import MOST, cost_of, tokens_in
from coordinator.domain.items import WorkItem
from coordinator.domain.limits import Limits
from coordinator.domain.states import AttemptState
from coordinator.ledger import Ledger
from tests.ledger_checks import check_ledger

JSON = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)


@given(JSON, JSON, st.lists(st.integers(0, 10**15), max_size=3))
def test_a_cost_is_a_count_whatever_the_item_says(
    tokens: object, sentences: object, counted: list[int]
) -> None:
    cost = cost_of({"mt:tokens": tokens, "mt:sentences": sentences}, counted)
    assert type(cost) is int and 1 <= cost <= MOST


def test_what_is_known_best_counts() -> None:
    assert cost_of({"mt:tokens": 700, "mt:sentences": 9}, [100]) == 700
    assert cost_of({"mt:sentences": 9}, [100, 140]) == 240  # read, and written
    assert cost_of({"mt:sentences": 9}, []) == 9 * cost_of({"mt:sentences": 1}, [])
    assert cost_of({}, []) == 1


def test_a_wide_character_is_more_of_a_token_than_a_letter() -> None:
    assert tokens_in(["a" * 330]) == 100
    assert tokens_in(["語" * 132]) == 100
    assert tokens_in([]) == 0


@pytest.mark.needs_data
def test_the_estimate_is_near_what_a_vocabulary_counts(test_data: Callable[[str], Path]) -> None:
    sentencepiece = pytest.importorskip("sentencepiece")
    model = str(test_data("spm/unigram256k.model"))
    pieces = sentencepiece.SentencePieceProcessor(model_file=model)
    off = []
    for path in sorted(test_data("ntrex101").glob("*.txt")):
        lines = path.read_text("utf-8").splitlines()[:10]
        off.append(tokens_in(lines) / sum(len(pieces.encode(line)) for line in lines))
    off.sort()
    assert 0.85 < off[len(off) // 2] < 1.15
    assert off[10] > 0.75 and off[-10] < 1.3  # nine of ten languages


def catalog(tmp_path: Path, *items: dict[str, Any]) -> str:
    path = tmp_path / "items.ndjson"
    path.write_text("".join(f"{json.dumps(item)}\n" for item in items))
    return str(path)


def test_planning_counts_the_texts_that_it_reads(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("four words are here\n" * 10)
    (tmp_path / "b.txt").write_text("four words are here and so on\n" * 10)
    assets = {"source": {"href": "a.txt"}, "reference": {"href": "b.txt"}}
    source = open_source(
        catalog(
            tmp_path,
            {"id": "read", "properties": {}, "assets": assets},
            {"id": "told", "properties": {"mt:tokens": 5000}, "assets": assets},
        ),
        None,
        (),
    )
    chosen = select_items(source, None, Needs(aligned=(("source", "reference"),)))
    costs = {item.id: item.cost for item in chosen.items}
    assert costs["told"] == 5000
    lines = [(tmp_path / name).read_text().splitlines() for name in ("a.txt", "b.txt")]
    assert costs["read"] == sum(map(tokens_in, lines))
    assert sorted(chosen.costs) == sorted(costs.values())


def test_what_is_left_out_costs_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("four words are here\n" * 10)
    text = {"source": {"href": "a.txt"}}
    items = [
        {"id": "read", "properties": {"mt:split": "dev"}, "assets": text},
        {"id": "told", "properties": {"mt:split": "test", "mt:tokens": 5000}, "assets": text},
        {"id": "few", "properties": {"mt:sentences": 2}, "assets": {}},
        {"id": "many", "properties": {"mt:sentences": 2000, "mt:split": "dev"}, "assets": {}},
    ]
    needs = Needs(aligned=(("source", "source"),))

    def costs(limits: Limits, needs: Needs) -> dict[str, int]:
        source = open_source(catalog(tmp_path, *items), None, ())
        return {i.id: i.cost for i in select_items(source, None, needs, limits=limits).items}

    whole, cut = (costs(each, Needs()) for each in (Limits(), Limits(sentences=(4, 1, 2))))
    assert cut["few"] == whole["few"] / 2 and cut["many"] == whole["many"] / 500
    assert cut["told"] == whole["told"] == 5000  # how many sentences that are is not known
    del items[2:]
    whole, cut = (costs(each, needs) for each in (Limits(), Limits(sentences=(4, 1, 2))))
    assert cut == {"read": round(whole["read"] * 0.4), "told": 1000}


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    items = ((WorkItem(f"i{n}", cost=10**n), "") for n in range(4))
    with closing(Ledger.create(tmp_path / "batch", SystemClock(), {}, items)) as made:
        yield made


def test_the_ledger_knows_what_is_ready_by_its_cost(ledger: Ledger) -> None:
    ready, claimed = AttemptState.READY, AttemptState.CLAIMED
    assert ledger.tally().cost_of_step(0, ready) == 1111
    first = ledger.ready(0, fresh=True, limit=2)
    assert [attempt.item.cost for attempt in first] == [1, 10]
    ledger.claim([first], lambda _pack, number: f"pack-{number}")
    tally = ledger.tally()
    assert (tally.cost_of_step(0, ready), tally.cost_of_step(0, claimed)) == (1100, 11)
    assert [item.cost for item in ledger.costs()] == [1, 10, 100, 1000]
    check_ledger(ledger.path)


def test_a_small_document_is_kept_in_place_of_the_one_before(ledger: Ledger) -> None:
    assert ledger.kept("rates") is None
    ledger.keep("rates", {"a": 1})
    ledger.keep("rates", {"b": [2.5]})
    assert ledger.kept("rates") == {"b": [2.5]}
