"""`why` tells of a job on a real Nomad what Nomad tells of it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from agents import Cluster

from tests.acceptance.batches import running, wait_until
from tests.acceptance.on_nomad import VARIABLES, Nomad, NomadWorkplace
from tests.nomad_agents import fresh_namespace

pytestmark = [pytest.mark.needs_nomad, pytest.mark.timeout(300)]

PIPELINE = """
name: wait
steps:
  - name: wait
    job: command
    pack: {size: 1}
    resources: {memory_mb: MEMORY}
    options: {command: [sleep, "60"]}
"""


@contextmanager
def submitted(
    nomad_agent: Cluster, folder: Path, batch: str, memory: int
) -> Iterator[NomadWorkplace]:
    """One item that asks for so much memory, driven by a coordinator, in a namespace of its own."""
    folder.mkdir()
    (folder / "p.yml").write_text(PIPELINE.replace("MEMORY", str(memory)))
    (folder / "items.ndjson").write_text('{"id": "only"}\n')
    (folder / "job.vars").write_text(VARIABLES)
    with fresh_namespace(nomad_agent) as name:
        place = NomadWorkplace(folder, nomad=Nomad(nomad_agent, namespace=name))
        flags = ["--pipeline", "p.yml", "--catalog", "items.ndjson", "--output_root", "out"]
        flags += ["--cluster", "nomad", "--job_vars", "job.vars", "--slots", "1"]
        with running(place.start("submit", "--batch_name", batch, *flags)) as driver:
            yield place
            driver.terminate()  # it lets go of its lock, which would outlive a kill by far
            driver.wait(30)


def first_reason(place: NomadWorkplace, batch: str) -> dict[str, Any]:
    done = place.run("why", batch, "only", "--json")
    reasons = json.loads(done.stdout).get("why", {}).get("reasons") or [{"name": "", "what": ""}]
    found: dict[str, Any] = reasons[0]
    return found


def test_what_nomad_misses_is_the_answer(nomad_agent: Cluster, tmp_path: Path) -> None:
    with submitted(nomad_agent, tmp_path / "large", "large", memory=90_000) as place:
        wait_until(lambda: first_reason(place, "large")["name"] == "placement")
        reason = first_reason(place, "large")
        assert "Nomad can never place large--wait.only--a1v1" in reason["what"]
        assert "no node is large enough: it asks for 1,000 MHz, 90,000 MB" in reason["what"]


def test_of_a_job_that_runs_its_node_is_told(nomad_agent: Cluster, tmp_path: Path) -> None:
    with submitted(nomad_agent, tmp_path / "small", "small", memory=64) as place:
        wait_until(lambda: first_reason(place, "small")["name"] == "running")
        assert " s, says Nomad" in first_reason(place, "small")["what"]
