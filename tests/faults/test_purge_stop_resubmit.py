"""purge, stop and resubmit may be killed, repeated and run at once: each does its work once."""

import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.acceptance.batches import BatchSeen, ended, kill, running, wait_until
from tests.faults.errands import Errands, assert_each_once, at_work, do, states

pytestmark = pytest.mark.timeout(300)

ITEMS = [f"i{n}" for n in range(6)]
MOMENTS = (0.2, 0.45, 0.7)  # seconds after its start at which a verb is killed


def killed(batch: BatchSeen, verb: str, *flags: object) -> None:
    """Start a verb again and again, and kill it sooner or later."""
    for moment in MOMENTS:
        with running(batch.place.start(verb, batch.name, *flags)) as process:
            time.sleep(moment)
            kill(process.pid)


def at_once(batch: BatchSeen, *verbs: Sequence[object]) -> list[int]:
    """Exit codes of verbs that run beside each other."""
    started = [batch.place.start(verb, batch.name, *flags) for verb, *flags in verbs]
    done = [ended(process) for process in started]
    assert not any("Traceback" in each.stderr or "a defect" in each.stderr for each in done)
    return [each.returncode for each in done]


def test_a_purge_is_done_once_however_often_it_is_asked_for(tmp_path: Path) -> None:
    place = Errands.laid_out(tmp_path / "work", ITEMS)
    batch, neighbour = place.batch("b"), place.batch("neighbour")
    for name in ("neighbour", "b"):
        place.witness.unlink(missing_ok=True)
        done = place.run("submit", *place.submit_flags(name, "--slots", 3))
        assert done.returncode == 0, done.stderr
    assert_each_once(batch)
    others = neighbour.jobs()
    killed(batch, "purge")
    assert at_once(batch, ["purge"], ["purge"]) == [0, 0]
    assert batch.jobs() == [] and neighbour.jobs() == others
    assert set(states(batch).values()) == {"succeeded"}
    assert at_once(batch, ["purge"], ["report"]) == [0, 0]


def test_stops_and_resubmits_that_are_killed_and_repeated_lose_and_double_nothing(
    tmp_path: Path,
) -> None:
    place = Errands.laid_out(tmp_path / "work", ITEMS)
    do(place, "/bin/sleep 60")
    batch = place.batch("b")
    with running(place.start("submit", *place.submit_flags("b", "--slots", 2))) as process:
        wait_until(lambda: at_work(batch) == 2 or process.poll() is not None)
        assert at_once(batch, ["stop", "--now"], ["stop", "--now"], ["purge"]) == [0, 0, 0]
        assert ended(process).returncode == 3
    assert batch.workers() == []
    stopped = {item for item, state in states(batch).items() if state == "stopped"}
    begun = set(place.witnessed())
    assert begun <= stopped, "and what waited for a slot"
    do(place, "/bin/sleep 0.2")
    killed(batch, "resubmit")
    assert set(at_once(batch, ["resubmit"], ["resubmit"], ["purge"])) <= {0, 2}
    done = place.resume("b")
    assert done.returncode == 0, done.stderr
    assert set(states(batch).values()) == {"succeeded"}
    assert place.witnessed() == {item: 1 + (item in begun) for item in ITEMS}
    tokens = [row["token"] for row in batch.rows("SELECT token FROM dispatches")]
    assert len(tokens) == len(set(tokens))
