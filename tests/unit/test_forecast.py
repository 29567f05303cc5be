"""What is measured of packs, and what is foreseen from it."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.cli.outlook import outlook_lines, step_lines, time_lines
from coordinator.clock import SystemClock
from coordinator.commands.forecast import Forecast, Known, forecast, happened, outlook
from coordinator.domain.handoff import Outcome
from coordinator.domain.items import WorkItem
from coordinator.engine import Rate, Rule, kept_rates, largest_first, new_packs, rates_of
from coordinator.engine.rates import Ran, Rates, ran_of
from coordinator.ledger import Ledger
from coordinator.pipelines import Pipeline
from tests.acceptance.batches import Workplace
from tests.fakes import HandClock
from tests.ledgers import Hand, make_batch


def outcome(began: float, ended: float, dispatch: str = "d", **facts: Any) -> Outcome:
    return Outcome(
        batch="b", dispatch=dispatch, step="s", item="i", attempt=1, status="succeeded",
        facts=facts, started_at=began, ended_at=ended,
    )  # fmt: skip


def test_a_dispatch_is_measured_from_its_first_item_to_its_last() -> None:
    outcomes = [(outcome(10, 14, load_seconds=3.0), 100), (outcome(12, 20, load_seconds=3.0), 300)]
    earlier = (outcome(1, 2, dispatch="the one before"), 50)
    assert ran_of("d", [*outcomes, earlier]) == Ran(
        items=2, tokens=400, load=3.0, began_at=10, ended_at=20
    )
    assert ran_of("d", [earlier]) is None


@pytest.mark.parametrize("load", ["soon", None, -1.0, 1e300, [1], float("nan")])
def test_what_cannot_be_a_loading_time_is_no_measurement(load: object) -> None:
    assert ran_of("d", [(outcome(10, 14, load_seconds=load), 100)]) is None


def test_a_clock_that_went_back_is_no_measurement() -> None:
    assert ran_of("d", [(outcome(14, 10), 100)]) is None
    assert ran_of("d", [(outcome(10, 14), 1), (outcome(10, 1e9), 1)]) is None


def test_nobody_says_what_was_idle_of_lanes_that_are_not_known() -> None:
    ran = Ran(items=2, tokens=400, load=3.0, began_at=10, ended_at=20)
    rates = {"s": Rate().and_of(ran)}
    for lanes, idle in ((0, None), (2, 0.5)):
        found = happened(rates, lanes)
        assert found is not None and found.to_json()["idle_share"] == idle


def test_of_a_finished_batch_it_says_so_and_of_what_its_shares_are(tmp_path: Path) -> None:
    clock, settings = HandClock(), make_batch(tmp_path, HandClock(), count=2)
    hand = Hand(tmp_path, clock)
    hand.end(hand.send(2), ["i1"])
    sent = hand.send(1, step=1)
    finished = "left       nothing: the batch is finished"

    def lines() -> list[str]:
        return list(outlook_lines(outlook(settings, "b", gpus=None, quota=None, clock=clock)))

    assert finished not in lines()
    hand.end(sent)
    with closing(Ledger.open(hand.folder, clock)) as ledger:
        Rates(ledger).add([("score", Ran(items=1, tokens=9, load=3.0, began_at=10, ended_at=19))])
    *_, measured, _ = found = lines()
    assert finished in found
    assert measured.startswith("measured   score 1 pack: 12 s of work in 12 s")
    assert measured.endswith("idle 0.0% of lane time, loading 25.0% of busy time")


def test_a_dispatch_of_which_nothing_came_is_no_measurement() -> None:
    done = outcome(10, 14, load_seconds=3.0)
    failed = done.model_copy(update={"status": "failed", "facts": {}})
    assert ran_of("d", [(failed, 100), (failed, 100)]) is None
    ran = ran_of("d", [(failed, 100), (done, 50)])
    assert ran is not None and (ran.load, ran.tokens) == (3.0, 50)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with closing(Ledger.create(tmp_path / "b", SystemClock(), {}, [(WorkItem("i"), "")])) as made:
        yield made


def test_rates_are_kept_and_gone_on_with(ledger: Ledger) -> None:
    Rates(ledger).add([("s", Ran(items=2, tokens=400, load=3.0, began_at=10, ended_at=20))])
    Rates(ledger).add([("s", Ran(items=1, tokens=200, load=5.0, began_at=30, ended_at=40))])
    (rate,) = kept_rates(ledger).values()
    assert (rate.packs, rate.items, rate.tokens, rate.load, rate.work) == (2, 3, 600, 8, 20)
    assert (rate.first_at, rate.last_at) == (7, 40)
    assert rate.tokens_per_second == 30
    assert rate.loading == rate.load_seconds * 30 > 4 * 30


@pytest.mark.parametrize("document", [None, [], 5, {"s": 5}, {"s": {"tokens": -1}}, "x"])
def test_rates_that_are_none_of_ours_are_not_there(document: object) -> None:
    assert rates_of(document) == {}


@given(st.lists(st.integers(1, 10**6), max_size=200), st.integers(1, 20), st.integers(1, 60),
       st.integers(1, 300), st.floats(0, 10**7))  # fmt: skip
def test_foreseen_packs_hold_every_item_within_the_thresholds(
    costs: list[int], lanes: int, top: int, room: int, loading: float
) -> None:
    packs = list(new_packs(costs, Rule(lanes, top, loading), room=room))
    assert sum(pack.items for pack in packs) == len(costs)
    assert sum(pack.cost for pack in packs) == sum(costs)
    assert all(1 <= pack.items <= min(top, room) for pack in packs)


def test_items_that_are_twice_as_large_go_first() -> None:
    assert largest_first([3, 900, 2, 1000, 40]) == [900, 1000, 40, 3, 2]


PIPELINE = Pipeline.model_validate(
    {
        "name": "p",
        "steps": [
            {
                "name": "translate", "job": "command", "options": {"command": ["true"]},
                "pack": {"size": 10}, "resources": {"gpus": 1},
            },
            {"name": "score", "job": "command", "options": {"command": ["true"]}},
        ],
    }
)  # fmt: skip
SLOW = Rate(packs=4, items=4, tokens=1000, load=36.0, work=100.0, first_at=0.0, last_at=70.0)
QUICK = Rate(packs=1, items=4, tokens=1000, load=0.0, work=1.0, first_at=60.0, last_at=71.0)


def foreseen(**rates: Rate) -> Forecast:
    return forecast(PIPELINE, [[100] * 40] * 2, 2, 1000, Known(rates, "earlier"))


def test_hours_follow_from_the_rates() -> None:
    found = foreseen(translate=SLOW, score=QUICK)
    translate, score = found.steps
    assert translate.hours == pytest.approx((translate.packs * 10 + 4000 / 10) / 3600)
    assert score.hours == pytest.approx((score.packs * 1 + 4000 / 1000) / 3600)
    assert found.is_whole and found.gpu_hours == translate.hours
    busy = found.hours * 3600
    assert found.seconds * 2 * (1 - found.idle_share) == pytest.approx(busy)
    assert "measured in earlier" in " ".join(time_lines(found))
    assert "GPU-hours" in next(step_lines(found))


def test_nothing_is_foreseen_of_what_was_never_measured() -> None:
    for found in (foreseen(), foreseen(translate=SLOW)):
        assert not found.is_whole and list(time_lines(found)) == []
    assert foreseen().basis == "" and foreseen().seconds == 0
    assert foreseen().steps[0].packs > 2


def test_what_happened_is_told_of_all_steps_together() -> None:
    came = happened({"translate": SLOW, "score": QUICK}, 2)
    assert came is not None and came.made.seconds == 71
    assert came.made.idle_share == pytest.approx(1 - 137 / 142)
    assert happened({}, 2) is None
    assert json.dumps(came.to_json())


PIPELINE_FILE = """
name: greet
steps:
  - name: greet
    job: command
    outputs: [stdout.txt]
    pack: {size: 2}
    options: {command: [echo, hello]}
