"""The coordinator as a Nomad job: killed and moved, it goes on; every item ends once in success."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
from agents import Cluster

from coordinator.cluster.nomad.hcl import Value, assignments
from tests.acceptance.batches import Workplace, wait_until
from tests.acceptance.kills import LANGUAGES
from tests.acceptance.on_nomad import VARIABLES, Nomad, NomadBatch, NomadWorkplace
from tests.support import REPOSITORY

pytestmark = [pytest.mark.needs_data, pytest.mark.needs_nomad, pytest.mark.timeout(900)]

JOB_FILE = REPOSITORY / "job_defs/coordinator.nomad.hcl"


@dataclass(frozen=True)
class SavedBatch(NomadBatch):
    """A batch of which nothing but the output root can be seen."""

    @property
    def state(self) -> Path:
        return self.output / "ledger"


@dataclass(frozen=True)
class CoordinatorJob:
    """The job `coordinator-<batch>`."""

    nomad: Nomad
    batch: str

    @property
    def id(self) -> str:
        return f"coordinator-{self.batch}"

    def register(self, **variables: Value) -> None:
        text = assignments({"batch": self.batch, "namespace": self.nomad.namespace, **variables})
        patient, quick = 'delay    = "15s"', 'delay    = "1s"'  # before it is restarted
        assert patient in JOB_FILE.read_text()
        job_file = JOB_FILE.read_text().replace(patient, quick)
        body = {"JobHCL": job_file, "Canonicalize": True, "Variables": text}
        job = self._call("POST", "jobs/parse", json=body)
        self._call("POST", "jobs", json={"Job": job})

    def allocations(self) -> list[dict[str, Any]]:
        """The newest first."""
        found = self._call("GET", f"job/{self.id}/allocations")
        return sorted(found, key=lambda a: a["CreateIndex"], reverse=True)

    def is_done(self) -> bool:
        newest = self.allocations()[0]
        assert newest["ClientStatus"] != "failed", self.log(newest["ID"])
        return bool(newest["ClientStatus"] == "complete" and newest["DesiredStatus"] == "run")

    def move(self) -> None:
        self._call("POST", f"allocation/{self.allocations()[0]['ID']}/stop")

    def log(self, allocation: str = "", stream: str = "stderr") -> str:
        newest = allocation or self.allocations()[0]["ID"]
        where = {"task": "coordinator", "type": stream, "origin": "start", "plain": "true"}
        where |= {"namespace": self.nomad.namespace}
        address = f"{self.nomad.agents.address}/v1/client/fs/logs/{newest}"
        return requests.get(address, params=where, timeout=15).text

    def process(self) -> psutil.Process | None:
        """The coordinator's process, where it runs."""
        for process in psutil.process_iter(["cmdline"]):
            line = process.info["cmdline"] or []
            if self.batch in line and "--unattended" in line and line[0] == sys.executable:
                return process
        return None

    def _call(self, method: str, path: str, **options: Any) -> Any:
        params = {"namespace": self.nomad.namespace}
        return self.nomad.agents.call(method, path, params=params, **options)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    folder = tmp_path_factory.mktemp("job") / "work"
    return Workplace.made(folder, LANGUAGES[:3], 10, pack=1, score_pack=2)


def test_a_coordinator_that_is_killed_and_moved(
    place: Workplace, nomad_agent: Cluster, nomad_namespace: str, say: Callable[[str], None]
) -> None:
    done = place.run("submit", *place.submit_flags("calm", "--slots", 2))
    assert done.returncode == 0, done.stderr
    calm, before = place.batch("calm").scores(), place.witnessed()
    place.set_model(seconds=2.0)
    nomad = Nomad(nomad_agent, nomad_namespace)
    job = CoordinatorJob(nomad, "outliving")
    batch = SavedBatch(NomadWorkplace.on(nomad, place), "outliving")
    folder = place.folder
    job.register(
        arguments=(
            *("--catalog", str(folder / "items/collection.json"), "--model", str(place.model)),
            *("--output_root", str(folder / "outputs"), "--keep_jobs", "--slots", "1"),
        ),
        pipeline=place.pipeline.read_text(),
        job_vars=VARIABLES,
        nomad_addr=nomad_agent.address,
        driver="raw_exec",
        python=sys.executable,
        disk_mb=100,
    )

    def calls() -> int:
        return (place.witnessed() - before).total()

    wait_until(lambda: calls() >= 1 or (job.allocations() != [] and job.is_done()))
    process = job.process()
    assert process is not None
    process.kill()
    killed_at = calls()
    wait_until(lambda: (p := job.process()) is not None and p.pid != process.pid)
    wait_until(lambda: "resumed:" in job.log())  # where it was: with its own ledger and lock
    job.move()
    moved_at = calls()
    wait_until(lambda: len(job.allocations()) > 1 and job.is_done(), 240)

    assert {row["state"] for row in batch.rows("SELECT state FROM items")} == {"succeeded"}
    assert place.witnessed() - before == dict.fromkeys(batch.directions().values(), 1)
    tokens = {row["token"] for row in batch.rows("SELECT token FROM dispatches")}
    assert batch.tokens() == dict.fromkeys(tokens, 1)
    assert batch.scores() == calm
    assert "6 succeeded" in job.log(stream="stdout")
    say(
        f"\ncoordinator as a job: killed after {killed_at} of 6 model calls, moved after"
        f" {moved_at}; {len(batch.items)} items, each succeeded once"
    )
