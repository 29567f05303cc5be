"""A coordinator that is paused: no job pays for it, and it knows when it is too late to go on."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from agents import Cluster

from tests.acceptance.batches import ended, environment, running, wait_until
from tests.acceptance.on_nomad import Nomad, NomadBatch
from tests.faults.errands import (
    Errands,
    NomadErrands,
    assert_each_once,
    at_work,
    do,
    home,
)

pytestmark = pytest.mark.timeout(300)

TERM = 10  # seconds; the shortest that Nomad takes
# The coordinator, with the shortest lease that there is.
SHORT_LEASE = f"""
import sys
from coordinator.cluster.nomad import lock
lock.TTL_SECONDS, lock._TERMS = {TERM}, {{"TTL": "{TERM}s", "LockDelay": "1s"}}
from coordinator.cli import main
sys.exit(main(sys.argv[1:]))
"""


def test_a_pause_is_charged_to_no_job(tmp_path: Path) -> None:
    """Paused for longer than an item may take, beside a pack of two that each keep to it."""
    place = Errands.laid_out(tmp_path / "work", ["i0", "i1"], pack=2, time_limit="8s")
    do(place, "/bin/sleep 5")
    batch = place.batch("b")
    with running(place.start("submit", *place.submit_flags("b", "--slots", 1))) as process:
        wait_until(lambda: at_work(batch) > 0 or process.poll() is not None)
        process.send_signal(signal.SIGSTOP)
        time.sleep(8.5)  # the second is at work
        process.send_signal(signal.SIGCONT)
        done = ended(process)
    assert done.returncode == 0, done.stderr
    assert_each_once(batch)


@pytest.mark.needs_nomad
def test_a_coordinator_paused_for_longer_than_its_lease_sends_nothing_more(
    nomad_agent: Cluster, nomad_namespace: str, tmp_path: Path
) -> None:
    errands = Errands.laid_out(tmp_path / "work", [f"i{n}" for n in range(6)])
    do(errands, "sleep 0.5")
    place = NomadErrands.of(errands, Nomad(nomad_agent, nomad_namespace))
    batch = place.batch("b")
    with running(short_leased(place)) as process:
        wait_until(lambda: home(batch) >= 1 or process.poll() is not None)
        process.send_signal(signal.SIGSTOP)
        time.sleep(TERM + 1)
        rival = taken_by_another(batch)
        claimed = batch.count("dispatches")  # one that was being sent may still arrive
        process.send_signal(signal.SIGCONT)
        done = ended(process)
    assert done.returncode == 3, done.stderr
    assert "the lock of batch b is lost" in done.stdout + done.stderr
    assert len(batch.job_ids()) <= claimed < 6
    asked(batch, "lock-release", {"Lock": {"ID": rival}})
    again = place.resume("b")
    assert again.returncode == 0, again.stderr
    assert_each_once(batch)


def short_leased(place: NomadErrands) -> "subprocess.Popen[str]":
    flags = place.submit_flags("b", "--slots", 1)
    return subprocess.Popen(
        [sys.executable, "-c", SHORT_LEASE, "submit", *flags],
        cwd=place.folder,
        env=environment(place.folder) | place.variables(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def taken_by_another(batch: NomadBatch) -> str:
    """The ID of a rival's lock, who did not wait as long as Nomad makes others wait."""
    mine = json.loads((batch.state / "nomad.lock").read_text())["id"]
    asked(batch, "lock-release", {"Lock": {"ID": mine}})
    terms = {"TTL": "10s", "LockDelay": "1s"}
    reply = asked(batch, "lock-acquire", {"Lock": terms, "Items": {"holder": "another"}})
    return str(reply["Lock"]["ID"])


def asked(batch: NomadBatch, action: str, body: dict[str, object]) -> dict[str, dict[str, str]]:
    path, namespace = f"coordinator/batches/{batch.name}", batch.place.nomad.namespace
    where = {"Path": path, "Namespace": namespace}
    params = {"namespace": namespace, action: ""}
    call = batch.place.nomad.agents.call
    reply: dict[str, dict[str, str]] = call(
        "PUT", f"var/{path}", params=params, json={**where, **body}
    )
    return reply
