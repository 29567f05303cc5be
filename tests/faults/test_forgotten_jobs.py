"""Jobs that Nomad has collected while nobody looked: their outcome counts; without one, lost."""

from pathlib import Path

import pytest
from agents import Cluster

from tests.acceptance.batches import kill, running, wait_until
from tests.acceptance.on_nomad import Nomad, NomadBatch
from tests.faults.errands import Errands, NomadErrands, at_work, do, kinds, states

pytestmark = [pytest.mark.needs_nomad, pytest.mark.timeout(300)]

ITEMS = ["one", "two", "three"]


def test_collected_jobs_have_their_outcome_or_are_lost(
    nomad_agent: Cluster, nomad_namespace: str, tmp_path: Path
) -> None:
    errands = Errands.laid_out(tmp_path / "work", ITEMS)
    do(errands, "sleep 2")
    place = NomadErrands.of(errands, Nomad(nomad_agent, nomad_namespace))
    batch = place.batch("b")
    with running(place.start("submit", *place.submit_flags("b", "--slots", 3))) as process:
        wait_until(lambda: at_work(batch) == len(ITEMS) or process.poll() is not None)
        kill(process.pid)
    do(errands, "true")
    wait_until(lambda: {job["Status"] for job in batch.children()} == {"dead"})
    [outcome] = batch.output.glob("items/two/run/a1/outcome.json")
    outcome.unlink()
    nomad_agent.wait_for(lambda: collected(nomad_agent, batch), "the jobs to be collected")
    done = place.resume("b")
    assert done.returncode == 0, done.stderr
    assert set(states(batch).values()) == {"succeeded"}
    assert kinds(batch) == {"lost": 1}
    assert place.witnessed() == {"one": 1, "two": 2, "three": 1}


def collected(agent: Cluster, batch: NomadBatch) -> bool:
    agent.call("PUT", "system/gc")
    return not batch.children()