"""


def test_a_batch_is_foreseen_from_one_like_it_and_compared_at_its_end(tmp_path: Path) -> None:
    place = Workplace(tmp_path)
    (tmp_path / "greet.yml").write_text(PIPELINE_FILE)
    items = [{"id": f"i{n}", "properties": {"mt:sentences": n}, "assets": {}} for n in (1, 9, 5)]
    (tmp_path / "i.ndjson").write_text("".join(f"{json.dumps(item)}\n" for item in items))
    given = ("--pipeline", "greet.yml", "--catalog", "i.ndjson", "--slots", "2")
    dry = place.run("submit", "--batch_name", "one", *given, "--dry-run", "--json")
    assert json.loads(dry.stdout)["plan"]["forecast"]["is_whole"] is False
    for name in ("one", "two"):
        done = place.run("submit", "--batch_name", name, *given)
        assert done.returncode == 0, done.stderr
    assert "measured in one" in done.stderr
    found = place.run("plan", "two", "--gpus", "1", "--quota", "10", "--json")
    plan = json.loads(found.stdout)["plan"]
    assert plan["foreseen"]["basis"] == "one" and plan["foreseen"]["is_whole"]
    assert plan["whole"]["lanes"] == 1 and plan["whole"]["idle_share"] < 1e-6
    assert plan["happened"]["packs"]["greet"] >= 2 and 0 < plan["happened"]["idle_share"] < 1
    assert plan["models_a_day"] == pytest.approx(10 / (plan["whole"]["seconds"] / 3600))
    assert plan["left"]["seconds"] == 0 == plan["ends_at"]
    text = place.run("plan", "two").stdout
    assert "foreseen" in text and "models a day" in text
    missing = place.run("plan", "none")
    assert missing.returncode != 0 and "Traceback" not in missing.stderr
