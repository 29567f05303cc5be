"""Looking into a running job on a real Nomad, by its API and by exec, each with its rights."""

import os
import signal
import subprocess
import uuid
from dataclasses import replace
from pathlib import Path

import pytest
from agents import Cluster, Options, dev_agent

from tests.acceptance.batches import COORDINATOR, environment
from tests.acceptance.hanging import (
    ITEM,
    SENTENCE,
    debugged,
    handler_of,
    hanging,
    let_go,
    line_of,
    prepare,
)
from tests.acceptance.on_nomad import VARIABLES, Nomad, NomadWorkplace, with_keys
from tests.acceptance.test_debug import succeeded
from tests.acceptance.test_nomad_batches import in_containers
from tests.docker_engine import Engine
from tests.nomad_agents import SHIPPED_POLICY, token_of
from tests.servers import S3Server
from tests.support import REPOSITORY, require_cluster_program

pytestmark = [pytest.mark.needs_nomad, pytest.mark.timeout(300)]

DEBUG_POLICY = (REPOSITORY / "job_defs/debug.policy.hcl").read_text()
WITHOUT_EXEC = DEBUG_POLICY.replace('"alloc-exec",', "").replace('"alloc-node-exec",', "")


@pytest.fixture
def place(nomad_with_acl: Cluster, tmp_path: Path) -> NomadWorkplace:
    """Driven by somebody with the coordinator's own policy."""
    nomad = Nomad(nomad_with_acl, token=token_of(nomad_with_acl))
    made = NomadWorkplace(tmp_path / "work", nomad=nomad)
    prepare(made)
    (made.folder / "job.vars").write_text(VARIABLES)
    return made


def as_debugger(place: NomadWorkplace, rules: str = DEBUG_POLICY) -> NomadWorkplace:
    """The same place, for somebody who has these rights as well."""
    cluster, names = place.nomad.agents, []
    for text in (SHIPPED_POLICY, rules):
        name = f"policy-{uuid.uuid4().hex[:8]}"
        cluster.call("PUT", f"acl/policy/{name}", json={"Name": name, "Rules": text})
        names.append(name)
    body = {"Name": names[0], "Type": "client", "Policies": names}
    token = str(cluster.call("PUT", "acl/token", json=body)["SecretID"])
    return replace(place, nomad=replace(place.nomad, token=token))


def typed(
    place: NomadWorkplace, batch: str, commands: str, path: str
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [str(COORDINATOR), "debug", batch, ITEM, "--pdb"],
        cwd=place.folder,
        env=environment(place.folder) | place.variables() | {"PATH": path},
        input=commands,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("way", ["in_python", "in_c", "in_c_with_the_lock"])
def test_debug_names_the_line_twice_in_a_row_and_the_job_succeeds(
    place: NomadWorkplace, way: str
) -> None:
    """With the rights to signal and to read files; not with that to run programs."""
    batch = way.replace("_", "-")
    with hanging(place, batch, way) as submit:
        looker = as_debugger(place, WITHOUT_EXEC)
        for _ in range(2):
            found = debugged(looker, batch)
            assert found["at"]["file"] == str(handler_of(place))
            assert (found["at"]["line"], found["at"]["function"]) == (line_of(way), way)
            assert not found["silent"]
        let_go(place)
        assert succeeded(submit)


def test_a_worker_that_is_stuck_itself_is_asked_by_exec(place: NomadWorkplace) -> None:
    """Its process is stopped, so it passes nothing on; the model's is asked beside it."""
    with hanging(place, "stuck", "in_python") as submit:
        looker = as_debugger(place)
        roles = {each["role"]: each["pid"] for each in debugged(looker, "stuck")["processes"]}
        os.kill(roles["worker"], signal.SIGSTOP)
        try:
            found = debugged(looker, "stuck")
            without = debugged(as_debugger(place, WITHOUT_EXEC), "stuck")
        finally:
            os.kill(roles["worker"], signal.SIGCONT)
        assert found["at"]["line"] == line_of("in_python")
        assert found["silent"] == [f"process {roles['worker']} (worker) did not answer"]
        assert without["at"] is None and not without["processes"]
        assert any("alloc-exec" in words for words in without["silent"])
        let_go(place)
        assert succeeded(submit)


def test_pdb_prints_a_local_by_each_way_and_the_job_succeeds(place: NomadWorkplace) -> None:
    """By a WebSocket of our own, and by the nomad program where there is one."""
    program = Path(require_cluster_program("nomad")).parent
    with hanging(place, "by-pdb", "in_python") as submit:
        looker = as_debugger(place)
        for path in (os.environ["PATH"], f"{program}{os.pathsep}{os.environ['PATH']}"):
            done = typed(looker, "by-pdb", "p sentence\nc\n", path)
            assert done.returncode == 0, done.stderr
            assert repr(SENTENCE) in done.stdout and "The job goes on." in done.stdout
        let_go(place)
        assert succeeded(submit)


@pytest.mark.needs_docker
@pytest.mark.needs_s3
@pytest.mark.timeout(1800)
def test_a_job_in_a_container_is_asked_and_debugged_alike(
    tmp_path: Path,
    docker_engine: Engine,
    worker_image: str,
    s3_server: S3Server,
    s3_bucket: str,
) -> None:
    image = f"{worker_image}:nomad"  # one that is called latest, Nomad would pull
    docker_engine.docker("tag", worker_image, image)
    host = docker_engine.host or "unix:///var/run/docker.sock"
    with dev_agent(require_cluster_program("nomad"), Options(docker_host=host)) as agents:
        there = NomadWorkplace(tmp_path / "work", nomad=Nomad(agents), root=f"s3://{s3_bucket}/r")
        prepare(there)
        there.model.chmod(0o777)  # the image's user is not ours
        (there.folder / "job.vars").write_text(with_keys(s3_server, VARIABLES))
        place = in_containers(there, image)
        with hanging(place, "contained", "in_python") as submit:
            for _ in range(2):
                assert debugged(place, "contained")["at"]["line"] == line_of("in_python")
            done = typed(place, "contained", "p sentence\n", os.environ["PATH"])
            assert repr(SENTENCE) in done.stdout
            let_go(place)
            assert succeeded(submit)


def test_what_is_missing_is_named(place: NomadWorkplace) -> None:
    program = Path(require_cluster_program("nomad")).parent
    with hanging(place, "rights", "in_python"):
        none = place.run("debug", "rights", ITEM)
        assert none.returncode == 3
        assert "it takes read-fs" in none.stderr and "debug.policy.hcl" in none.stderr
        looker = as_debugger(place, WITHOUT_EXEC)
        for path in (os.environ["PATH"], f"{program}{os.pathsep}{os.environ['PATH']}"):
            done = typed(looker, "rights", "c\n", path)
            assert done.returncode == 3
            assert "it takes alloc-exec" in done.stderr and "debug.policy.hcl" in done.stderr
        silent = as_debugger(place, WITHOUT_EXEC.replace('"alloc-lifecycle",', ""))
        assert "it takes alloc-lifecycle" in silent.run("debug", "rights", ITEM).stderr
