"""A task beside the worker that fails takes nothing from what the worker has done."""

from pathlib import Path

import pytest
from agents import Cluster

from coordinator.cluster.nomad.job_files import shipped_job_file
from tests.acceptance.on_nomad import Nomad
from tests.faults.errands import Errands, NomadErrands, assert_each_once

pytestmark = [pytest.mark.needs_nomad, pytest.mark.timeout(300)]

AFTERWARDS = """
task "afterwards" {
  driver = "raw_exec"
  lifecycle {
    hook = "poststop"
  }
  config {
    command = "false"
  }
  logs {
    max_files     = 1
    max_file_size = 1
  }
  restart {
    attempts = 0
    mode     = "fail"
  }
}
"""


def test_a_poststop_task_that_fails_leaves_a_success_a_success(
    nomad_agent: Cluster, nomad_namespace: str, tmp_path: Path
) -> None:
    errands = Errands.laid_out(tmp_path / "work", ["one", "two"])
    own = shipped_job_file("command").read_text()
    own = own.replace('task "command" {', AFTERWARDS + 'task "command" {')
    (errands.folder / "mine.hcl").write_text(own)
    with errands.pipeline.open("a") as pipeline:
        pipeline.write("nomad: {job_file: mine.hcl}\n")
    place = NomadErrands.of(errands, Nomad(nomad_agent, nomad_namespace))
    batch = place.batch("b")
    done = place.run("submit", *place.submit_flags("b", "--slots", 2))
    assert done.returncode == 0, done.stderr
    assert_each_once(batch)
    allocations = place.nomad.allocations(batch.prefix)
    assert {each["ClientStatus"] for each in allocations} == {"failed"}, "as Nomad sees it"
