"""`rebuild-ledger`: a batch goes on from what it has left, and nothing is lost or done twice."""

import signal

import pytest

from coordinator.ledger import FILE
from tests.acceptance.batches import (
    BatchSeen,
    Workplace,
    assert_whole,
    ended,
    running,
    wait_until,
)

pytestmark = [pytest.mark.needs_data, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    folder = tmp_path_factory.mktemp("rebuilt") / "work"
    return Workplace.made(folder, ["deu", "fra", "rus"], 5, pack=2)


def damage(batch: BatchSeen) -> None:
    ledger = batch.state / FILE
    ledger.write_bytes(b"\xa5" * 8192 + ledger.read_bytes()[8192:])


def assert_undamaged(batch: BatchSeen) -> None:
    assert_whole(batch)
    assert batch.place.witnessed() == dict.fromkeys(batch.directions().values(), 1)


def test_a_half_done_batch_with_jobs_at_work_goes_on(place: Workplace) -> None:
    batch = place.batch("half")
    place.set_model(seconds=1.5)
    flags = place.submit_flags(batch.name, "--slots", 1)
    with running(place.start("submit", *flags)) as process:
        wait_until(lambda: place.witnessed().total() >= 3)
        process.send_signal(signal.SIGKILL)
        ended(process)
    assert len(batch.workers()) == 1
    place.set_model()
    damage(batch)
    refused = place.resume(batch.name)
    assert refused.returncode == 3
    assert "is damaged" in refused.stderr and f"rebuild-ledger {batch.name}" in refused.stderr
    made = place.run("rebuild-ledger", batch.name)
    assert made.returncode == 0, made.stderr
    assert "a new ledger of 6 items" in made.stdout and "--resume" in made.stdout
    assert len(list(batch.state.glob(f"{FILE}.damaged-*[0-9]"))) == 1
    done = place.resume(batch.name)
    assert done.returncode == 0, done.stderr
    assert_undamaged(batch)


def test_a_batch_that_is_done_stays_done_and_a_whole_ledger_is_left_alone(place: Workplace) -> None:
    batch = place.batch("done")
    place.witness.unlink(missing_ok=True)
    place.set_model()
    assert place.run("submit", *place.submit_flags(batch.name)).returncode == 0
    assert_undamaged(batch)
    jobs = batch.job_ids()
    refused = place.run("rebuild-ledger", batch.name)
    assert refused.returncode == 2 and "is whole" in refused.stderr
    for path in batch.state.glob(f"{FILE}*"):
        path.unlink()
    assert place.run("rebuild-ledger", batch.name).returncode == 0
    done = place.resume(batch.name)
    assert done.returncode == 0, done.stderr
    assert batch.job_ids() == jobs
    assert_undamaged(batch)


def test_what_cannot_be_rebuilt_is_said(place: Workplace) -> None:
    unknown = place.run("rebuild-ledger", "nothing")
    assert unknown.returncode == 2 and "--output_root" in unknown.stderr
    batch = place.batch("spoilt")
    place.set_model()
    assert place.run("submit", *place.submit_flags(batch.name, "--limit_items", 2)).returncode == 0
    damage(batch)
    before = (batch.state / FILE).read_bytes()
    handoff = next((batch.output / "handoff").iterdir())
    kept = handoff.read_bytes()
    handoff.write_bytes(kept[:100])
    refused = place.run("rebuild-ledger", batch.name)
    assert refused.returncode == 2 and handoff.name in refused.stderr
    handoff.write_bytes(kept)
    (batch.output / "items.jsonl.gz").write_bytes(b"nothing")
    refused = place.run("rebuild-ledger", batch.name)
    assert refused.returncode == 2 and "items.jsonl.gz" in refused.stderr
    assert (batch.state / FILE).read_bytes() == before
